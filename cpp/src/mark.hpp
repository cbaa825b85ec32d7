// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "estimate.hpp"
#include "row_counts.hpp"

namespace wattring {

// Where every counter of a session stood at one time. Two of them make a window, however long: they
// outlive the rows that they came from.
struct Mark {
  struct PerSource {
    std::vector<Standing> standings;
    std::uint64_t row = 0;  // first row after the mark
    CountsAround counts;    // of that row: a window has it on either border
  };
  std::int64_t t_ns = 0;
  std::vector<PerSource> sources;
  std::shared_ptr<const char> session;  // whose mark it is; only compared
};

// How much energy one counter saw between two times.
struct ChannelEnergy {
  double lower_j = 0;
  double value_j = 0;
  double upper_j = 0;        // infinite where nothing proves one
  bool still = false;        // the counter stood still at one end: "moved by less than its unit"
  double spread_j = 0;       // of an integral: in the bounds, twice the standard deviation
  std::uint64_t failed = 0;  // readings in between with these marks (row.hpp)
  std::uint64_t ambiguous = 0;
  std::uint64_t reset = 0;
  // Of the whole source: rows behind missed deadlines, and rows of the window that have left the
  // ring.
  std::uint64_t gap = 0;
  std::uint64_t lost = 0;
};

// What went wrong between two marks.
struct WindowMarks {
  MarkCounts readings{};
  std::uint64_t gap = 0;
  std::uint64_t lost = 0;
};

inline WindowMarks marks_between(const Mark::PerSource& from, const Mark::PerSource& to,
                                 std::size_t channel) noexcept {
  WindowMarks marks;
  const MarkCounts& before = from.counts.before.readings[channel];
  const MarkCounts& after = to.counts.through.readings[channel];
  for (std::size_t i = 0; i < before.size(); ++i) {
    marks.readings[i] = after[i] - before[i];
  }
  marks.gap = to.counts.through.gaps - from.counts.before.gaps;
  return marks;
}

// Energy of a counter that stood at `a`, then at `b`.
inline ChannelEnergy energy_between(const Standing& a, const Standing& b,
                                    const WindowMarks& marks) noexcept {
  ChannelEnergy energy;
  energy.lower_j = std::max(0.0, b.lower_j - a.upper_j);
  energy.upper_j = b.upper_j - a.lower_j;
  energy.value_j = std::clamp(b.value_j - a.value_j, energy.lower_j, energy.upper_j);
  energy.still = a.still || b.still;
  if (b.variance_j2 > a.variance_j2) {
    energy.spread_j = 2 * std::sqrt(b.variance_j2 - a.variance_j2);
    energy.lower_j = std::max(0.0, energy.lower_j - energy.spread_j);
    energy.upper_j += energy.spread_j;
  }
  energy.failed = marks.readings[0];
  energy.ambiguous = marks.readings[1];
  energy.reset = marks.readings[2];
  energy.gap = marks.gap;
  energy.lost = marks.lost;
  if (energy.ambiguous > 0 || energy.reset > 0) {
    energy.upper_j = std::numeric_limits<double>::infinity();  // nothing proves one any more
  }
  return energy;
}

inline ChannelEnergy energy_between(const Mark::PerSource& from, const Mark::PerSource& to,
                                    std::size_t channel) noexcept {
  return energy_between(from.standings[channel], to.standings[channel],
                        marks_between(from, to, channel));
}

}  // namespace wattring
