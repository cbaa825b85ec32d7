// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "clock.hpp"

// A program that links virtual_clock.cpp has a clock that jumps over what its sampling thread would
// sleep: hours pass in seconds, and the code of the product is what runs. The main thread sleeps
// really; of other threads there may be one.
namespace wattring::virtual_clock {

inline constexpr std::int64_t began_ns = 1'000 * ns_per_s;
inline constexpr std::int64_t tick_ns = 400;  // between two looks of the sampling thread at it

// Called on the sampling thread in the place of a sleep to the deadline; returns the time at which
// it wakes up.
extern std::int64_t (*on_sleep)(std::int64_t deadline_ns) noexcept;

}  // namespace wattring::virtual_clock
