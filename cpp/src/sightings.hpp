// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "clock_search.hpp"

namespace wattring {

// A poll near an update, and whether it saw the update. One that saw more or less than just that
// speaks against the guess, or the load changed there.
struct Sighting {
  enum class Saw : std::uint8_t { no, yes, neither };
  double t_ns;
  double k;  // number of the update
  Saw saw;
};

// An update, and the value that it published.
struct NumberedValue {
  double k;
  double value;
};

// What polls say of the updates that they are nearest to.
class Sightings {
 public:
  Sightings(std::span<const Poll> polls, const Guess& guess, double scale, double quantum)
      : polls_(polls),
        guess_(guess),
        margin_ns_(phase_margin * scale * guess.period_ns),
        quantum_(quantum) {}

  // Whether the poll is far enough from any update to be placed by the clock alone.
  bool is_far(const Poll& poll) const { return !guess_.is_near(poll, margin_ns_); }

  // Did the poll see the update it is nearest to? Only the polls around it that the clock places
  // can tell: by their very values, or by how much energy an update brings just there.
  std::optional<Sighting> of(std::size_t i) const {
    const Poll& poll = polls_[i];
    const Poll* before = nullptr;
    const Poll* after = nullptr;
    for (std::size_t d = 1; d <= reach; ++d) {
      if (before == nullptr && d <= i && is_far(polls_[i - d])) {
        before = &polls_[i - d];
      }
      if (after == nullptr && i + d < polls_.size() && is_far(polls_[i + d])) {
        after = &polls_[i + d];
      }
    }
    if (before == nullptr || after == nullptr) {
      return std::nullopt;
    }
    const double first = guess_.last_before(before->t_ns);
    const double last = guess_.last_before(after->t_ns);
    if (last < guess_.nearest(poll.t_ns) || last - first > most_updates) {
      return std::nullopt;
    }
    return judge(poll, {first, before->value}, (after->value - before->value) / (last - first));
  }

  // Likewise of one of the newest polls, by the two updates dated last: the next ones will have
  // brought as much as those did.
  std::optional<Sighting> of_newest(std::size_t i, const NumberedValue& earlier,
                                    const NumberedValue& last) const {
    for (std::size_t d = 1; d <= reach && i + d < polls_.size(); ++d) {
      if (is_far(polls_[i + d])) {
        return std::nullopt;
      }
    }
    return judge(polls_[i], last, (last.value - earlier.value) / (last.k - earlier.k));
  }

  double margin_ns() const { return margin_ns_; }

 private:
  // By what a poll shows since an update before it, if each one since then brought so much.
  std::optional<Sighting> judge(const Poll& poll, const NumberedValue& before, double each) const {
    const double k = guess_.nearest(poll.t_ns);
    if (k <= before.k || k > before.k + most_updates || !(each >= 4 * quantum_)) {
      return std::nullopt;
    }
    const double seen = (poll.value - before.value) / each - (k - before.k - 1);
    Sighting::Saw saw = Sighting::Saw::neither;
    if (std::abs(seen) < tolerance) {
      saw = Sighting::Saw::no;
    } else if (std::abs(seen - 1) < tolerance) {
      saw = Sighting::Saw::yes;
    }
    return Sighting{poll.t_ns, k, saw};
  }

  static constexpr std::size_t reach = 8;
  static constexpr double most_updates = 8;
  static constexpr double tolerance = 0.3;

  std::span<const Poll> polls_;
  Guess guess_;
  double margin_ns_;
  double quantum_;
};

}  // namespace wattring
