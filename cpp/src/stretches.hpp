// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rows.hpp"

namespace wattring {

// Good readings of one channel, one after the other, that saw the same value.
struct Stretch {
  std::size_t first;
  std::size_t last;
};

// In the order of time; each began with a change, but for the first.
std::vector<Stretch> stretches_of(const Rows& rows, std::size_t index);

// The change between two stretches that follow one another.
struct Change {
  double t_ns;      // middle of the time in which it must have happened, after the first row
  double width_ns;  // length of that time
  double step;      // ticks
};
Change change_between(const Rows& rows, std::size_t index, const Stretch& before,
                      const Stretch& after);

// How far apart good readings usually are: the median; 0 of fewer than two.
double usual_distance_ns(const Rows& rows, std::size_t index);

// How much of the time from one row to another the channel was watched, at such a distance: holes
// (a sampler that was held up, reads that failed) are not in it.
std::int64_t watched_ns(const Rows& rows, std::size_t index, std::size_t from, std::size_t to,
                        double distance_ns);

}  // namespace wattring
