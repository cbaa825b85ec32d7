// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace wattring {

// Phase and period of a fast counter's updates, from times between which one of them was: a phase
// lock, which follows the median of updates whose jitter nobody knows, for some ten instructions
// each. PhaseTracker proves more, but takes a bound of the jitter for granted and costs
// microseconds.
//
// First it learns from times close together: a straight line through their middles, by a filter of
// growing memory (alpha and beta as in least squares). Then it follows with a fixed memory.
class EdgeLock {
 public:
  // Forgets all but what the period may be.
  void restart(double period_ns) noexcept {
    *this = EdgeLock();
    period_ns_ = period_ns;
  }

  // An update was between two times, which are less than a period apart.
  void learn(std::int64_t after_ns, std::int64_t until_ns) noexcept {
    const std::int64_t middle_ns = after_ns + (until_ns - after_ns) / 2;
    if (learned_ == 0) {
      edge_ns_ = middle_ns;
      learned_ = 1;
      return;
    }
    const double k = std::max(1.0, nearest_k(middle_ns));
    const double residual = static_cast<double>(middle_ns - edge(k));
    // Some updates' worth of trust in the period that was told: two alone would be noise.
    const double n = learned_ + told;
    correct(k, residual, 2 * (2 * n - 1) / (n * (n + 1)), 6 / (n * (n + 1)));
    if (++learned_ > unjudged) {
      const double off = residual / period_ns_;
      squares_ += off * off;
    }
  }
  // Whether what was learned is a steady beat. Half a poll either way and a jitter of 0.2 periods
  // come to 0.0125; phases at random to 0.083.
  bool is_steady() const noexcept {
    return learned_ >= enough && squares_ < most_square * (learned_ - unjudged);
  }

  // Likewise when it is known: only what speaks against it moves it. One of two times that is the
  // expected edge itself moves it by a small step, to where the update was.
  void follow(std::int64_t after_ns, std::int64_t until_ns) noexcept {
    const auto width = static_cast<double>(until_ns - after_ns);
    if (width > widest * period_ns_) {
      return;
    }
    const std::int64_t middle_ns = after_ns + (until_ns - after_ns) / 2;
    const double k = nearest_k(middle_ns);
    const auto off = static_cast<double>(edge(k) - middle_ns);
    const double reach = std::max(0.0, width / 2 - margin * period_ns_);
    correct(k, std::clamp(off, -reach, reach) - off, gain, damped);
  }

  double period_ns() const noexcept { return period_ns_; }
  std::int64_t edge_ns() const noexcept { return edge_ns_; }  // an expected one
  // The first expected edge, or time so much after it, behind a time.
  std::int64_t next(std::int64_t t_ns, double offset_ns = 0) const noexcept {
    const double ahead = static_cast<double>(t_ns - edge_ns_) - offset_ns;
    const double k = std::floor(ahead / period_ns_) + 1;
    return edge_ns_ + std::llround(k * period_ns_ + offset_ns);
  }

  static constexpr int enough = 40;            // updates to learn from
  static constexpr int unjudged = enough / 2;  // the first ones place the line

 private:
  double nearest_k(std::int64_t t_ns) const noexcept {
    return std::round(static_cast<double>(t_ns - edge_ns_) / period_ns_);
  }
  std::int64_t edge(double k) const noexcept { return edge_ns_ + std::llround(k * period_ns_); }
  void correct(double k, double residual, double alpha, double beta) noexcept {
    edge_ns_ = edge(k) + std::llround(alpha * residual);
    if (k > 0) {
      period_ns_ += beta * residual / k;
    }
  }

  static constexpr double told = 3;
  static constexpr double most_square = 0.04;
  static constexpr double widest = 1.2;
  static constexpr double margin = 0.1;
  static constexpr double gain = 0.12;
  static constexpr double damped = gain * gain / 4;  // critically

  std::int64_t edge_ns_ = 0;
  double period_ns_ = 0;
  int learned_ = 0;
  double squares_ = 0;
};

}  // namespace wattring
