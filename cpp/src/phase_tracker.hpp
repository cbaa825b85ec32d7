// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace wattring {

// When a sensor publishes, by few readings: all pairs of a phase and a period that agree with what
// was seen, as a polygon of which each update that two readings bracket cuts off a part. It takes
// readings of any pattern, as long as they come close together now and then, where a search
// (update_clock.hpp) needs hundreds in a row. What it cannot tell it does not tell. No allocation;
// one thread.
class PhaseTracker {
 public:
  // The published refresh: the period is within 5 % of it (SC'24 finds 99 to 104 ms of 100, and
  // 20 to 21 ms of 20). Updates come early or late by up to `jitter_ns`.
  PhaseTracker(std::int64_t refresh_ns, std::int64_t jitter_ns) noexcept;
  explicit PhaseTracker(std::int64_t refresh_ns) noexcept
      : PhaseTracker(refresh_ns, refresh_ns / 100) {}

  struct Span {
    double low;
    double high;
    double width() const noexcept { return high - low; }
  };
  // What the period may be, in ns.
  Span periods() const noexcept;
  // Whether that says anything of sensors of the same refresh.
  bool tells_period() const noexcept { return agreed_ > 1 && !is_apart_; }
  // What is known of it from elsewhere; now and whenever it begins anew.
  void know_period(Span periods) noexcept;

  struct Range {
    std::int64_t earliest_ns;
    std::int64_t latest_ns;
    std::int64_t middle_ns() const noexcept { return earliest_ns + (latest_ns - earliest_ns) / 2; }
  };

  std::int64_t refresh_ns() const noexcept { return static_cast<std::int64_t>(refresh_ns_); }

  // One update or more was in this time, and none since the one before.
  void see(std::int64_t earliest_ns, std::int64_t latest_ns) noexcept;
  // When the last update was of those that a reading between two times shows, if the reading before
  // that, which does not show it, began at `before_ns`. Nothing where that is not certain.
  std::optional<Range> last_before(std::int64_t before_ns, std::int64_t begin_ns,
                                   std::int64_t end_ns) const noexcept;
  // When the update nearest to a time is; as long as that is known to a quarter of a period.
  std::optional<Range> nearest(std::int64_t t_ns) const noexcept;
  // Whether close readings are needed now lest what is known becomes too vague to go on from; not
  // of a sensor that has failed to keep a phase too often.
  bool is_fading(std::int64_t t_ns) const noexcept;

 private:
  // After base_ns_, and from one update to the next.
  struct Vertex {
    double phase_ns;
    double period_ns;
  };
  static constexpr std::size_t most_vertices = 24;

  bool is_known() const noexcept { return agreed_ >= enough; }
  Span at(double k) const noexcept;
  double nearest_k(double t_ns) const noexcept;
  void start(double low, double high, Span periods) noexcept;
  void box(Span phases, Span periods) noexcept;
  void move_to(double k) noexcept;
  bool cut(double Vertex::* axis, Span span) noexcept;
  bool contradict() noexcept;
  Range absolute(Span span) const noexcept {
    return {base_ns_ + static_cast<std::int64_t>(span.low),
            base_ns_ + static_cast<std::int64_t>(span.high)};
  }

  // So many updates that agree make it known.
  static constexpr int enough = 10;
  // One in nine may be odd.
  static constexpr int oddity = 8;
  static constexpr int most_odd = 2 * oddity;
  static constexpr int most_starts = 16;

  double refresh_ns_;
  double jitter_ns_;
  Span prior_;  // of the period
  std::int64_t base_ns_ = 0;
  std::array<Vertex, most_vertices> vertices_{};
  std::size_t size_ = 0;
  int agreed_ = 0;            // since it was started
  bool is_apart_ = false;     // goes by another period than those that it was told of
  int starts_ = 0;            // since it was known last
  int odd_ = 0;               // those that did not agree, by weight, less those that did since
  std::int64_t last_ns_ = 0;  // until when the last update was seen
};

// Sensors of one refresh go by one period, if they are of one model under one driver: what each of
// them lets it be holds for all. `tracker_of(element)` is a pointer, or null.
template <typename Elements, typename TrackerOf>
void share_periods(Elements& elements, TrackerOf tracker_of) noexcept {
  constexpr double apart = 1e-3;  // as much may each be off
  for (auto& element : elements) {
    PhaseTracker* const own = tracker_of(element);
    if (own == nullptr || !own->tells_period()) {
      continue;
    }
    PhaseTracker::Span common = own->periods();
    const PhaseTracker::Span before = common;
    for (auto& other : elements) {
      const PhaseTracker* const from = tracker_of(other);
      if (from != nullptr && from->tells_period() && from->refresh_ns() == own->refresh_ns()) {
        const PhaseTracker::Span span = from->periods();
        common = {std::max(common.low, (1 - apart) * span.low),
                  std::min(common.high, (1 + apart) * span.high)};
      }
    }
    if (common.low < common.high && common.width() < before.width()) {
      own->know_period(common);
    }
  }
}

}  // namespace wattring
