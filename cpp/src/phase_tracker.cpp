// SPDX-License-Identifier: Apache-2.0
#include "phase_tracker.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace wattring {
namespace {

constexpr double prior = 0.05;
// The clocks of a device and of the machine drift apart, by less than this of a period from one
// time to the next: the period is never held to be known better.
constexpr double drift = 1e-5;

}  // namespace

PhaseTracker::PhaseTracker(std::int64_t refresh_ns, std::int64_t jitter_ns) noexcept
    : refresh_ns_(static_cast<double>(refresh_ns)),
      jitter_ns_(static_cast<double>(jitter_ns)),
      prior_{(1 - prior) * refresh_ns_, (1 + prior) * refresh_ns_} {}

// The time of an update, k after the one at base_ns_.
PhaseTracker::Span PhaseTracker::at(double k) const noexcept {
  Span span{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (std::size_t i = 0; i < size_; ++i) {
    const double t = vertices_[i].phase_ns + k * vertices_[i].period_ns;
    span = {std::min(span.low, t), std::max(span.high, t)};
  }
  return span;
}

PhaseTracker::Span PhaseTracker::periods() const noexcept {
  Span span{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (std::size_t i = 0; i < size_; ++i) {
    span = {std::min(span.low, vertices_[i].period_ns),
            std::max(span.high, vertices_[i].period_ns)};
  }
  return span;
}

double PhaseTracker::nearest_k(double t_ns) const noexcept {
  const Span phases = at(0);
  const Span all = periods();
  return std::round((t_ns - (phases.low + phases.high) / 2) / ((all.low + all.high) / 2));
}

void PhaseTracker::box(Span phases, Span periods) noexcept {
  vertices_[0] = {phases.low, periods.low};
  vertices_[1] = {phases.high, periods.low};
  vertices_[2] = {phases.high, periods.high};
  vertices_[3] = {phases.low, periods.high};
  size_ = 4;
}

void PhaseTracker::start(double low, double high, Span periods) noexcept {
  box({low - jitter_ns_, high + jitter_ns_}, periods);
  agreed_ = 1;
  odd_ = 0;
  ++starts_;
}

// Counts from another update, so that numbers stay small.
void PhaseTracker::move_to(double k) noexcept {
  const Span span = at(k);
  const double shift_ns = std::round((span.low + span.high) / 2);
  for (std::size_t i = 0; i < size_; ++i) {
    vertices_[i].phase_ns += k * vertices_[i].period_ns - shift_ns;
  }
  base_ns_ += static_cast<std::int64_t>(shift_ns);
}

// Leaves the part in which a coordinate is in a span (I. E. Sutherland and G. W. Hodgman, CACM 17,
// 1974). False, and nothing done, when there is none.
bool PhaseTracker::cut(double Vertex::* axis, Span span) noexcept {
  std::array<Vertex, most_vertices + 2> from{};
  std::copy_n(vertices_.begin(), size_, from.begin());
  std::size_t count = size_;
  for (const auto& [sign, limit] : {std::pair{1.0, span.low}, std::pair{-1.0, -span.high}}) {
    std::array<Vertex, most_vertices + 2> to{};
    std::size_t left = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Vertex& a = from[i];
      const Vertex& b = from[(i + 1) % count];
      const double inside_a = sign * a.*axis - limit;
      const double inside_b = sign * b.*axis - limit;
      if (inside_a >= 0) {
        to[left++] = a;
      }
      if ((inside_a >= 0) != (inside_b >= 0)) {
        const double part = inside_a / (inside_a - inside_b);
        to[left++] = {a.phase_ns + part * (b.phase_ns - a.phase_ns),
                      a.period_ns + part * (b.period_ns - a.period_ns)};
      }
    }
    from = to;
    count = left;
  }
  if (count == 0) {
    return false;
  }
  std::copy_n(from.begin(), std::min(count, most_vertices), vertices_.begin());
  size_ = std::min(count, most_vertices);
  const Span left = periods();
  const double least = 2 * drift * refresh_ns_;
  if (left.width() < least || count + 2 > most_vertices) {
    const double middle = (left.low + left.high) / 2;
    const double half = std::max(left.width(), least) / 2;
    box(at(0), {middle - half, middle + half});
  }
  return true;
}

void PhaseTracker::know_period(Span periods) noexcept {
  prior_ = {std::max(prior_.low, periods.low), std::min(prior_.high, periods.high)};
  if (size_ > 0) {
    cut(&Vertex::period_ns, periods);
  }
}

void PhaseTracker::see(std::int64_t earliest_ns, std::int64_t latest_ns) noexcept {
  if (size_ == 0) {
    base_ns_ = earliest_ns;
    last_ns_ = latest_ns;
    start(0, static_cast<double>(latest_ns - earliest_ns), prior_);
    return;
  }
  const auto low = static_cast<double>(earliest_ns - base_ns_);
  const auto high = static_cast<double>(latest_ns - base_ns_);
  // Since the last one at most one update was due.
  const auto last = static_cast<double>(last_ns_ - base_ns_);
  const Span missed = at(nearest_k((last + low) / 2));
  const bool is_missed = missed.low - jitter_ns_ > last && missed.high + jitter_ns_ < low;
  last_ns_ = latest_ns;
  const double k = nearest_k((low + high) / 2);
  int possible = 0;
  double which = 0;
  for (const double near : {k - 1, k, k + 1}) {
    const Span span = at(near);
    if (span.low <= high + jitter_ns_ && span.high >= low - jitter_ns_) {
      ++possible;
      which = near;
    }
  }
  if (possible == 0 || is_missed) {
    if (contradict()) {
      start(low, high, prior_);
    }
    return;
  }
  if (possible > 1) {
    // Between readings far apart there may be several. Of close ones it says that what is known of
    // the phase was too long ago.
    if (high - low < refresh_ns_ / 2 && at(k).width() > refresh_ns_ / 2) {
      start(low, high, periods());
    }
    return;
  }
  move_to(which);
  const auto shift_ns = static_cast<double>(earliest_ns - base_ns_) - low;
  if (cut(&Vertex::phase_ns, {low + shift_ns - jitter_ns_, high + shift_ns + jitter_ns_})) {
    starts_ = ++agreed_ >= enough ? 0 : starts_;
    odd_ = std::max(0, odd_ - 1);
  }
}

// One update may be odd. Several in a row say that the sensor goes by another clock than thought;
// then all begins anew.
bool PhaseTracker::contradict() noexcept {
  odd_ += oddity;
  if (odd_ <= most_odd && agreed_ >= enough) {
    return false;
  }
  prior_ = {(1 - prior) * refresh_ns_, (1 + prior) * refresh_ns_};
  is_apart_ = true;
  return true;
}

bool PhaseTracker::is_fading(std::int64_t t_ns) const noexcept {
  return starts_ < most_starts &&
         (size_ == 0 ||
          at(nearest_k(static_cast<double>(t_ns - base_ns_))).width() > refresh_ns_ / 2);
}

std::optional<PhaseTracker::Range> PhaseTracker::nearest(std::int64_t t_ns) const noexcept {
  if (!is_known()) {
    return std::nullopt;
  }
  const Span span = at(nearest_k(static_cast<double>(t_ns - base_ns_)));
  return span.width() > refresh_ns_ / 4 ? std::nullopt : std::optional(absolute(span));
}

std::optional<PhaseTracker::Range> PhaseTracker::last_before(std::int64_t before_ns,
                                                             std::int64_t begin_ns,
                                                             std::int64_t end_ns) const noexcept {
  if (!is_known()) {
    return std::nullopt;
  }
  const auto before = static_cast<double>(before_ns - base_ns_);
  const auto begin = static_cast<double>(begin_ns - base_ns_);
  const auto end = static_cast<double>(end_ns - base_ns_);
  // The last that may have been before the reading's end, and the one before it.
  double k = nearest_k(end) + 1;
  while (at(k).low - jitter_ns_ > end) {
    --k;
  }
  Span span = at(k);
  if (span.high + jitter_ns_ > begin && at(k - 1).high >= before - jitter_ns_) {
    return std::nullopt;  // either
  }
  if (span.width() > refresh_ns_ / 4 || span.high < before - jitter_ns_) {
    return std::nullopt;
  }
  span = {std::clamp(span.low, before, end), std::clamp(span.high, before, end)};
  return absolute(span);
}

}  // namespace wattring
