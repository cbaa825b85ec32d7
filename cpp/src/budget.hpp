// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace wattring {

// Keeps the time that reading takes to a share of all time, where reading holds up the measured
// program (a GPU's driver has a lock that the program's own calls need as well). Readings are left
// out evenly while nobody waits for one; what that saves is there for when somebody does. One
// thread.
class Budget {
 public:
  // `share` of the time; readings come `period_ns` apart at least.
  Budget(double share, std::int64_t period_ns) noexcept
      : share_(share), period_ns_(static_cast<double>(period_ns)), credit_ns_(share * first_ns) {}

  // Whether a reading may be made now. Somebody waits for some that are `close_ns` apart, or nobody
  // does (nothing).
  bool allows(std::int64_t now_ns, std::optional<std::int64_t> close_ns) noexcept {
    const auto since_ns = static_cast<double>(now_ns - counted_ns_);
    credit_ns_ =
        counted_ns_ == 0 ? credit_ns_ : std::min(credit_ns_ + share_ * since_ns, share_ * most_ns);
    counted_ns_ = now_ns;
    const bool cheap = cost_ns_ <= share_ * period_ns_;
    const double apart_ns = cheap      ? 0
                            : close_ns ? static_cast<double>(*close_ns)
                                       : cost_ns_ / (evenly * share_);
    // A grid's deadlines come late now and then, and must not be left out for that.
    return static_cast<double>(now_ns - read_ns_) >= apart_ns - period_ns_ / 2 && can_afford(1);
  }

  // Whether so many readings may be made now, close to one another.
  bool can_afford(int readings) const noexcept {
    return credit_ns_ >= std::min(readings * cost_ns_, share_ * most_ns);
  }

  // A reading was made, from one time to another. A stalled one counts as much as may be spent at
  // first: in full, it would stop all reading for minutes.
  void spend(std::int64_t begin_ns, std::int64_t end_ns) noexcept {
    const auto took_ns = static_cast<double>(end_ns - begin_ns);
    const double cost_ns = std::min(took_ns, std::max(share_ * first_ns, unusual * cost_ns_));
    if (read_ns_ == 0) {
      cost_ns_ = cost_ns;
    } else if (cost_ns < cost_ns_) {
      cost_ns_ += (cost_ns - cost_ns_) / 2;
    } else {
      cost_ns_ += (std::min(cost_ns, unusual * cost_ns_) - cost_ns_) / 8;
    }
    credit_ns_ -= cost_ns;
    read_ns_ = begin_ns;
  }

 private:
  // The time whose share may be spent at once: at first, and ever.
  static constexpr double first_ns = 16e9;
  static constexpr double most_ns = 20e9;
  // Of the share, what is spent while nobody waits.
  static constexpr double evenly = 0.1;
  // So many times a usual reading is a stall.
  static constexpr double unusual = 8;

  double share_;
  double period_ns_;
  double credit_ns_;
  double cost_ns_ = 0;  // of a usual reading
  std::int64_t counted_ns_ = 0;
  std::int64_t read_ns_ = 0;
};

}  // namespace wattring
