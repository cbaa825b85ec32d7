// SPDX-License-Identifier: Apache-2.0
#include "histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace wattring {
namespace {

double percentile_ns(const Histogram& histogram, double fraction) {
  return histogram.percentiles_ns(std::array{fraction})[0];
}

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(percentile_ns(histogram, 0.5), 0);
  EXPECT_EQ(histogram.sum_ns(), 0U);
  EXPECT_EQ(histogram.max_ns(), 0U);
}

// From 1 ns to 1,000 s, each decade as often as the next. The reference is exact: the values
// sorted, and the least that the fraction of them does not exceed.
TEST(Histogram, PercentilesAreRightToHalfABucketOverTwelveDecades) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponent(0, 12);
  Histogram histogram;
  std::vector<std::int64_t> sorted;
  for (int i = 0; i < 100'000; ++i) {
    sorted.push_back(static_cast<std::int64_t>(std::pow(10, exponent(random))));
    histogram.add(sorted.back());
  }
  std::sort(sorted.begin(), sorted.end());
  std::array<double, 999> fractions;
  for (std::size_t i = 0; i < fractions.size(); ++i) {
    fractions[i] = static_cast<double>(i + 1) / 1000;
  }
  const auto found = histogram.percentiles_ns(fractions);
  double worst = 0;
  for (std::size_t i = 0; i < fractions.size(); ++i) {
    const auto exact = static_cast<double>(sorted[(i + 1) * sorted.size() / 1000 - 1]);
    worst = std::max(worst, std::abs(found[i] - exact) / exact);
  }
  EXPECT_LE(worst, 0.0625);
  EXPECT_GT(worst, 0.03);  // wherever it is that low, the bound above says nothing
  EXPECT_EQ(histogram.max_ns(), static_cast<std::uint64_t>(sorted.back()));
  EXPECT_EQ(histogram.sum_ns(), std::accumulate(sorted.begin(), sorted.end(), std::uint64_t{0}));
}

TEST(Histogram, NoPercentileLiesAboveTheLongest) {
  for (const std::int64_t longest : {9, 16, 1024, 1'048'577}) {  // low in their buckets
    Histogram histogram;
    histogram.add(longest);
    EXPECT_EQ(percentile_ns(histogram, 0.999), static_cast<double>(longest));
  }
}

TEST(Histogram, SmallNumbersAreExact) {
  for (std::int64_t ns = 0; ns < 8; ++ns) {
    Histogram histogram;
    histogram.add(ns);
    EXPECT_EQ(percentile_ns(histogram, 0.5), static_cast<double>(ns));
  }
}

TEST(Histogram, OneOutlierMovesTheMaximumOnly) {
  Histogram histogram;
  for (int i = 0; i < 999; ++i) {
    histogram.add(100);
  }
  histogram.add(1'000'000'000);
  EXPECT_NEAR(percentile_ns(histogram, 0.99), 100, 7);
  EXPECT_NEAR(percentile_ns(histogram, 0.999), 100, 7);  // of 1,000, the 999th
  EXPECT_EQ(histogram.max_ns(), 1'000'000'000U);
}

TEST(Histogram, TakesTheEarliestAndTheLongest) {
  Histogram histogram;
  histogram.add(-5);  // woken before the deadline
  EXPECT_EQ(percentile_ns(histogram, 1), 0);
  histogram.add(std::numeric_limits<std::int64_t>::max());
  EXPECT_NEAR(percentile_ns(histogram, 1), std::ldexp(1, 63), 0.07 * std::ldexp(1, 63));
}

}  // namespace
}  // namespace wattring
