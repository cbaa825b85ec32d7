// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace wattring {

// When a counter publishes: at phase_ns + k × period_ns.
struct UpdateClock {
  double period_ns = 0;
  std::int64_t phase_ns = 0;  // one of the updates, near those that tell it
};

}  // namespace wattring
