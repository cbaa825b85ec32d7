// SPDX-License-Identifier: Apache-2.0
// The deadlines of sweeps that follow the updates of counters.
#include <algorithm>
#include <cmath>

#include "adaptive.hpp"

namespace wattring {
namespace {

constexpr int polls_a_refresh = 3;  // while it learns
constexpr double sweeps_a_mean = 64;
constexpr double good_enough = 0.8;  // of the best distance from an edge

}  // namespace

// The middle of the longest time in which no counter is expected to be updated, once what is used
// lies too near to its ends.
void Adaptive::choose_offset() noexcept {
  const double period_ns = lead().period_ns();
  const auto in_period = [&](double t_ns) {
    return t_ns - std::floor(t_ns / period_ns) * period_ns;
  };
  std::size_t count = 0;
  double now_ns = period_ns;  // distance of the present offset from the nearest edge
  for (const Watched& counter : watched_) {
    if (counter.followed) {
      const double phase_ns =
          in_period(static_cast<double>(counter.lock.edge_ns() - lead().edge_ns()));
      phases_[count++] = phase_ns;
      const double off_ns = in_period(offset_ns_ - phase_ns);
      now_ns = std::min({now_ns, off_ns, period_ns - off_ns});
    }
  }
  std::sort(phases_.begin(), phases_.begin() + static_cast<std::ptrdiff_t>(count));
  double longest_ns = 0;
  double middle_ns = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double end_ns = i + 1 < count ? phases_[i + 1] : phases_[0] + period_ns;
    if (end_ns - phases_[i] > longest_ns) {
      longest_ns = end_ns - phases_[i];
      middle_ns = phases_[i] + longest_ns / 2;
    }
  }
  if (now_ns < good_enough * longest_ns / 2) {
    offset_ns_ = in_period(middle_ns);
  }
}

std::int64_t Adaptive::step_ns() const noexcept {
  return state_.load(std::memory_order_relaxed) == State::learning
             ? std::llround(guess_ns_ / polls_a_refresh)
             : period_ns();
}

std::int64_t Adaptive::plan(std::int64_t deadline_ns) noexcept {
  if (state_.load(std::memory_order_relaxed) != State::following) {
    return deadline_ns + step_ns();
  }
  const auto quarter_ns = std::llround(lead().period_ns() / 4);
  if (!at_edge_) {
    slot_ns_ = deadline_ns;
  }
  // A shift of the slots makes one of these times shorter, never longer by more than a quarter: no
  // update is passed over.
  const std::int64_t slot_ns =
      std::max(lead().next(slot_ns_ + quarter_ns, offset_ns_ - lateness_ns_), deadline_ns + 1);
  if (!at_edge_ && ++since_probe_ >= slots_a_probe) {
    since_probe_ = 0;
    do {
      probed_ = (probed_ + 1) % watched_.size();
    } while (!watched_[probed_].followed);
    const std::int64_t edge_ns = watched_[probed_].lock.next(deadline_ns + quarter_ns / 4);
    if (edge_ns < slot_ns - quarter_ns / 4) {
      at_edge_ = true;
      return edge_ns;
    }
  }
  at_edge_ = false;
  return slot_ns;
}

std::int64_t Adaptive::next(std::int64_t deadline_ns, std::int64_t now_ns) noexcept {
  was_at_edge_ = at_edge_;
  const auto lateness_ns = static_cast<double>(std::min(now_ns - deadline_ns, step_ns()));
  // The usual lateness is allowed for.
  late_ += lateness_ns - lateness_ns_ > static_cast<double>(step_ns()) / 4 ? 1 : 0;
  lateness_ns_ += (lateness_ns - lateness_ns_) / sweeps_a_mean;
  return plan(deadline_ns);
}

std::uint64_t Adaptive::skip(std::int64_t& deadline_ns, std::int64_t now_ns) noexcept {
  std::uint64_t skipped = 0;
  const std::int64_t steps = (now_ns - deadline_ns) / step_ns();
  if (steps > 2) {
    skipped += static_cast<std::uint64_t>(steps);
    deadline_ns += steps * step_ns();
    at_edge_ = false;
  }
  while (deadline_ns <= now_ns) {
    skipped += at_edge_ ? 0 : 1;
    deadline_ns = plan(deadline_ns);
  }
  return skipped;
}

}  // namespace wattring
