// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "channel.hpp"
#include "rows.hpp"

namespace wattring {

// When a counter publishes: at phase_ns + k × period_ns. A single poll tells that only to the time
// since the poll before it; but updates are steady, so that polls at another period slide past
// them, as a vernier's lines do, and a run of polls that did or did not see the next update pins
// them to a hundredth of the period.
struct UpdateClock {
  double period_ns = 0;
  std::int64_t phase_ns = 0;  // one of the updates, near the rows that the clock was found from
};

// A value that the counter took, and the instant of the update that published it.
struct DatedValue {
  double t_ns;  // after the first row's t_begin
  std::uint64_t value;
};

// The clock of one channel's updates in these rows; nothing where the evidence is thin: too few
// changes, polls too slow or at the very period of the updates, a period that is not steady, a load
// too erratic to tell one update from two. `quantum` is the counter's unit in ticks.
//
// Given what was `known` from other rows it needs some 50 rows and microseconds, else half a
// thousand rows and some milliseconds.
std::optional<UpdateClock> find_clock(const Rows& rows, std::size_t index, const Channel& channel,
                                      std::uint64_t quantum,
                                      const std::optional<UpdateClock>& known);
inline constexpr std::size_t fewest_polls = 48;
inline constexpr std::size_t fewest_polls_to_search = 400;
inline constexpr std::size_t most_polls_to_search = 1024;

// The updates that these rows saw, dated by the clock, in the order of time. Rows that lie so close
// to an update that nothing tells on which side they are give none. Empty when the rows contradict
// the clock.
std::vector<DatedValue> date_updates(const Rows& rows, std::size_t index, std::uint64_t quantum,
                                     const UpdateClock& clock);

}  // namespace wattring
