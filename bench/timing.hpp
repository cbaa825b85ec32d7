// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "clock.hpp"

namespace wattring::bench {

// Nanoseconds for one call of f, the mean of so many.
template <typename F>
double mean_ns(int times, F f) {
  const std::int64_t began = now_ns();
  for (int i = 0; i < times; ++i) {
    f();
  }
  return static_cast<double>(now_ns() - began) / times;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace wattring::bench
