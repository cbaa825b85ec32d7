// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "channel.hpp"
#include "ring.hpp"
#include "rows.hpp"
#include "update_clock.hpp"

namespace wattring {

// Where the cumulative energy E(t) of a counter stood at one time, in joules since its first
// reading.
struct Standing {
  double lower_j = 0;
  double value_j = 0;
  double upper_j = 0;  // infinite where no later row proves one
  bool still =
      false;  // upper_j rests on the counter having stood still for longer than its refresh
};

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

// The bounds are proofs from the rows, for a counter that is right and monotone, with q its unit:
//   a row proves E(t) ≥ its value for every t ≥ its t_end;
//   two readings in a row that differ prove an update after the first one's t_begin, hence
//   E(t) < second value + q for every t ≤ that t_begin.
// The value between them interpolates linearly between update instants.
//
// It is better where the updates' clock is known, and finds that out where it may (null: not at
// all).
Standing stand(const Rows& rows, std::size_t index, const Channel& channel, std::int64_t t_ns,
               KnownClock* known = nullptr);

// The counter's unit in ticks, or a multiple: at most what the channel says, and what all steps in
// these rows are multiples of.
std::uint64_t quantum_of(const Rows& rows, std::size_t index, const Channel& channel);

// stand() for every counter of a source, from the rows in its ring around t_ns; `known` has an
// element per channel. Throws Error(state) when t_ns lies before the oldest row.
std::vector<Standing> stand(const Ring& ring, std::span<const Channel> channels, std::int64_t t_ns,
                            std::vector<KnownClock>* known = nullptr);

// Whether later rows say all that they can about t_ns: a quick row saw each counter move since, or
// each had the time to.
bool covered(const Ring& ring, std::span<const Channel> channels, std::int64_t t_ns);

// The first row that ended after t_ns (head() if none).
std::uint64_t row_after(const Ring& ring, std::int64_t t_ns) noexcept;

// A reading whose two time stamps lie far apart (the sampler was interrupted in between) says
// little about when an update was.
bool is_quick(std::int64_t sweep_ns, const Channel& channel) noexcept;

// A counter is held to stand still when this much time brought no update.
std::int64_t patience_ns(const Channel& channel) noexcept;

}  // namespace wattring
