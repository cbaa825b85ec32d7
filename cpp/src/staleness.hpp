// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "channel.hpp"
#include "rows.hpp"

namespace wattring {

// A counter that stood still while energy was used.
struct Staleness {
  std::int64_t ns = 0;      // in all
  std::uint64_t times = 0;  // how often
  bool now = false;         // until the last row
};

// Equal values are no sign of it: a load of nothing, or of less than a unit per refresh, explains a
// counter that stands still, and a steady one explains a gauge. What no load explains is a counter
// that stands still for more than four refreshes
//   while a channel that it contains goes on, or
//   and then makes up for all of that time in one step, before and after which it moved steadily.
//
// `channels` are all those of the rows, `refresh_ns` is what is known of this one's (0: nothing).
Staleness staleness_of(const Rows& rows, std::span<const Channel> channels, std::size_t index,
                       std::int64_t refresh_ns);

}  // namespace wattring
