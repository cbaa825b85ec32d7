// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "channel.hpp"
#include "ring.hpp"
#include "rows.hpp"
#include "staleness.hpp"

namespace wattring {

// Why the refresh of a channel can or cannot be told from rows.
enum class Evidence : std::uint8_t {
  enough,
  few_changes,  // too few of them
  idle,         // a counter that moves by a unit or two: that is the load's pace, not the sensor's
  slow_polls,   // a change at nearly every reading: the sensor is as quick or quicker
  unsteady,     // no period that most of the changes keep to
};

// How often a channel publishes a new value, as rows show it.
struct ObservedRefresh {
  std::int64_t period_ns = 0;  // 0: unknown
  Evidence evidence = Evidence::few_changes;
  std::uint64_t changes = 0;     // seen
  std::int64_t observed_ns = 0;  // from the first row to the last
  Staleness staleness;
};

// Of one channel; `channels` are all those of the rows.
ObservedRefresh observe_refresh(const Rows& rows, std::span<const Channel> channels,
                                std::size_t index);

// Of each channel, from the newest rows of a ring, at most so many. Takes some milliseconds, or
// some tens where the sensor is as quick as the sampler.
std::vector<ObservedRefresh> observe_refresh(const Ring& ring, std::span<const Channel> channels,
                                             std::size_t most_rows = 65'536);

}  // namespace wattring
