// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nvml_library.hpp"

namespace wattring::nvml {

// What a GPU tells beside energy and power, each by a call of its own: read only when asked for.
struct Gauge {
  const char* group;   // by which it is asked for
  const char* suffix;  // of the channel's name
  const char* unit;
  double scale;
  // Returns a code.
  int (*read)(const Library& library, Device device, std::uint64_t& value) noexcept;
};

std::span<const Gauge> gauges();

// Throws Error(invalid) for a group that there is not.
void require_groups(const std::vector<std::string>& groups);

}  // namespace wattring::nvml
