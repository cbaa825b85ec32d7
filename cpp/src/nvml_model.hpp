// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace wattring::nvml {

// How a GPU's sensor behaves: it publishes every refresh, the mean over the time before. 0:
// unknown.
struct Sensor {
  std::int64_t refresh_ns = 0;
  std::int64_t averaging_ns = 0;
  bool operator==(const Sensor&) const = default;
};

// The sensors of one GPU, and where that is known from.
struct Sensors {
  Sensor counter;                 // nvmlDeviceGetTotalEnergyConsumption
  Sensor instant;                 // field 186
  Sensor average;                 // field 185
  bool usage_is_average = false;  // what nvmlDeviceGetPowerUsage gives
  std::string origin;
};

// As published: of `architecture` (NVML's number), by the names of those cards that differ from
// others of their architecture.
Sensors published_sensors(unsigned architecture, const std::string& name);

}  // namespace wattring::nvml
