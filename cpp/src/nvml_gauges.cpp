// SPDX-License-Identifier: Apache-2.0
#include "nvml_gauges.hpp"

#include <algorithm>
#include <array>

namespace wattring::nvml {
namespace {

template <int (Library::*call)(Device, unsigned&) const noexcept>
int read_by(const Library& library, Device device, std::uint64_t& value) noexcept {
  unsigned told = 0;
  const int code = (library.*call)(device, told);
  value = told;
  return code;
}

template <Clock clock>
int read_clock(const Library& library, Device device, std::uint64_t& value) noexcept {
  unsigned told = 0;
  const int code = library.clock_mhz(device, clock, told);
  value = told;
  return code;
}

template <unsigned Utilization::* part>
int read_utilization(const Library& library, Device device, std::uint64_t& value) noexcept {
  Utilization told;
  const int code = library.utilization(device, told);
  value = told.*part;
  return code;
}

int read_throttle(const Library& library, Device device, std::uint64_t& value) noexcept {
  unsigned long long told = 0;
  const int code = library.throttle_reasons(device, told);
  value = told;
  return code;
}

constexpr std::array all{
    Gauge{"temperature", "temperature", "°C", 1, read_by<&Library::temperature_c>},
    Gauge{"clocks", "sm-clock", "MHz", 1, read_clock<Clock::sm>},
    Gauge{"clocks", "memory-clock", "MHz", 1, read_clock<Clock::memory>},
    Gauge{"utilization", "utilization", "%", 1, read_utilization<&Utilization::gpu>},
    Gauge{"utilization", "memory-utilization", "%", 1, read_utilization<&Utilization::memory>},
    Gauge{"power_limit", "power-limit", "W", 1e-3, read_by<&Library::power_limit_mw>},
    // nvmlClocksEventReasons, a bit each.
    Gauge{"throttle", "throttle", "bits", 1, read_throttle},
};

}  // namespace

std::span<const Gauge> gauges() { return all; }

void require_groups(const std::vector<std::string>& groups) {
  std::string known;
  for (const Gauge& gauge : all) {
    if (known.find(gauge.group) == std::string::npos) {
      known += (known.empty() ? "" : ", ") + std::string(gauge.group);
    }
  }
  for (const std::string& group : groups) {
    if (std::none_of(all.begin(), all.end(),
                     [&group](const Gauge& gauge) { return group == gauge.group; })) {
      throw Error(Errc::invalid, "no gauge of a GPU is called '" + group + "'",
                  "choose from: " + known);
    }
  }
}

}  // namespace wattring::nvml
