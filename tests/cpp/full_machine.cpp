// SPDX-License-Identifier: Apache-2.0
#include "full_machine.hpp"

#include <array>
#include <cerrno>
#include <cmath>

namespace wattring {
namespace {

constexpr double unit_j = 1.0 / 16384;  // energy status unit 14, 61035 nJ to the kernel
constexpr std::uint64_t unit_nj = 61'035;
constexpr std::uint64_t range32 = std::uint64_t{1} << 32;
constexpr std::uint64_t start = range32 - 10 * 16384;

struct Domain {
  std::uint64_t address;
  const char* directory;
  const char* zone;
  const char* event;
  int config;
};

constexpr std::array<Domain, 5> domains{{{0x611, "intel-rapl:0", "package-0", "energy-pkg", 2},
                                         {0x639, "intel-rapl:0:0", "core", "energy-cores", 1},
                                         {0x641, "intel-rapl:0:1", "uncore", "energy-gpu", 4},
                                         {0x619, "intel-rapl:0:2", "dram", "energy-ram", 3},
                                         {0x64D, "intel-rapl:1", "psys", "energy-psys", 5}}};

std::string energy_file(const Domain& domain) {
  return std::string("sys/class/powercap/") + domain.directory + "/energy_uj";
}

}  // namespace

FullMachine::FullMachine() {
  cpu(0, 0);
  cpu(1, 0, 0, 1);
  msr(0, 0x606, 0xA0E03);
  perf_pmu("0");
  for (const Domain& domain : domains) {
    perf_event(domain.event, domain.config);
    zone(domain.directory, domain.zone, 0);
  }
  nvml(fake_nvml::library());
  fake_nvml::configure("set,set");
  stand_at(0);
}

void FullMachine::stand_at(double joules) const {
  const auto counts = static_cast<std::uint64_t>(std::floor(joules / unit_j));
  const std::uint64_t raw = (start + counts) % range32;
  for (const Domain& domain : domains) {
    msr(0, domain.address, raw);
    set_energy_uj(domain.directory, std::to_string(raw * unit_nj / 1000));
    // The driver below perf undoes the wrap and shifts to 2^-32 J.
    fake_perf::set(0, static_cast<std::uint64_t>(domain.config), (start + counts) << 18);
  }
  for (const int gpu : {0, 1}) {
    fake_nvml::set(gpu, start + static_cast<std::uint64_t>(std::floor(joules * 1e3)));
  }
}

void FullMachine::break_all() const {
  truncate("dev/cpu/0/msr");
  for (const Domain& domain : domains) {
    set_energy_uj(domain.directory, "rubbish");
  }
  fake_perf::fail_reads(EIO);
  fake_nvml::fail("nvmlDeviceGetFieldValues=999");
}

void FullMachine::vanish() const {
  remove("dev/cpu/0/msr");
  for (const Domain& domain : domains) {
    remove(energy_file(domain));
  }
  fake_perf::fail_reads(fake_perf::end_of_file);
  fake_nvml::fail("*=15");
}

}  // namespace wattring
