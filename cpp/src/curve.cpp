// SPDX-License-Identifier: Apache-2.0
#include "curve.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace wattring {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

double line(const Knot& a, const Knot& b, std::int64_t t_ns) {
  return static_cast<double>(a.value) + static_cast<double>(b.value - a.value) *
                                            static_cast<double>(t_ns - a.t_ns) /
                                            static_cast<double>(b.t_ns - a.t_ns);
}

}  // namespace

std::int64_t patience_ns(const Channel& channel) noexcept {
  return 4 * (channel.refresh_ns > 0 ? channel.refresh_ns : 25'000'000);
}

int updates_after(const Channel& channel) noexcept { return channel.is_slow() ? 2 : 1; }

std::int64_t reach_ns(const Channel& channel) noexcept {
  return channel.lag_ns() + updates_after(channel) * channel.refresh_ns;
}

std::size_t Bits::next(std::size_t i) const noexcept {
  if (i >= size_) {
    return size_;
  }
  std::size_t word = i / 64;
  std::uint64_t bits = words_[word] & (~std::uint64_t{0} << (i % 64));
  while (bits == 0) {
    if (++word == words_.size()) {
      return size_;
    }
    bits = words_[word];
  }
  return word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
}

std::size_t Bits::previous(std::size_t i) const noexcept {
  if (i == 0) {
    return size_;
  }
  std::size_t word = (i - 1) / 64;
  std::uint64_t bits = words_[word] & (~std::uint64_t{0} >> (63 - (i - 1) % 64));
  while (bits == 0) {
    if (word-- == 0) {
      return size_;
    }
    bits = words_[word];
  }
  return word * 64 + 63 - static_cast<std::size_t>(std::countl_zero(bits));
}

Curve::Curve(const Rows& rows, std::size_t index, const Channel& channel, std::uint64_t quantum,
             std::vector<RowDate> dates)
    : rows_(rows),
      index_(index),
      channel_(channel),
      quantum_(quantum),
      dates_(std::move(dates)),
      dated_(dates_.size()),
      turns_(dates_.size()) {
  for (std::size_t i = 0; i < dates_.size(); ++i) {
    if (dates_[i].is_known()) {
      dated_.set(i);
    }
  }
  for_pairs(rows_, index_, [&](Pair pair) {
    if (rows_.reading(pair.second, index_) != rows_.reading(pair.first, index_) ||
        (rows_.marks(pair.second, index_) & (row::reset | row::ambiguous)) != 0) {
      turns_.set(pair.second);
    }
  });
}

// rows_.size() if there is none.
std::size_t Curve::last_good_before(std::size_t row) const noexcept {
  while (row-- > 0) {
    if ((rows_.marks(row, index_) & row::failed) == 0) {
      return row;
    }
  }
  return rows_.size();
}

// Between the updates before and after, around the time that the readings of then are about.
Standing Curve::of_integral(std::int64_t t_ns) const noexcept {
  const std::int64_t about_ns = t_ns + channel_.delay_ns();
  const auto row_at = [&](std::int64_t t) { return rows_.after(t, 0, rows_.size()); };
  const std::int64_t early_ns = about_ns - channel_.blur_ns();
  const std::int64_t late_ns = about_ns + channel_.blur_ns();
  const std::size_t after = row_at(about_ns);
  Standing standing = of_counter(early_ns, row_at(early_ns));
  standing.upper_j = of_counter(late_ns, row_at(late_ns)).upper_j;
  standing.value_j =
      std::clamp(value_at(about_ns, after) * channel_.scale, standing.lower_j, standing.upper_j);
  if (after > 0) {
    standing.variance_j2 = static_cast<double>(rows_.reading(after - 1, index_ + 1)) * 1e6 *
                           channel_.scale * channel_.scale;
  }
  return standing;
}

Standing Curve::of_counter(std::int64_t t_ns, std::size_t after) const noexcept {
  // Of a failed reading: the last good one, which holds as well.
  const std::uint64_t lower = after > 0 ? rows_.reading(after - 1, index_) : 0;
  double upper = infinite;
  Standing standing;
  std::size_t turn = turns_.next(after);
  while (turn < turns_.size()) {
    if ((rows_.marks(turn, index_) & (row::reset | row::ambiguous)) != 0) {
      break;  // from here on readings lack an unknown amount
    }
    if (rows_.t_begin(last_good_before(turn)) >= t_ns) {
      upper = static_cast<double>(rows_.reading(turn, index_) + quantum_);
      break;
    }
    turn = turns_.next(turn + 1);
  }
  if (upper == infinite) {
    // As it was read last, if two readings after t say the same.
    const std::size_t last = last_good_before(turn);
    if (last < rows_.size() && rows_.t_begin(last) - t_ns > patience_ns(channel_)) {
      const std::size_t before = last_good_before(last);
      if (before < rows_.size() && rows_.t_begin(before) >= t_ns) {
        upper = static_cast<double>(rows_.reading(last, index_) + quantum_);
        standing.still = true;
      }
    }
  }
  standing.lower_j = static_cast<double>(lower) * channel_.scale;
  standing.upper_j = upper * channel_.scale;
  standing.value_j =
      std::clamp(value_at(t_ns, after) * channel_.scale, standing.lower_j, standing.upper_j);
  return standing;
}

double Curve::value_at(std::int64_t t_ns, std::size_t after) const noexcept {
  // What a row after t shows may have been published before t, by as much as a sweep takes.
  std::size_t b = dated_.next(after);
  while (b < dated_.size() && time_of(b) <= t_ns) {
    b = dated_.next(b + 1);
  }
  std::size_t a = dated_.previous(b);
  while (a < dated_.size() && time_of(a) > t_ns) {
    b = a;
    a = dated_.previous(b);
  }
  if (a == dated_.size() || b == dated_.size()) {
    const std::size_t only = a == dated_.size() ? b : a;
    return static_cast<double>(rows_.reading(only, index_));
  }
  Knot from = knot(a);
  Knot to = knot(b);
  if (const auto still = last_still(a, b)) {
    (t_ns < still->t_ns ? to : from) = *still;
    return line(from, to, t_ns);
  }
  return channel_.is_slow() ? along(from, to, t_ns) : line(from, to, t_ns);
}

// Of a slow sensor. Where the power between two updates lies between those before and after, and
// one of these lasts for longer, it went from the one to the other in one step, and what it was in
// the mean tells when (subcell resolution: A. Harten, J. Comput. Phys. 83, 1989). Of a ramp neither
// lasts.
double Curve::along(const Knot& from, const Knot& to, std::int64_t t_ns) const noexcept {
  constexpr double lasting = 0.2;  // of the step: as much may the power differ
  const std::size_t before = dated_.previous(from.row);
  const std::size_t after = dated_.next(to.row + 1);
  if (before == dated_.size() || after == dated_.size()) {
    return line(from, to, t_ns);
  }
  const auto power = [](const Knot& a, const Knot& b) {
    return static_cast<double>(b.value - a.value) / static_cast<double>(b.t_ns - a.t_ns);
  };
  const Knot left = knot(before);
  const Knot right = knot(after);
  const double power_before = power(left, from);
  const double power_after = power(to, right);
  const double mean = power(from, to);
  const double step = power_after - power_before;
  if ((mean - power_before) * (power_after - mean) <= 0) {
    return line(from, to, t_ns);
  }
  const auto lasts = [&](std::size_t row, const Knot& end, double as) {
    if (row == dated_.size()) {
      return false;
    }
    const Knot far = knot(row);
    const double there = far.t_ns < end.t_ns ? power(far, end) : power(end, far);
    return std::abs(there - as) < lasting * std::abs(step);
  };
  if (!lasts(dated_.previous(before), left, power_before) &&
      !lasts(dated_.next(after + 1), right, power_after)) {
    return line(from, to, t_ns);
  }
  const auto width_ns = static_cast<double>(to.t_ns - from.t_ns);
  const double until_step_ns = (power_after - mean) / step * width_ns;
  const auto since_ns = static_cast<double>(t_ns - from.t_ns);
  return static_cast<double>(from.value) + power_before * std::min(since_ns, until_step_ns) +
         power_after * std::max(since_ns - until_step_ns, 0.0);
}

// Where refreshes between two updates were seen to change nothing, the counter had moved by less
// than its unit until the last of them, whatever it did afterwards. What refreshes did while nobody
// looked (a stalled sampler, a long period) is unknown.
std::optional<Knot> Curve::last_still(std::size_t a, std::size_t b) const noexcept {
  const std::int64_t refresh_ns = channel_.refresh_ns;
  // An integral of a power that stays as it is goes on in steps of its own making.
  if (channel_.kind != Kind::counter || refresh_ns == 0 || dates_[a].is_by_clock() ||
      dates_[b].is_by_clock()) {
    return std::nullopt;
  }
  const std::size_t prior = last_good_before(b);
  const std::uint64_t value = rows_.reading(a, index_);
  if (prior == rows_.size() || rows_.reading(prior, index_) != value) {
    return std::nullopt;  // there was another update in between, which could not be dated
  }
  if (rows_.t_begin(prior) - rows_.t_end(a) < refresh_ns + refresh_ns / 8) {
    return std::nullopt;  // perhaps no refresh was seen at all: polls may be early, updates late
  }
  const std::int64_t unseen_ns = time_of(b) - rows_.t_begin(prior);
  const std::int64_t refreshes =
      std::max<std::int64_t>(1, (unseen_ns + refresh_ns - 1) / refresh_ns);
  const std::int64_t t_ns = time_of(b) - refreshes * refresh_ns;
  if (t_ns <= time_of(a) + refresh_ns / 2) {
    return std::nullopt;
  }
  return Knot{t_ns, std::min(value + quantum_, rows_.reading(b, index_)), b};
}

// How far a date may be off.
std::int64_t Curve::doubt_ns(std::size_t row) const noexcept {
  return dates_[row].is_by_clock() ? 0 : rows_.t_end(row) - time_of(row);
}

std::vector<Knot> Curve::knots() const {
  std::vector<Knot> found;
  std::size_t a = dated_.size();
  // The first row is dated without an update unless a clock tells.
  const std::size_t first = dates_.empty() || dates_[0].is_by_clock() ? 0 : 1;
  for (std::size_t b = dated_.next(first); b < dated_.size(); b = dated_.next(b + 1)) {
    // Not so close to the one before that the slope between them would say more about how they are
    // dated than about the power; clocks found apart from one another may disagree by a hair.
    if (a < dated_.size() && time_of(b) - time_of(a) <= 8 * std::max(doubt_ns(a), doubt_ns(b))) {
      continue;
    }
    if (a < dated_.size()) {
      if (const auto still = last_still(a, b)) {
        found.push_back(*still);
      }
    }
    found.push_back(knot(b));
    a = b;
  }
  for (Knot& each : found) {
    each.t_ns -= channel_.delay_ns();
  }
  return found;
}

}  // namespace wattring
