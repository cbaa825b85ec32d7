// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "phase_tracker.hpp"
#include "update_clock.hpp"

namespace wattring {

// What is known of the clock of one channel's updates, kept from one estimate to the next.
struct KnownClock {
  std::optional<UpdateClock> clock;
  int failures = 0;                           // in a row, to find it again
  std::int64_t search_again_ns = 0;           // not before rows that are as new as this
  std::int64_t pause_ns = shortest_pause_ns;  // after the next search that finds none
  bool searched_elsewhere = false;            // look() only follows what is known
  std::int64_t found_ns = 0;                  // newest row that the clock was found from
  // Of a slow counter, which is read too seldom for all that.
  std::optional<PhaseTracker> phase;
  std::int64_t phase_ns = 0;  // newest row that it knows of

  // Whether the clock holds at this time without being looked at again.
  bool is_fresh(std::int64_t t_ns) const noexcept {
    return clock && std::abs(static_cast<double>(t_ns - found_ns)) < 64 * clock->period_ns;
  }
  bool may_search(std::int64_t newest_ns) const noexcept {
    return !clock && !searched_elsewhere && newest_ns >= search_again_ns;
  }
  // A slow counter went on between two readings. Calls in the order of time; what is known already
  // may be told again.
  void see_change(const Channel& channel, const Rows& rows, Pair pair) noexcept;
  // Makes sure of it by these rows. False when they don't tell.
  bool look(const Rows& rows, std::size_t index, const Channel& channel, std::uint64_t quantum);

  // Keeps what was found, or not, in rows of which the newest is this old.
  bool take(const std::optional<UpdateClock>& found, std::int64_t newest_ns);

  static constexpr int most_failures = 8;
  // A search costs milliseconds: after each in a row that found none, twice as long goes by. The
  // first is made in few rows, and soon there are more.
  static constexpr std::int64_t shortest_pause_ns = 500'000'000;
  static constexpr std::int64_t longest_pause_ns = 8'000'000'000;
};

// Tells the clocks of slow counters what rows saw, which may overlap with those of before.
void follow_phases(const Rows& rows, std::span<const Channel> channels,
                   std::vector<KnownClock>& clocks);

}  // namespace wattring
