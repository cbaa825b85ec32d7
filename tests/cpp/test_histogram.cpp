// SPDX-License-Identifier: Apache-2.0
#include "histogram.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace wattring {
namespace {

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.percentile_ns(0.5), 0);
  EXPECT_EQ(histogram.sum_ns(), 0U);
  EXPECT_EQ(histogram.max_ns(), 0U);
}

TEST(Histogram, PercentilesAreRightToSixPercentOverSixDecades) {
  for (const std::int64_t scale : {1, 10, 1000, 1'000'000}) {
    Histogram histogram;
    for (std::int64_t i = 1; i <= 1000; ++i) {
      histogram.add(i * scale);
    }
    for (const double fraction : {0.1, 0.5, 0.9, 0.99}) {
      const double exact = fraction * 1000 * static_cast<double>(scale);
      EXPECT_NEAR(histogram.percentile_ns(fraction), exact, 0.065 * exact);
    }
    EXPECT_EQ(histogram.max_ns(), static_cast<std::uint64_t>(1000 * scale));
    EXPECT_EQ(histogram.sum_ns(), static_cast<std::uint64_t>(500'500 * scale));
  }
}

TEST(Histogram, SmallNumbersAreExact) {
  for (std::int64_t ns = 0; ns < 8; ++ns) {
    Histogram histogram;
    histogram.add(ns);
    EXPECT_EQ(histogram.percentile_ns(0.5), static_cast<double>(ns));
  }
}

TEST(Histogram, OneOutlierMovesTheMaximumOnly) {
  Histogram histogram;
  for (int i = 0; i < 999; ++i) {
    histogram.add(100);
  }
  histogram.add(1'000'000'000);
  EXPECT_NEAR(histogram.percentile_ns(0.99), 100, 7);
  EXPECT_EQ(histogram.max_ns(), 1'000'000'000U);
}

TEST(Histogram, TakesTheEarliestAndTheLongest) {
  Histogram histogram;
  histogram.add(-5);  // woken before the deadline
  EXPECT_EQ(histogram.percentile_ns(1), 0);
  histogram.add(std::numeric_limits<std::int64_t>::max());
  EXPECT_NEAR(histogram.percentile_ns(1), std::ldexp(1, 63), 0.07 * std::ldexp(1, 63));
}

}  // namespace
}  // namespace wattring
