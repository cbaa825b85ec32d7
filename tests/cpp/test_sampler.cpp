// SPDX-License-Identifier: Apache-2.0
// The sampler's grid and what its rows say.
#include "sampler.hpp"

#include "estimate.hpp"
#include "sampler_test.hpp"

namespace wattring {
namespace {

TEST_F(SamplerTest, TheGridDoesNotDriftAndEveryPointIsSampledOrCounted) {
  // Reads that take half a period: whoever sleeps for a period after each falls behind.
  orders_.delay_ns = ms;
  Sampler& sampler = start(2 * ms);
  const SamplerStats before = sampler.stats();
  const std::int64_t from_ns = now_ns();
  wait_samples(sampler, 100);
  const SamplerStats after = sampler.stats();
  const auto points = static_cast<double>(now_ns() - from_ns) / (2 * ms);
  const auto seen =
      static_cast<double>(after.samples - before.samples + after.missed - before.missed);
  // Up to one at each end, and what passes between the three clock readings here.
  EXPECT_NEAR(seen, points, 2 + 0.1 * points);
  const auto all = rows_of(sampler.ring());
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_GE(all[i].t_begin_ns, all[i - 1].t_end_ns);
    EXPECT_GE(all[i].t_end_ns, all[i].t_begin_ns + ms);
  }
}

TEST_F(SamplerTest, AMissedDeadlineIsSkippedCountedAndMarked) {
  Sampler& sampler = start(ms);
  wait_samples(sampler, 5);
  const std::uint64_t missed = sampler.stats().missed;
  orders_.delay_once_ns = 20 * ms;
  wait_samples(sampler, 15);  // so that the rows of the stop lie further off than is looked below
  sampler.stop();
  EXPECT_GE(sampler.stats().missed - missed, 18U);
  const auto all = rows_of(sampler.ring());
  bool marked = false;
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i - 1].t_end_ns - all[i - 1].t_begin_ns >= 20 * ms) {
      marked = (all[i].status & row::gap) != 0;
      // No burst: in the next milliseconds there are no more rows than milliseconds.
      std::uint64_t soon = 0;
      for (std::size_t k = i; k < all.size() && all[k].t_begin_ns < all[i].t_begin_ns + 4 * ms;
           ++k) {
        ++soon;
      }
      EXPECT_LE(soon, 5U);
    }
  }
  EXPECT_TRUE(marked);
}

TEST_F(SamplerTest, RowsOnTheGridAreNotMarked) {
  Sampler& sampler = start(50 * ms);
  wait_samples(sampler, 4);
  sampler.stop();
  std::uint64_t gaps = 0;
  for (const SampledRow& r : rows_of(sampler.ring())) {
    gaps += (r.status & row::gap) != 0 ? 1 : 0;
  }
  EXPECT_LE(gaps, sampler.stats().missed);
}

TEST_F(SamplerTest, AFailedReadKeepsTheValueAndSetsTheBit) {
  Sampler& sampler = start(ms);
  orders_.answer = ReadStatus::failed;
  wait_samples(sampler, 5);
  orders_.answer = ReadStatus::ok;
  wait_samples(sampler, 5);
  sampler.stop();
  EXPECT_GE(sampler.stats().failed, 4U);
  EXPECT_EQ(sampler.stats().last_errno, EIO);
  const auto all = rows_of(sampler.ring());
  std::uint64_t failed = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    if ((row::marks_of(all[i].status, 0) & row::failed) != 0) {
      ++failed;
      EXPECT_EQ(all[i].value, all[i - 1].value);
    } else {
      EXPECT_EQ(all[i].value, all[i - 1].value + 1);
    }
  }
  EXPECT_GE(failed, 4U);
  RowCounts counted;
  EXPECT_EQ(sampler.count_rows(counted), all.size());
  EXPECT_EQ(counted.readings.at(0), (MarkCounts{failed, 0, 0}));
  EXPECT_EQ(failed, sampler.stats().failed);
}

TEST_F(SamplerTest, RetriesMakeNoRowsAreCountedAndLeaveAMarkedGap) {
  Sampler& sampler = start(ms);
  wait_samples(sampler, 2);
  orders_.answer = ReadStatus::retry;
  wait_until([&] { return sampler.stats().retries >= 5; });
  const std::uint64_t samples = sampler.stats().samples;
  wait_until([&] { return sampler.stats().retries >= 10; });
  EXPECT_EQ(sampler.stats().samples, samples);
  EXPECT_TRUE(sampler.running());
  orders_.answer = ReadStatus::ok;
  wait_samples(sampler, 3);
  sampler.stop();
  const auto all = rows_of(sampler.ring());
  ASSERT_GT(all.size(), samples);
  EXPECT_NE(all[samples].status & row::gap, 0U) << "of ten periods nothing is known";
}

TEST_F(SamplerTest, EveryRowIsASampleAndTheFirstIsTheBaseline) {
  Sampler& sampler = start(ms);
  wait_samples(sampler, 10);
  sampler.stop();
  const auto all = rows_of(sampler.ring());
  EXPECT_EQ(all.size(), sampler.stats().samples);
  EXPECT_EQ(all.front().value, 0U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].value, i);
  }
}

TEST_F(SamplerTest, WhatIsBetweenStartAndStopHasAnUpdateOnEitherSide) {
  // The period leaves no row inside: all that is known comes from the first and the last rows.
  orders_.refresh_ns = 5 * ms;
  Sampler& sampler = start(3600 * ns_per_s);
  const std::int64_t t0 = now_ns();
  sleep_for(12 * ms);
  const std::int64_t t1 = now_ns();
  sampler.stop();
  const Standing a = stand(sampler.ring(), sampler.channels(), t0).at(0);
  const Standing b = stand(sampler.ring(), sampler.channels(), t1).at(0);
  EXPECT_TRUE(covered(sampler.ring(), sampler.channels(), t1));
  EXPECT_FALSE(b.still);
  const double unit_j = sampler.channels()[0].scale;
  const double refreshes = static_cast<double>(t1 - t0) / (5 * ms);
  EXPECT_GE((b.upper_j - a.lower_j) / unit_j, refreshes - 1);
  EXPECT_LE((b.lower_j - a.upper_j) / unit_j, refreshes + 1);
  EXPECT_LT(b.upper_j, 1e9);
  EXPECT_GT(a.lower_j, 0) << "the counter had moved before start() returned";
}

TEST_F(SamplerTest, StatsSayWhatSamplingCost) {
  orders_.delay_ns = ms / 2;
  Sampler& sampler = start(2 * ms);
  wait_samples(sampler, 20);
  EXPECT_GT(sampler.stats().cpu_s, 0);
  sampler.stop();
  const SamplerStats stats = sampler.stats();
  EXPECT_GT(stats.cpu_s, 0);
  EXPECT_TRUE(std::is_sorted(stats.lateness_ns.begin(), stats.lateness_ns.end()));
  EXPECT_GT(stats.lateness_ns.back(), 0);
  EXPECT_GE(stats.read_ns[0], 0.94 * ms / 2);  // p50, in a bucket's precision
  EXPECT_GE(stats.read_ns[2], stats.read_ns[0] * 0.94);
  EXPECT_FALSE(stats.running);
  EXPECT_EQ(stats.refused, "");
}

}  // namespace
}  // namespace wattring
