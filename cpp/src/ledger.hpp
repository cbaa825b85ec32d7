// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "cover.hpp"
#include "mark.hpp"
#include "sum.hpp"

namespace wattring {

// What the windows directly inside another one of the same thread took of it.
struct Nested {
  struct Inside {
    ChainedSum others;
    ChainedSum same;  // of the outer one's name
  };
  std::size_t name = 0;  // of the outer one
  std::uint64_t count = 0;
  std::int64_t ns = 0;
  std::vector<Inside> channels;

  void clear(std::size_t of_name, std::size_t channel_count) {
    name = of_name;
    if (count > 0 || channels.size() != channel_count) {
      channels.assign(channel_count, {});
    }
    count = 0;
    ns = 0;
  }
};

struct ChannelTotals {
  Sum summed_j;    // each window in full
  BoundedSum own;  // without the windows directly inside, by interval arithmetic; likewise
  Sum others_j;    // upper bound of the windows of other names directly inside
  double min_j = std::numeric_limits<double>::infinity();  // of single windows
  double max_j = 0;
  std::uint64_t unbounded = 0;  // windows with no upper bound
  std::uint64_t still = 0;      // windows at whose ends the counter stood still
  std::uint64_t failed = 0;     // readings with these marks, over all windows
  std::uint64_t ambiguous = 0;
  std::uint64_t reset = 0;
};

struct Bounded {
  double lower_j = 0;
  double value_j = 0;
  double upper_j = 0;
};

// All windows of one name.
struct LedgerEntry {
  std::string name;
  std::uint64_t count = 0;
  std::uint64_t overlapped = 0;  // of these: they shared time with one that ended before
  std::uint64_t most_open = 0;   // at once
  std::uint64_t cut_off = 0;     // not ended when the session stopped; nowhere else in here
  std::uint64_t lost = 0;        // their samples were gone before they were settled; likewise
  Covered covered;               // by all of them together
  std::int64_t summed_ns = 0;    // each in full
  std::int64_t own_ns = 0;       // without the windows directly inside; likewise
  std::int64_t min_ns = std::numeric_limits<std::int64_t>::max();
  std::int64_t max_ns = 0;
  std::vector<ChannelTotals> channels;

  // The energy of the time that they cover.
  Bounded inclusive(std::size_t channel) const noexcept;
  // And of the part of it in which one of them was the innermost window of its thread.
  Bounded exclusive(std::size_t channel) const noexcept;
  std::int64_t exclusive_ns() const noexcept { return std::min(own_ns, covered.ns); }
};

// Totals per window name: memory grows with the number of names, and of windows that are open. One
// thread at a time. Names go by small numbers.
class Ledger {
 public:
  // nullptr: not there yet.
  LedgerEntry* find(std::size_t name) noexcept {
    return name < entries_.size() && !entries_[name].channels.empty() ? &entries_[name] : nullptr;
  }
  LedgerEntry& add_name(std::size_t name, const std::string& text, std::size_t channels);

  // Every window begins, and then it is either cancelled or added to the entry of its name.
  void begin(std::size_t name, std::int64_t t_ns);
  void cancel(std::size_t name, std::int64_t t_ns) { covers_[name].cancel(t_ns); }
  // `outer`, if any, is what the window around it has spent on those inside.
  void add(LedgerEntry& entry, const Mark& from, const Mark& to, const Nested& nested,
           Nested* outer);

  // By number; those without channels were never added.
  std::span<const LedgerEntry> entries() const noexcept { return entries_; }

 private:
  std::vector<LedgerEntry> entries_;
  std::vector<Cover> covers_;
};

}  // namespace wattring
