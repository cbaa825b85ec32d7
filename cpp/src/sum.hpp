// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "mark.hpp"

namespace wattring {

// A sum that stays right to the last digits however many terms it has: terms are added up plainly,
// and fold(), to be called every `terms_per_fold` of them, adds that with what was lost (Neumaier).
class Sum {
 public:
  static constexpr std::uint64_t terms_per_fold = 1024;

  void add(double x) noexcept { recent_ += x; }
  void fold() noexcept {
    const double sum = sum_ + recent_;
    // An infinite term makes the sum infinite for good; the correction would turn it into a NaN.
    if (std::isfinite(sum)) {
      correction_ +=
          std::abs(sum_) >= std::abs(recent_) ? (sum_ - sum) + recent_ : (recent_ - sum) + sum_;
    }
    sum_ = sum;
    recent_ = 0;
  }
  double get() const noexcept { return sum_ + (correction_ + recent_); }

 private:
  double recent_ = 0;
  double sum_ = 0;
  double correction_ = 0;
};

// An energy and its bounds, in joules.
struct BoundedSum {
  Sum lower_j;
  Sum value_j;
  Sum upper_j;

  void add(double lower, double value, double upper) noexcept {
    lower_j.add(lower);
    value_j.add(value);
    upper_j.add(upper);
  }
  void fold() noexcept {
    lower_j.fold();
    value_j.fold();
    upper_j.fold();
  }
};

// The same of windows of which each begins after the one before has ended. Together they take no
// more than runs from the first of a run to its last, so that each adds to the upper bound only
// what lies above what was reached before: with U and L the bounds of E(t), U(end) − max(U(last
// end), L(begin)). By itself each would add the uncertainty of two readings, and a million short
// ones a million times that.
struct ChainedSum : BoundedSum {
  // Adds a window that ended at `end`; energy.upper_j is U(end) − L(begin), or infinite. Returns
  // what it adds to the upper bound.
  double add_next(const ChannelEnergy& energy, const Standing& end) noexcept {
    double added_j = energy.upper_j;
    if (std::isfinite(reached_j_) && std::isfinite(added_j)) {
      added_j = std::min(added_j, end.upper_j - reached_j_ + energy.spread_j);
    }
    reached_j_ = end.upper_j;
    add(energy.lower_j, energy.value_j, added_j);
    return added_j;
  }

 private:
  double reached_j_ = std::numeric_limits<double>::infinity();  // nothing yet
};

}  // namespace wattring
