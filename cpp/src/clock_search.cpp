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

// Adds what polls at an update say that lie between two at no update, which are less than two
// periods apart: polls at the updates' own pace are further.
void count_splits(std::span<const Poll> polls, const Guess& guess, Testimony& found) {
  constexpr double closest = 1.5;  // in periods
  const double margin_ns = phase_margin * guess.period_ns;
  for (std::size_t i = 1; i + 1 < polls.size(); ++i) {
    const Poll& before = polls[i - 1];
    const Poll& after = polls[i + 1];
    if (guess.is_near(polls[i], margin_ns) && !guess.is_near(before, margin_ns) &&
        !guess.is_near(after, margin_ns) &&
        guess.last_before(after.t_ns) == guess.last_before(before.t_ns) + 1 &&
        after.t_ns - before.t_ns < closest * guess.period_ns) {
      const bool is_late = before.value == polls[i].value;
      const bool is_early = polls[i].value == after.value;
      found.split += is_late != is_early ? 1 : 0;
      found.wrong += !is_late && !is_early ? 1 : 0;
    }
  }
}

}  // namespace

ClockSearch::ClockSearch(std::vector<Poll> polls, double least_ns, double most_ns)
    : polls_(std::move(polls)) {
  begin_round(least_ns, most_ns);
}

void ClockSearch::begin_round(double least_ns, double most_ns) {
  constexpr std::size_t first_round = 256;
  const std::size_t n = std::min(polls_.size(), some_.empty() ? first_round : 2 * some_.size());
  some_ = std::span<const Poll>(polls_).subspan((polls_.size() - n) / 2, n);
  // A period that is off by half a step slips by less than the margin until either end.
  const double period_ns = (least_ns + most_ns) / 2;
  const double length_ns = std::max(period_ns, some_.back().t_ns - some_.front().t_ns);
  step_ns_ = 2 * phase_margin * period_ns * period_ns / length_ns;
  least_ns_ = least_ns;
  periods_ = static_cast<int>((most_ns - least_ns) / step_ns_) + 1;
  tried_ = 0;
  best_sum_ = std::numeric_limits<double>::infinity();
}

bool ClockSearch::step() {
  if (tried_ == periods_) {
    if (some_.size() == polls_.size()) {
      return false;
    }
    const double around_ns = periods_ > 1 ? 4 * step_ns_ : 0;
    begin_round(best_.period_ns - around_ns, best_.period_ns + around_ns);
  }
  const double period_ns = least_ns_ + tried_++ * step_ns_;
  const double middle_ns = (polls_.front().t_ns + polls_.back().t_ns) / 2;
  for (int i = 0; i < phases_tried; ++i) {
    const Guess guess{period_ns, middle_ns + period_ns * i / phases_tried};
    const double sum = misfit(some_, guess, best_sum_);
    if (sum < best_sum_) {
      best_ = guess;
      best_sum_ = sum;
    }
  }
  return true;
}

Testimony testimony(std::span<const Poll> polls, const Guess& guess) {
  struct Interval {
    double energy;
    double updates;
    double suggested;
    double power() const { return energy / updates; }
  };
  Testimony found;
  std::vector<Interval> intervals;
  const Poll* last = nullptr;
  double last_k = 0;
  for (const Poll& poll : polls) {
    if (guess.is_near(poll, phase_margin * guess.period_ns)) {
      continue;
    }
    const double k = guess.last_before(poll.t_ns);
    if (last != nullptr && k > last_k) {
      intervals.push_back({poll.value - last->value, k - last_k,
                           std::max(1.0, std::round((poll.t_ns - last->t_ns) / guess.period_ns))});
    }
    if (last != nullptr && k == last_k) {
      (poll.value == last->value ? found.still : found.wrong) += 1;
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
      found.right += own.updates != own.suggested && off(own.suggested) > 0.12 ? 1 : 0;
    } else if (off(own.updates) > 0.12) {
      found.wrong += std::min(off(own.updates - 1), off(own.updates + 1)) < 0.06 ? 1 : 0;
    }
  }
  count_splits(polls, guess, found);
  return found;
}

}  // namespace wattring
