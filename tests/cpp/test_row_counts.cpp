// SPDX-License-Identifier: Apache-2.0
// What the rows on either side of one said, from what all said less what came behind.
#include "row_counts.hpp"

#include <gtest/gtest.h>

namespace wattring {
namespace {

constexpr std::uint64_t none = 0;
constexpr std::uint64_t failed_second = row::failed | row::channel_bit(1);

TEST(RowCounts, AreThoseOfTheRowsBeforeAndThrough) {
  Ring ring(row::first_reading + 2, 512);
  RowCounts all{.readings = std::vector<MarkCounts>(2)};
  const std::array statuses{row::gap, none, failed_second | row::gap, failed_second, row::gap};
  for (const std::uint64_t status : statuses) {
    ring.push(std::array<std::uint64_t, 5>{1, 2, status, 0, 0});
    all.add(status);
  }
  CountsAround around;
  ASSERT_TRUE(around.set(ring, 2, all, statuses.size()));
  EXPECT_EQ(around.before.gaps, 1U);
  EXPECT_EQ(around.through.gaps, 2U);
  EXPECT_FALSE(around.before.any_readings());
  EXPECT_EQ(around.through.readings, (std::vector<MarkCounts>{{0, 0, 0}, {1, 0, 0}}));
  ASSERT_TRUE(around.set(ring, statuses.size(), all, statuses.size())) << "no row behind it yet";
  EXPECT_EQ(around.before.gaps, 3U);
  EXPECT_EQ(around.through.gaps, 3U);
}

TEST(RowCounts, OfRowsThatAreGoneAreNotGuessed) {
  Ring ring(row::first_reading + 1, 512);
  RowCounts all{.readings = std::vector<MarkCounts>(1)};
  const std::uint64_t rows = ring.rows() + 100;
  for (std::uint64_t k = 0; k < rows; ++k) {
    ring.push(std::array<std::uint64_t, 4>{1, 2, row::gap, 0});
    all.add(row::gap);
  }
  CountsAround around;
  EXPECT_FALSE(around.set(ring, 50, all, rows));
  ASSERT_TRUE(around.set(ring, ring.oldest(), all, rows));
  EXPECT_EQ(around.before.gaps, ring.oldest());
}

}  // namespace
}  // namespace wattring
