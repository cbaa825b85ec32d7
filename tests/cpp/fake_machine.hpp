// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "environment.hpp"

namespace wattring {

// A machine as the operating system shows it, in a temporary folder: the product's own code reads
// it.
class FakeMachine {
 public:
  FakeMachine(const std::string& vendor = "GenuineIntel", int family = 6, int model = 0x5E);
  ~FakeMachine();
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;

  void cpu(int id, int package, int die = 0, int core = 0);
  void write(const std::string& name, const std::string& text) const;
  // A register of /dev/cpu/N/msr: a sparse file, read and written at the register's number.
  void msr(int cpu, std::uint64_t address, std::uint64_t value) const;
  void zone(const std::string& directory, const std::string& name, std::uint64_t energy_uj,
            const std::string& range_uj = "262143328850") const;
  void set_energy_uj(const std::string& directory, const std::string& text) const;
  void perf_event(const std::string& name, int config) const;
  void perf_pmu(const std::string& cpumask) const;
  void remove(const std::string& name) const;

  Environment environment() const;

 private:
  std::filesystem::path root_;
  std::string cpus_;
};

// What perf_event_open and read give: file descriptors whose groups count what tests set.
namespace fake_perf {
void reset();
void set(int cpu, std::uint64_t config, std::uint64_t value);
void refuse(std::uint64_t config, int error_number);  // 0: allow again
void fail_reads(int error_number);                    // 0: work again; -1: end of file
int opened();
int open(perf_event_attr* attr, pid_t pid, int cpu, int group_fd, unsigned long flags);
ssize_t read(int fd, void* to, std::size_t bytes);
}  // namespace fake_perf

}  // namespace wattring
