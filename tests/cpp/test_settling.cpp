// SPDX-License-Identifier: Apache-2.0
// Many marks are settled on a grid: what it says must hold and be next to what one by one gives.
#include "settling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sampler_test.hpp"

namespace wattring {
namespace {

class SettlingTest : public SamplerTest {
 protected:
  static Mark::PerSource at(Settling& settling, std::int64_t t_ns, bool exact) {
    Mark::PerSource found;
    EXPECT_TRUE(settling.settle(t_ns, exact, found));
    return found;
  }
};

TEST_F(SettlingTest, TheGridHoldsAtEveryTimeThatRowsCover) {
  // Sweeps that take long, so that many times lie inside one.
  orders_.refresh_ns = ms;
  orders_.delay_ns = ms / 5;
  Sampler& sampler = start(ms);
  wait_samples(sampler, 40);
  Settling settling(sampler);
  settling.follow();
  const auto rows = rows_of(sampler.ring());
  const std::int64_t until = settling.covered_until(rows.front().t_end_ns, now_ns());
  ASSERT_GT(until, rows[30].t_begin_ns);
  ASSERT_LT(until, now_ns());
  std::size_t checked = 0;
  const auto check = [&](std::int64_t t) {
    if (t > until) {
      return;
    }
    const Mark::PerSource grid = at(settling, t, false);
    const Standing exact = stand(sampler.ring(), sampler.channels(), t).at(0);
    const Standing& found = grid.standings.at(0);
    ASSERT_LE(found.lower_j, exact.lower_j);
    ASSERT_GE(found.upper_j, exact.upper_j);
    ASSERT_TRUE(std::isfinite(found.upper_j)) << "at " << t - rows.front().t_end_ns;
    // One tick per ms: what a cell holds, which is 50 us long or a part of what lies between two
    // rows.
    const std::uint64_t k = std::max<std::uint64_t>(1, row_after(sampler.ring(), t));
    const auto between_rows_ms =
        static_cast<double>(rows.at(k).t_begin_ns - rows.at(k - 1).t_end_ns) / ms;
    ASSERT_NEAR(found.value_j, exact.value_j, (0.1 + between_rows_ms / 16) / 16384);
    ASSERT_LE(grid.row, row_after(sampler.ring(), t));
    ASSERT_GE(grid.row, row_after(sampler.ring(), t - 1))
        << "one that ends at t may count as later";
    ++checked;
  };
  for (std::size_t i = 1; i < rows.size(); ++i) {
    for (const std::int64_t t : {rows[i].t_begin_ns - 1, rows[i].t_begin_ns, rows[i].t_begin_ns + 1,
                                 rows[i].t_end_ns - 1, rows[i].t_end_ns, rows[i].t_end_ns + 1}) {
      check(t);
    }
    for (std::int64_t t = rows[i - 1].t_end_ns; t < rows[i].t_end_ns; t += 7'001) {
      check(t);
    }
  }
  // Back and forth, as marks of several threads come.
  for (std::size_t i = 2; i < rows.size(); ++i) {
    check(rows[i].t_begin_ns + 10'000);
    check(rows[i - 1].t_begin_ns + 60'000);
  }
  EXPECT_GT(checked, 2000U);
}

TEST_F(SettlingTest, TheNewestTimeThatIsCoveredHasBoundsAsWell) {
  orders_.refresh_ns = ms;
  orders_.delay_ns = ms / 5;
  Sampler& sampler = start(ms);
  Settling settling(sampler);
  for (int i = 0; i < 30; ++i) {
    wait_samples(sampler, 1);
    settling.follow();
    const std::int64_t until = settling.covered_until(now_ns() - 10 * ms, now_ns());
    if (until > 0) {
      EXPECT_TRUE(std::isfinite(at(settling, until, false).standings.at(0).upper_j));
    }
  }
}

TEST_F(SettlingTest, CoverageFollowsTheRowsAndEndsWithThem) {
  orders_.refresh_ns = ms;
  Sampler& sampler = start(ms);
  Settling settling(sampler);
  const std::int64_t t = now_ns();
  EXPECT_LT(settling.covered_until(t, t), t) << "no later row can be there";
  wait_until([&] { return settling.covered_until(t, now_ns()) >= t; });
  EXPECT_TRUE(covered(sampler.ring(), sampler.channels(), t));
  const std::int64_t far = settling.waits_until(now_ns()) + ns_per_s;
  EXPECT_EQ(settling.covered_until(t, far), std::numeric_limits<std::int64_t>::max())
      << "a device that has been silent for so long is not waited for";
  sampler.stop();
  EXPECT_EQ(settling.covered_until(now_ns(), now_ns()), std::numeric_limits<std::int64_t>::max());
}

TEST_F(SettlingTest, RowMarksAreCountedBeforeTheFirstRowAfterATimeAndThroughIt) {
  orders_.refresh_ns = ms;
  Sampler& sampler = start(ms);
  wait_samples(sampler, 5);
  orders_.answer = ReadStatus::failed;
  wait_samples(sampler, 5);
  orders_.answer = ReadStatus::ok;
  wait_samples(sampler, 10);
  sampler.stop();
  Settling settling(sampler);
  const auto rows = rows_of(sampler.ring());
  const auto is_failed = [&](std::size_t k) { return (rows[k].status & row::failed) != 0; };
  std::uint64_t before = 0;
  for (std::size_t k = 1; k < rows.size(); before += is_failed(k) ? 1 : 0, ++k) {
    const std::int64_t t = rows[k].t_begin_ns - 1;  // row k is the first after it
    for (const bool exact : {true, false}) {
      const CountsAround counts = at(settling, t, exact).counts;
      EXPECT_EQ(counts.before.readings.at(0)[0], before);
      EXPECT_EQ(counts.through.readings.at(0)[0], before + (is_failed(k) ? 1 : 0));
    }
  }
  EXPECT_GE(before, 4U);
}

// What the rows of a sampler said, by one that misses none.
class Witness final : public RowFollower {
 public:
  explicit Witness(const Ring& ring) : ring_(ring) {}
  bool waits() const noexcept override { return false; }
  void after_row() noexcept override {
    std::uint64_t status = 0;
    while (ring_.peek(statuses_.size(), row::status_word, status)) {
      statuses_.push_back(status);
    }
  }
  RowCounts counted(std::uint64_t rows) const {
    RowCounts counts;
    counts.readings.resize(1);
    std::for_each_n(statuses_.begin(), rows, [&](std::uint64_t status) { counts.add(status); });
    return counts;
  }

 private:
  const Ring& ring_;
  std::vector<std::uint64_t> statuses_;
};

TEST_F(SettlingTest, NothingIsCountedTwiceOrMissedWhereRowsHaveLeftTheRing) {
  Sampler& sampler = make(ms / 5, 1);
  Witness witness(sampler.ring());
  sampler.follow_with(witness);
  sampler.start();
  Settling settling(sampler);
  std::vector<Mark::PerSource> found;
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 5; ++k) {
      orders_.delay_once_ns = 3 * ms;  // a gap of many deadlines
      wait_samples(sampler, 5);
      orders_.answer = ReadStatus::failed;
      wait_samples(sampler, 5);
      orders_.answer = ReadStatus::ok;
    }
    wait_samples(sampler, 2 * sampler.ring().rows());
    orders_.delay_once_ns = 3 * ms;
    wait_samples(sampler, 5);
    const std::int64_t t = now_ns();
    wait_samples(sampler, 10);
    settling.follow();
    found.push_back(at(settling, t, i % 2 == 0));
  }
  sampler.stop();
  for (const Mark::PerSource& at : found) {
    const RowCounts before = witness.counted(at.row);
    const RowCounts through = witness.counted(at.row + 1);
    EXPECT_GE(before.gaps, 6U);
    EXPECT_EQ(at.counts.before.gaps, before.gaps);
    EXPECT_EQ(at.counts.through.gaps, through.gaps);
    EXPECT_EQ(at.counts.before.readings, before.readings);
    EXPECT_EQ(at.counts.through.readings, through.readings);
  }
}

TEST_F(SettlingTest, WhatLiesBeforeTheOldestRowIsNotSettled) {
  const std::int64_t before = now_ns();
  Sampler& sampler = start(ms);
  wait_samples(sampler, 5);
  Settling settling(sampler);
  Mark::PerSource found;
  EXPECT_FALSE(settling.settle(before, true, found));
  EXPECT_FALSE(settling.settle(before, false, found));
}

}  // namespace
}  // namespace wattring
