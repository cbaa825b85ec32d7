// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "update_clock.hpp"

namespace wattring {

// What is known of the clock of one channel's updates, kept from one estimate to the next.
struct KnownClock {
  std::optional<UpdateClock> clock;
  int failures = 0;                  // in a row, to find it again
  std::int64_t search_again_ns = 0;  // not before rows that are as new as this
  bool searched_elsewhere = false;   // look() only follows what is known
  std::int64_t found_ns = 0;         // newest row that the clock was found from

  // Whether the clock holds at this time without being looked at again.
  bool is_fresh(std::int64_t t_ns) const noexcept {
    return clock && std::abs(static_cast<double>(t_ns - found_ns)) < 64 * clock->period_ns;
  }
  bool may_search(std::int64_t newest_ns) const noexcept {
    return !clock && !searched_elsewhere && newest_ns >= search_again_ns;
  }
  // Makes sure of it by these rows. False when they don't tell.
  bool look(const Rows& rows, std::size_t index, const Channel& channel, std::uint64_t quantum);

  // Keeps what was found, or not, in rows of which the newest is this old.
  bool take(const std::optional<UpdateClock>& found, std::int64_t newest_ns);

  static constexpr int most_failures = 8;
  // A search costs milliseconds.
  static constexpr std::int64_t search_pause_ns = 5'000'000'000;
};

}  // namespace wattring
