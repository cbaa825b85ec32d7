// SPDX-License-Identifier: Apache-2.0
// Sums that stay right, bounds that stay bounds.
#include "ledger.hpp"

#include <cmath>

#include "support.hpp"

namespace wattring {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

// One counter at a time, known to so much on either side.
Mark mark(std::int64_t t_ns, double value_j, double uncertain_j, MarkCounts counts = {}) {
  Mark made;
  made.t_ns = t_ns;
  made.sources.resize(1);
  made.sources[0].standings = {{.lower_j = value_j - uncertain_j,
                                .value_j = value_j,
                                .upper_j = value_j + uncertain_j,
                                .still = false}};
  made.sources[0].counts.before.readings = {counts};
  made.sources[0].counts.through.readings = {counts};
  return made;
}

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() { nothing_.clear(1); }
  LedgerEntry& entry(std::size_t name) {
    LedgerEntry* known = ledger_.find(name);
    return known != nullptr ? *known : ledger_.add_name(name, "name " + std::to_string(name), 1);
  }
  const ChannelTotals& totals(std::size_t name) { return entry(name).channels.at(0); }
  Ledger ledger_;
  Nested nothing_;
};

TEST(Sum, KeepsWhatAPlainSumLoses) {
  Sum sum;
  double plain = 1e20;
  sum.add(1e20);
  sum.fold();
  for (std::uint64_t i = 1; i <= 1'000'000; ++i) {
    sum.add(1.25);
    plain += 1.25;
    if (i % Sum::terms_per_fold == 0) {
      sum.fold();
    }
  }
  sum.fold();
  sum.add(-1e20);
  sum.fold();
  EXPECT_NE(plain - 1e20, 1'250'000.0) << "else this proves nothing";
  EXPECT_EQ(sum.get(), 1'250'000.0);
}

TEST(Sum, OfAHundredMillionTermsIsRightToTheLastDigits) {
  Sum sum;
  double plain = 0;
  constexpr std::uint64_t terms = 100'000'000;
  for (std::uint64_t i = 1; i <= terms; ++i) {
    sum.add(0.1);
    plain += 0.1;
    if (i % Sum::terms_per_fold == 0) {
      sum.fold();
    }
  }
  EXPECT_GT(std::abs(plain - 1e7), 1e-3) << "else this proves nothing";
  EXPECT_NEAR(sum.get(), 1e7, 1e-6);
}

TEST(Sum, IsInfiniteForGoodNeverNothing) {
  Sum sum;
  sum.add(1);
  sum.fold();
  sum.add(infinite);
  sum.fold();
  sum.add(2);
  sum.fold();
  EXPECT_EQ(sum.get(), infinite);
}

TEST_F(LedgerTest, CountsTimesEnergiesAndExtremes) {
  ledger_.add(entry(3), mark(100, 1, 0.25), mark(200, 3, 0.25), nothing_, nullptr);
  ledger_.add(entry(3), mark(1000, 10, 0.25), mark(1500, 15, 0.25), nothing_, nullptr);
  const LedgerEntry& e = entry(3);
  EXPECT_EQ(e.name, "name 3");
  EXPECT_EQ(e.count, 2U);
  EXPECT_EQ(e.ns, 600);
  EXPECT_EQ(e.exclusive_ns, 600);
  EXPECT_EQ(e.min_ns, 100);
  EXPECT_EQ(e.max_ns, 500);
  const ChannelTotals& t = totals(3);
  EXPECT_DOUBLE_EQ(t.inclusive.value_j.get(), 7);
  EXPECT_DOUBLE_EQ(t.inclusive.lower_j.get(), 6);
  EXPECT_DOUBLE_EQ(t.inclusive.upper_j.get(), 8);
  EXPECT_DOUBLE_EQ(t.exclusive.value_j.get(), 7);
  EXPECT_DOUBLE_EQ(t.min_j, 2);
  EXPECT_DOUBLE_EQ(t.max_j, 5);
  EXPECT_EQ(ledger_.find(0), nullptr);
  EXPECT_EQ(ledger_.find(4), nullptr);
}

TEST_F(LedgerTest, ExclusiveIsTheWholeWithoutThePartsInTheWorstCase) {
  Nested inside;
  inside.clear(1);
  ledger_.add(entry(1), mark(110, 2, 0.25), mark(150, 4, 0.25), nothing_, &inside);
  ledger_.add(entry(1), mark(160, 5, 0.25), mark(190, 6, 0.25), nothing_, &inside);
  ledger_.add(entry(0), mark(100, 0, 0.25), mark(200, 10, 0.25), inside, nullptr);
  EXPECT_EQ(entry(0).ns, 100);
  EXPECT_EQ(entry(0).exclusive_ns, 30);
  const ChannelTotals& t = totals(0);
  EXPECT_DOUBLE_EQ(t.inclusive.value_j.get(), 10);
  EXPECT_DOUBLE_EQ(t.exclusive.value_j.get(), 7);  // 10 − 2 − 1
  EXPECT_DOUBLE_EQ(t.exclusive.lower_j.get(), 9.5 - 4);
  EXPECT_DOUBLE_EQ(t.exclusive.upper_j.get(), 10.5 - 2);
}

TEST_F(LedgerTest, PartsThatMayBeMoreThanTheWholeLeaveNothingNotLess) {
  Nested inside;
  inside.clear(1);
  ledger_.add(entry(1), mark(101, 0, 5), mark(199, 0.5, 5), nothing_, &inside);
  ledger_.add(entry(0), mark(100, 0, 0.1), mark(200, 0.4, 0.1), inside, nullptr);
  EXPECT_EQ(totals(0).exclusive.lower_j.get(), 0);
  EXPECT_GE(totals(0).exclusive.value_j.get(), 0);
  EXPECT_GE(totals(0).exclusive.upper_j.get(), 0);
}

TEST_F(LedgerTest, ManyShortWindowsTogetherTakeNoMoreThanTheTimeThatTheyAreIn) {
  // Each takes 1 J in steps of 2 and is uncertain by 10: alone, anything up to 21 J.
  for (int i = 0; i < 1000; ++i) {
    ledger_.add(entry(0), mark(100 * i, 2 * i, 10), mark(100 * i + 50, 2 * i + 1, 10), nothing_,
                nullptr);
  }
  const ChannelTotals& t = totals(0);
  EXPECT_NEAR(t.inclusive.value_j.get(), 1000, 1e-6);
  EXPECT_GE(t.inclusive.upper_j.get(), 1000);
  EXPECT_NEAR(t.inclusive.upper_j.get(), 1999 + 20, 1e-6);
}

TEST_F(LedgerTest, WindowsThatOverlapStandForThemselves) {
  // Two threads in the same 100 ns and 10 J, known exactly: 20 J.
  for (int i = 0; i < 2; ++i) {
    ledger_.add(entry(0), mark(0, 0, 0), mark(100, 10, 0), nothing_, nullptr);
  }
  EXPECT_DOUBLE_EQ(totals(0).inclusive.value_j.get(), 20);
  EXPECT_DOUBLE_EQ(totals(0).inclusive.upper_j.get(), 20);
  // One that begins after both is again a link of the chain.
  ledger_.add(entry(0), mark(200, 15, 1), mark(300, 16, 1), nothing_, nullptr);
  EXPECT_DOUBLE_EQ(totals(0).inclusive.upper_j.get(), 20 + 3);
}

TEST_F(LedgerTest, WhatNothingProvesIsInfiniteAndCounted) {
  ledger_.add(entry(0), mark(0, 0, 0), mark(100, 1, 0), nothing_, nullptr);
  ledger_.add(entry(0), mark(200, 1, 0), mark(300, 2, 0, {3, 1, 1}), nothing_, nullptr);
  ledger_.add(entry(0), mark(400, 2, 0, {3, 1, 1}), mark(500, 3, 0, {3, 1, 1}), nothing_, nullptr);
  const ChannelTotals& t = totals(0);
  EXPECT_EQ(t.unbounded, 1U);
  EXPECT_EQ(t.failed, 3U);
  EXPECT_EQ(t.ambiguous, 1U);
  EXPECT_EQ(t.reset, 1U);
  EXPECT_EQ(t.inclusive.upper_j.get(), infinite);
  EXPECT_DOUBLE_EQ(t.inclusive.value_j.get(), 3);
  EXPECT_DOUBLE_EQ(t.inclusive.lower_j.get(), 3);
}

TEST_F(LedgerTest, AnEndWithoutABoundSpoilsNothingBehindIt) {
  Mark open_end = mark(100, 1, 0);
  open_end.sources[0].standings[0].upper_j = infinite;
  Nested inside;
  inside.clear(1);
  ledger_.add(entry(1), mark(0, 0, 0), open_end, nothing_, &inside);
  ledger_.add(entry(1), mark(200, 2, 0), mark(300, 3, 0), nothing_, &inside);
  EXPECT_EQ(totals(1).inclusive.upper_j.get(), infinite);
  ledger_.add(entry(0), mark(0, 0, 0), mark(400, 4, 0), inside, nullptr);
  EXPECT_EQ(totals(0).exclusive.lower_j.get(), 0);
  EXPECT_DOUBLE_EQ(totals(0).exclusive.value_j.get(), 2);
  EXPECT_DOUBLE_EQ(totals(0).exclusive.upper_j.get(), 2);
}

}  // namespace
}  // namespace wattring
