// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "channel.hpp"
#include "row_dates.hpp"
#include "rows.hpp"

namespace wattring {

// Where the cumulative energy E(t) of a counter stood at one time, in joules since its first
// reading.
struct Standing {
  double lower_j = 0;
  double value_j = 0;
  double upper_j = 0;  // infinite where no later row proves one
  bool still =
      false;  // upper_j rests on the counter having stood still for longer than its refresh
  double variance_j2 = 0;  // of an integral: what the sensor did not see until then
};

// A place on the line of a counter's energy: the instant of an update, and what it published.
struct Knot {
  std::int64_t t_ns;
  std::uint64_t value;  // ticks
  std::size_t row;      // that shows it
};

// A counter is held to stand still when this much time brought no update.
std::int64_t patience_ns(const Channel& channel) noexcept;

// So many updates after a time say all about it that an estimate uses.
int updates_after(const Channel& channel) noexcept;
// An integral goes on whether its power changes or not: it has come as far when rows reach so much
// further.
std::int64_t reach_ns(const Channel& channel) noexcept;

// Numbers from 0 to size, of which some are set; finds the next one quickly.
class Bits {
 public:
  explicit Bits(std::size_t size) : size_(size), words_((size + 63) / 64) {}
  std::size_t size() const noexcept { return size_; }
  void set(std::size_t i) noexcept { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
  void fetch(std::size_t i) const noexcept { __builtin_prefetch(words_.data() + i / 64); }
  // The first from i on; size() if none.
  std::size_t next(std::size_t i) const noexcept;
  // The last before i; size() if none.
  std::size_t previous(std::size_t i) const noexcept;

 private:
  std::size_t size_;
  std::vector<std::uint64_t> words_;
};

// The energy of one counter over a run of rows, at any time. The bounds are proofs from the rows,
// for a counter that is right and monotone, with q its unit:
//   a row proves E(t) ≥ its value for every t ≥ its t_end;
//   two readings in a row that differ prove an update after the first one's t_begin, hence
//   E(t) < second value + q for every t ≤ that t_begin.
// The value between them interpolates linearly between update instants; of a slow sensor, along a
// step where the updates around tell that there was one.
//
// An integral goes the same way, later by its delay; its bounds are a model's, not proofs.
//
// The rows and the channel must outlive it.
class Curve {
 public:
  // `dates` as date_rows() gives them, `quantum` as quantum_of() does.
  Curve(const Rows& rows, std::size_t index, const Channel& channel, std::uint64_t quantum,
        std::vector<RowDate> dates);

  // `after` is the first row that ended after t (the number of rows if none).
  Standing at(std::int64_t t_ns, std::size_t after) const noexcept {
    return channel_.kind == Kind::integral ? of_integral(t_ns) : of_counter(t_ns, after);
  }

  // Asks for the memory that at() will need.
  void fetch(std::size_t after) const noexcept {
    __builtin_prefetch(dates_.data() + after);
    dated_.fetch(after);
    turns_.fetch(after);
  }

  // The updates between which the value runs along a line, in the order of time; of those that are
  // dated badly only some, far enough from one another for the slope between them to be right.
  std::vector<Knot> knots() const;

 private:
  Standing of_counter(std::int64_t t_ns, std::size_t after) const noexcept;
  Standing of_integral(std::int64_t t_ns) const noexcept;
  std::int64_t time_of(std::size_t row) const noexcept {
    return rows_.t_begin(row) - dates_[row].age_ns();
  }
  std::size_t last_good_before(std::size_t row) const noexcept;
  std::int64_t doubt_ns(std::size_t row) const noexcept;
  double value_at(std::int64_t t_ns, std::size_t after) const noexcept;
  Knot knot(std::size_t row) const noexcept {
    return {time_of(row), rows_.reading(row, index_), row};
  }
  double along(const Knot& from, const Knot& to, std::int64_t t_ns) const noexcept;
  std::optional<Knot> last_still(std::size_t a, std::size_t b) const noexcept;

  Rows rows_;
  std::size_t index_;
  const Channel& channel_;
  std::uint64_t quantum_;
  std::vector<RowDate> dates_;
  Bits dated_;
  Bits turns_;  // good readings that differ from the one before, or lack an unknown amount
};

}  // namespace wattring
