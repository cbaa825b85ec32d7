// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

namespace wattring {

// A good reading. Times are in ns after the first row's t_begin.
struct Poll {
  double t_ns;     // middle of the sweep
  double half_ns;  // half of its length
  double value;    // ticks since the first poll
};

// A clock in the time of the polls.
struct Guess {
  double period_ns;
  double phase_ns;

  double updates_until(double t_ns) const { return (t_ns - phase_ns) / period_ns; }
  double time_of(double k) const { return phase_ns + k * period_ns; }
};

// No phase that search() tries is further than half of this from the best, in periods.
inline constexpr int phases_tried = 25;
inline constexpr double phase_margin = 1.0 / phases_tried;

// The guess that fits the polls best, of all phases and the periods from `least_ns` to `most_ns`.
Guess search(std::span<const Poll> polls, double least_ns, double most_ns, double step_ns);

// Whether the polls bear the guess out. Where it places another number of updates between two
// polls than their distance alone suggests, the power must come out as it is just before and after;
// and no other number may do better anywhere. Polls at the very period of the updates tell nothing,
// and fit any guess.
bool is_borne_out(std::span<const Poll> polls, const Guess& guess);

}  // namespace wattring
