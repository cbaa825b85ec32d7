// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "channel.hpp"
#include "clock_search.hpp"
#include "rows.hpp"
#include "update_times.hpp"

namespace wattring {

// A value that the counter took, and the instant of the update that published it.
struct DatedValue {
  double t_ns;  // after the first row's t_begin
  std::uint64_t value;
  std::size_t row;  // that shows it
};

// Finds the clock of one channel's updates from half a thousand rows or more. A single poll tells
// when an update was only to the time since the poll before it; but updates are steady, so that
// polls at another period slide past them, as a vernier's lines do, and a run of polls that did or
// did not see the next update pins them to a hundredth of the period; or some polls are made at the
// updates on purpose. That takes some milliseconds and can be done in steps of some ten
// microseconds.
//
// It finds nothing where the evidence is thin: too few rows, polls slow or at the very period of
// the updates, a period that is not steady, an idle counter, a load too erratic to tell one update
// from two.
class ClockFinder {
 public:
  static constexpr std::size_t fewest_rows = 400;
  static constexpr std::size_t most_rows = 1024;  // more would only take longer

  // `quantum` is the counter's unit in ticks.
  ClockFinder(const Rows& rows, std::size_t index, const Channel& channel, std::uint64_t quantum);
  bool step();  // false when there was nothing left to do
  std::optional<UpdateClock> result() const;

 private:
  std::int64_t origin_ns_;
  double quantum_;
  std::optional<ClockSearch> search_;
};

// The clock in these rows, 50 or more, given what was known from others. From rows nearby that
// takes some microseconds, else some hundred. Nothing when the rows contradict it.
std::optional<UpdateClock> follow_clock(const Rows& rows, std::size_t index, std::uint64_t quantum,
                                        const UpdateClock& known);

// The updates that these rows saw, dated by the clock, in the order of time. Rows that lie so close
// to an update that nothing tells on which side they are give none. Empty when the rows contradict
// the clock.
std::vector<DatedValue> date_updates(const Rows& rows, std::size_t index, std::uint64_t quantum,
                                     const UpdateClock& clock);

}  // namespace wattring
