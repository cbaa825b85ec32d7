// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "environment.hpp"
#include "fake_nvml.hpp"
#include "fake_perf.hpp"

namespace wattring {

// A machine as the operating system shows it, in a temporary folder: the product's own code reads
// it.
class FakeMachine {
 public:
  explicit FakeMachine(const std::string& vendor = "GenuineIntel", int family = 6,
                       int model = 0x5E);
  virtual ~FakeMachine();
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;

  void cpu(int id, int package, int die = 0, int core = 0);
  // Two packages, or dies of one package, of two cores each: CPUs 0 and 1, 2 and 3.
  void two_packages();
  void two_dies();

  void write(const std::string& name, const std::string& text) const;
  // A register of /dev/cpu/N/msr: a sparse file, read and written at the register's number.
  void msr(int cpu, std::uint64_t address, std::uint64_t value) const;
  void zone(const std::string& directory, const std::string& name, std::uint64_t energy_uj,
            const std::string& range_uj = "262143328850") const;
  void set_energy_uj(const std::string& directory, const std::string& text) const;
  // An event of the power PMU, in 2^-32 J as the kernel counts.
  void perf_event(const std::string& name, int config) const;
  void perf_pmu(const std::string& cpumask) const;
  // Which file is the NVIDIA driver's library; without, there is none.
  void nvml(const std::string& library) { nvml_ = library; }
  // Also for those who hold it open: a file reads as empty.
  void remove(const std::string& name) const;
  void truncate(const std::string& name) const;

  std::string path(const std::string& name) const { return (root_ / name).string(); }
  Environment environment() const;

 private:
  std::filesystem::path root_;
  std::string cpus_;
  std::string nvml_;
};

}  // namespace wattring
