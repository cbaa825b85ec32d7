// SPDX-License-Identifier: Apache-2.0
#include "stretches.hpp"

#include <algorithm>

namespace wattring {

std::vector<Stretch> stretches_of(const Rows& rows, std::size_t index) {
  std::vector<Stretch> stretches;
  for_pairs(rows, index, [&](Pair pair) {
    if (stretches.empty()) {
      stretches.push_back({pair.first, pair.first});
    }
    if (rows.reading(pair.second, index) == rows.reading(pair.first, index)) {
      stretches.back().last = pair.second;
    } else {
      stretches.push_back({pair.second, pair.second});
    }
  });
  return stretches;
}

Change change_between(const Rows& rows, std::size_t index, const Stretch& before,
                      const Stretch& after) {
  const auto earliest = static_cast<double>(rows.t_begin(before.last) - rows.t_begin(0));
  const auto latest = static_cast<double>(rows.t_end(after.first) - rows.t_begin(0));
  const auto step = static_cast<std::int64_t>(rows.reading(after.first, index) -
                                              rows.reading(before.last, index));
  return {(earliest + latest) / 2, latest - earliest, static_cast<double>(step)};
}

double usual_distance_ns(const Rows& rows, std::size_t index) {
  std::vector<std::int64_t> distances;
  for_pairs(rows, index, [&](Pair pair) {
    distances.push_back(rows.t_begin(pair.second) - rows.t_begin(pair.first));
  });
  if (distances.empty()) {
    return 0;
  }
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  return static_cast<double>(*middle);
}

std::int64_t watched_ns(const Rows& rows, std::size_t index, std::size_t from, std::size_t to,
                        double distance_ns) {
  constexpr double hole = 4;  // of the usual distance
  std::int64_t sum_ns = 0;
  const Rows some = rows.part(from, to + 1 - from);
  for_pairs(some, index, [&](Pair pair) {
    const std::int64_t begin_ns = some.t_end(pair.first);
    if (static_cast<double>(some.t_begin(pair.second) - begin_ns) <= hole * distance_ns) {
      sum_ns += some.t_end(pair.second) - begin_ns;
    }
  });
  return sum_ns;
}

}  // namespace wattring
