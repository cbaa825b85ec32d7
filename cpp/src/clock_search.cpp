// SPDX-License-Identifier: Apache-2.0
#include "clock_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace wattring {
namespace {

// How badly the polls fit a guess. Polls close to an update could be on either side
// of it and are left out, at a price. Of the others a change without an update is wrong, and so is
// power that jumps where it need not: one update taken for two, or two for one, halves or doubles
// it.
double misfit(std::span<const Poll> polls, const Guess& guess, double enough) {
  constexpr double left_out = 0.05;
  double sum = 0;
  double last_k = 0;
  double last_value = 0;
  double last_power = -1;
  bool started = false;
  for (const Poll& poll : polls) {
    const double updates = guess.updates_until(poll.t_ns);
    const double k = std::floor(updates);
    const double after_ns = (updates - k) * guess.period_ns;
    const double needed_ns = phase_margin * guess.period_ns + poll.half_ns;
    if (after_ns < needed_ns || guess.period_ns - after_ns < needed_ns) {
      sum += left_out;
      continue;
    }
    if (started && k == last_k) {
      sum += poll.value > last_value ? 1 : 0;
    } else if (started) {
      const double power = (poll.value - last_value) / (k - last_k);
      if (last_power >= 0 && power + last_power > 0) {
        sum += std::min(0.5, std::abs(power - last_power) / (power + last_power));
      }
      last_power = power;
    }
    started = true;
    last_k = k;
    last_value = poll.value;
    if (sum > enough) {
      break;
    }
  }
  return sum;
}

}  // namespace

Guess search(std::span<const Poll> polls, double least_ns, double most_ns, double step_ns) {
  Guess best{least_ns, 0};
  double best_sum = std::numeric_limits<double>::infinity();
  const double middle_ns = (polls.front().t_ns + polls.back().t_ns) / 2;
  const auto periods = static_cast<int>((most_ns - least_ns) / step_ns) + 1;
  for (int p = 0; p < periods; ++p) {
    const double period_ns = least_ns + p * step_ns;
    for (int i = 0; i < phases_tried; ++i) {
      const Guess guess{period_ns, middle_ns + period_ns * i / phases_tried};
      const double sum = misfit(polls, guess, best_sum);
      if (sum < best_sum) {
        best = guess;
        best_sum = sum;
      }
    }
  }
  return best;
}

bool is_borne_out(std::span<const Poll> polls, const Guess& guess) {
  struct Interval {
    double energy;
    double updates;
    double suggested;
    double power() const { return energy / updates; }
  };
  int right = 0;
  int wrong = 0;
  int still = 0;  // without an update between two polls there was no change either
  std::vector<Interval> intervals;
  const Poll* last = nullptr;
  double last_k = 0;
  for (const Poll& poll : polls) {
    const double updates = guess.updates_until(poll.t_ns);
    if (std::abs(updates - std::round(updates)) * guess.period_ns <
        phase_margin * guess.period_ns + poll.half_ns) {
      continue;
    }
    const double k = std::floor(updates);
    if (last != nullptr && k > last_k) {
      intervals.push_back({poll.value - last->value, k - last_k,
                           std::max(1.0, std::round((poll.t_ns - last->t_ns) / guess.period_ns))});
    }
    if (last != nullptr && k == last_k) {
      (poll.value == last->value ? still : wrong) += 1;
    }
    if (last == nullptr || k > last_k) {
      last = &poll;
      last_k = k;
    }
  }
  for (std::size_t i = 1; i + 1 < intervals.size(); ++i) {
    const Interval& own = intervals[i];
    const double before = intervals[i - 1].power();
    const double after = intervals[i + 1].power();
    const double power = (before + after) / 2;
    if (power <= 0 || std::abs(before - after) > 0.05 * power) {
      continue;
    }
    const auto off = [&](double n) { return n > 0 ? std::abs(own.energy / n / power - 1) : 1; };
    if (off(own.updates) < 0.08) {
      right += own.updates != own.suggested && off(own.suggested) > 0.12 ? 1 : 0;
    } else if (off(own.updates) > 0.12) {
      wrong += std::min(off(own.updates - 1), off(own.updates + 1)) < 0.06 ? 1 : 0;
    }
  }
  return (right >= 6 || still >= 32) && wrong * 4 <= right + still;
}

}  // namespace wattring
