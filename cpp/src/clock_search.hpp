// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace wattring {

// A good reading. Times are in ns after the first row's t_begin.
struct Poll {
  double t_ns;     // middle of the sweep
  double half_ns;  // half of its length
  double value;    // ticks since the first poll
  std::size_t row;
};

// A clock in the time of the polls.
struct Guess {
  double period_ns;
  double phase_ns;

  double updates_until(double t_ns) const { return (t_ns - phase_ns) / period_ns; }
  double time_of(double k) const { return phase_ns + k * period_ns; }
  // The numbers of the last update before a time, and of the nearest; and how far that one is.
  double last_before(double t_ns) const { return std::floor(updates_until(t_ns)); }
  double nearest(double t_ns) const { return std::round(updates_until(t_ns)); }
  double off_ns(double t_ns) const {
    return std::abs(updates_until(t_ns) - nearest(t_ns)) * period_ns;
  }
  // Whether an update is so near to a poll that it may have been on either side.
  bool is_near(const Poll& poll, double margin_ns) const {
    return off_ns(poll.t_ns) <= margin_ns + poll.half_ns;
  }
};

// No phase that is tried is further than half of this from the best, in periods.
inline constexpr int phases_tried = 25;
inline constexpr double phase_margin = 1.0 / phases_tried;

// Looks for the period and phase that fit polls best, over a few of them first and then over more
// and more. It can be done in slices: one step tries one period with all phases, which takes some
// ten microseconds.
class ClockSearch {
 public:
  // Among the periods from `least_ns` to `most_ns`; polls must not be empty.
  ClockSearch(std::vector<Poll> polls, double least_ns, double most_ns);
  // False when there was nothing left to try.
  bool step();

  const std::vector<Poll>& polls() const noexcept { return polls_; }
  // Once all has been tried.
  const Guess& best() const noexcept { return best_; }
  double period_error_ns() const noexcept { return step_ns_; }

 private:
  void begin_round(double least_ns, double most_ns);

  std::vector<Poll> polls_;
  std::span<const Poll> some_;
  double least_ns_ = 0;
  double step_ns_ = 0;
  int periods_ = 0;
  int tried_ = 0;
  Guess best_{};
  double best_sum_ = 0;
};

// What polls say of a guess. Where it places another number of updates between two of them than
// their distance alone suggests, the power comes out as it is just before and after (right), or it
// does not and another number would do better there (wrong). Polls at the very period of the
// updates tell nothing, and fit any guess.
struct Testimony {
  int right = 0;
  int wrong = 0;
  int still = 0;  // no update between two polls, and no change
  int split = 0;  // one update between two polls, and it came before or after one at its very time
};
Testimony testimony(std::span<const Poll> polls, const Guess& guess);

}  // namespace wattring
