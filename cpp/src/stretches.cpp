// SPDX-License-Identifier: Apache-2.0
#include "stretches.hpp"

#include <algorithm>

namespace wattring {
namespace {

// Calls f(i, j) for each two good readings, from one row to another, that follow one another.
template <typename F>
void for_good(const Rows& rows, std::size_t index, std::size_t from, std::size_t to, F f) {
  std::size_t last = to;
  for (std::size_t i = from; i < to; ++i) {
    if ((rows.marks(i, index) & row::failed) == 0) {
      if (last < to) {
        f(last, i);
      }
      last = i;
    }
  }
}

}  // namespace

std::vector<Stretch> stretches_of(const Rows& rows, std::size_t index) {
  std::vector<Stretch> stretches;
  for_good(rows, index, 0, rows.size(), [&](std::size_t i, std::size_t j) {
    if (stretches.empty()) {
      stretches.push_back({i, i});
    }
    if (rows.reading(j, index) == rows.reading(i, index)) {
      stretches.back().last = j;
    } else {
      stretches.push_back({j, j});
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
  for_good(rows, index, 0, rows.size(), [&](std::size_t i, std::size_t j) {
    distances.push_back(rows.t_begin(j) - rows.t_begin(i));
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
  for_good(rows, index, from, to + 1, [&](std::size_t i, std::size_t j) {
    if (static_cast<double>(rows.t_begin(j) - rows.t_end(i)) <= hole * distance_ns) {
      sum_ns += rows.t_end(j) - rows.t_end(i);
    }
  });
  return sum_ns;
}

}  // namespace wattring
