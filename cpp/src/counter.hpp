// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "channel.hpp"
#include "row.hpp"

namespace wattring {

// The one place that knows about wraps: a raw register in, cumulative ticks since the first reading
// out. A step is taken modulo the counter's range; a step that would need more than any possible
// power is a reset (driver reload, suspend, a read that came back as zero): it is marked, nothing
// is added, and counting goes on from the new value.
class Counter {
 public:
  explicit Counter(const Channel& channel) noexcept
      : modulus_(channel.modulus),
        counts_(channel.kind == Kind::counter),
        most_ticks_per_ns_(plausibility * channel.max_power_w / channel.scale * 1e-9),
        slack_ns_(static_cast<double>(
            4 * (channel.refresh_ns > 0 ? channel.refresh_ns : std::int64_t{1'000'000}))),
        wrap_ns_(channel.wrap_s() * 1e9),
        sure_ticks_(counts_ ? whole(most_ticks_per_ns_ * slack_ns_) : 0) {}

  // Feeds one reading taken between the two times; returns its marks.
  std::uint64_t advance(std::uint64_t raw, std::int64_t t_begin_ns,
                        std::int64_t t_end_ns) noexcept {
    // As signed 64-bit, so that one rule serves registers of any width and perf's TPMI events,
    // which keep a 64-bit count but fall by a whole range when the register below them wraps.
    auto step = static_cast<std::int64_t>(raw - last_);
    if (step < 0) {
      step += static_cast<std::int64_t>(modulus_);
    }
    const std::int64_t elapsed_ns = t_end_ns - last_ns_;
    // Nearly every reading: so small a step needs no arithmetic of powers to be believed.
    const bool plain = step >= 0 && step <= sure_ticks_ && elapsed_ns < sure_ns_;
    last_ = raw;
    last_ns_ = t_begin_ns;
    if (!plain) {
      return weigh(raw, step, static_cast<double>(elapsed_ns));
    }
    value_ += static_cast<std::uint64_t>(step);
    return 0;
  }

  // Cumulative ticks since the first reading (a gauge: the last raw value).
  std::uint64_t value() const noexcept { return value_; }

 private:
  // How far above max_power_w a step must lie to be taken for a reset: short steps of a counter
  // with late updates may look a few times too steep.
  static constexpr double plausibility = 4;

  static std::int64_t whole(double number) noexcept {
    return static_cast<std::int64_t>(std::min(number, 9e18));
  }

  // A gauge, the first reading, a step that may be a reset or come after an unseen wrap.
  std::uint64_t weigh(std::uint64_t raw, std::int64_t step, double elapsed_ns) noexcept {
    if (!counts_) {
      value_ = raw;
      return 0;
    }
    if (!started_) {
      started_ = true;
      sure_ns_ = modulus_ != 0 ? whole(wrap_ns_) : std::numeric_limits<std::int64_t>::max();
      return 0;
    }
    if (step < 0 || static_cast<double>(step) > most_ticks_per_ns_ * (elapsed_ns + slack_ns_)) {
      return row::reset;
    }
    value_ += static_cast<std::uint64_t>(step);
    return modulus_ != 0 && elapsed_ns >= wrap_ns_ ? row::ambiguous : 0;
  }

  std::uint64_t modulus_;
  bool counts_;
  bool started_ = false;
  double most_ticks_per_ns_;
  double slack_ns_;
  double wrap_ns_;
  std::int64_t sure_ticks_;  // at most this step is no reset, however soon it comes
  // In less time than this no wrap goes unseen; at first nothing is sure.
  std::int64_t sure_ns_ = std::numeric_limits<std::int64_t>::min();
  std::uint64_t last_ = 0;
  std::int64_t last_ns_ = 0;
  std::uint64_t value_ = 0;
};

}  // namespace wattring
