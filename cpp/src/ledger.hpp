// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

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

// The upper bound of windows of which each begins after the one before has ended. Together they
// take no more than runs from the first of a run to its last, so that each adds only what lies
// above what was reached before: with U and L the bounds of E(t), U(end) − max(U(last end),
// L(begin)). By itself each would add the uncertainty of two readings, and a million short ones a
// million times that.
class Chain {
 public:
  // What a window adds that ended at `end`; energy.upper_j is U(end) − L(begin), or infinite.
  double add(const ChannelEnergy& energy, const Standing& end) noexcept {
    double upper_j = energy.upper_j;
    if (std::isfinite(reached_j_) && std::isfinite(upper_j)) {
      upper_j = std::min(upper_j, end.upper_j - reached_j_);
    }
    reached_j_ = end.upper_j;
    return upper_j;
  }

 private:
  double reached_j_ = std::numeric_limits<double>::infinity();  // nothing yet
};

// What the windows directly inside another one of the same thread took of it.
struct Nested {
  std::uint64_t count = 0;
  std::int64_t ns = 0;
  std::vector<BoundedSum> channels;
  std::vector<Chain> chains;

  void clear(std::size_t channel_count) {
    if (count > 0 || channels.size() != channel_count) {
      channels.assign(channel_count, {});
      chains.assign(channel_count, {});
    }
    count = 0;
    ns = 0;
  }
};

struct ChannelTotals {
  BoundedSum inclusive;
  BoundedSum exclusive;  // without the windows directly inside, by interval arithmetic
  Chain chain;
  double min_j = std::numeric_limits<double>::infinity();  // of single windows
  double max_j = 0;
  std::uint64_t unbounded = 0;  // windows with no upper bound
  std::uint64_t still = 0;      // windows at whose ends the counter stood still
  std::uint64_t failed = 0;     // readings with these marks, over all windows
  std::uint64_t ambiguous = 0;
  std::uint64_t reset = 0;
};

// All windows of one name.
struct LedgerEntry {
  std::string name;
  std::uint64_t count = 0;
  std::uint64_t cut_off = 0;  // not ended when the session stopped; nowhere else in here
  std::uint64_t lost = 0;     // their samples were gone before they were settled; likewise
  std::int64_t ns = 0;
  std::int64_t exclusive_ns = 0;
  std::int64_t min_ns = std::numeric_limits<std::int64_t>::max();
  std::int64_t max_ns = 0;
  std::int64_t last_end_ns = 0;
  std::vector<ChannelTotals> channels;  // of all sources, one after the other
};

// Totals per window name: memory grows with the number of names alone. One thread at a time.
class Ledger {
 public:
  // Names go by small numbers. nullptr: not there yet.
  LedgerEntry* find(std::size_t name) noexcept {
    return name < entries_.size() && !entries_[name].channels.empty() ? &entries_[name] : nullptr;
  }
  LedgerEntry& add_name(std::size_t name, const std::string& text, std::size_t channels);
  // Books a window; `outer`, if any, is what the window around it has spent on those inside.
  static void add(LedgerEntry& entry, const Mark& from, const Mark& to, const Nested& nested,
                  Nested* outer);
  // By number; those without channels were never added.
  std::span<const LedgerEntry> entries() const noexcept { return entries_; }

 private:
  std::vector<LedgerEntry> entries_;
};

}  // namespace wattring
