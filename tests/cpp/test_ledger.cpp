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

Nested nothing_in(std::size_t name) {
  Nested nested;
  nested.clear(name, 1);
  return nested;
}

class LedgerTest : public testing::Test {
 protected:
  LedgerEntry& entry(std::size_t name) {
    LedgerEntry* known = ledger_.find(name);
    return known != nullptr ? *known : ledger_.add_name(name, "name " + std::to_string(name), 1);
  }
  const ChannelTotals& totals(std::size_t name) { return entry(name).channels.at(0); }
  // A window of the name that `nested` is about.
  void add(const Mark& from, const Mark& to, const Nested& nested, Nested* outer = nullptr) {
    ledger_.begin(nested.name, from.t_ns);
    end(from, to, nested, outer);
  }
  // Of one that has begun.
  void end(const Mark& from, const Mark& to, const Nested& nested, Nested* outer = nullptr) {
    ledger_.add(entry(nested.name), from, to, nested, outer);
  }
  Ledger ledger_;
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
  add(mark(100, 1, 0.25), mark(200, 3, 0.25), nothing_in(3));
  add(mark(1000, 10, 0.25), mark(1500, 15, 0.25), nothing_in(3));
  const LedgerEntry& e = entry(3);
  EXPECT_EQ(e.name, "name 3");
  EXPECT_EQ(e.count, 2U);
  EXPECT_EQ(e.overlapped, 0U);
  EXPECT_EQ(e.covered.ns, 600);
  EXPECT_EQ(e.summed_ns, 600);
  EXPECT_EQ(e.exclusive_ns(), 600);
  EXPECT_EQ(e.min_ns, 100);
  EXPECT_EQ(e.max_ns, 500);
  EXPECT_DOUBLE_EQ(e.inclusive(0).value_j, 7);
  EXPECT_DOUBLE_EQ(e.inclusive(0).lower_j, 6);
  EXPECT_DOUBLE_EQ(e.inclusive(0).upper_j, 8);
  EXPECT_DOUBLE_EQ(e.exclusive(0).value_j, 7);
  EXPECT_DOUBLE_EQ(totals(3).summed_j.get(), 7);
  EXPECT_DOUBLE_EQ(totals(3).min_j, 2);
  EXPECT_DOUBLE_EQ(totals(3).max_j, 5);
  EXPECT_EQ(ledger_.find(0), nullptr);
  EXPECT_EQ(ledger_.find(4), nullptr);
}

TEST_F(LedgerTest, ExclusiveIsTheWholeWithoutThePartsInTheWorstCase) {
  Nested inside = nothing_in(0);
  add(mark(110, 2, 0.25), mark(150, 4, 0.25), nothing_in(1), &inside);
  add(mark(160, 5, 0.25), mark(190, 6, 0.25), nothing_in(1), &inside);
  add(mark(100, 0, 0.25), mark(200, 10, 0.25), inside);
  EXPECT_EQ(entry(0).covered.ns, 100);
  EXPECT_EQ(entry(0).exclusive_ns(), 30);
  EXPECT_DOUBLE_EQ(entry(0).inclusive(0).value_j, 10);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).value_j, 7);  // 10 − 2 − 1
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).lower_j, 9.5 - 4);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).upper_j, 10.5 - 2);
}

TEST_F(LedgerTest, PartsThatMayBeMoreThanTheWholeLeaveNothingNotLess) {
  Nested inside = nothing_in(0);
  add(mark(101, 0, 5), mark(199, 0.5, 5), nothing_in(1), &inside);
  add(mark(100, 0, 0.1), mark(200, 0.4, 0.1), inside);
  EXPECT_EQ(entry(0).exclusive(0).lower_j, 0);
  EXPECT_GE(entry(0).exclusive(0).value_j, 0);
  EXPECT_GE(entry(0).exclusive(0).upper_j, 0);
}

TEST_F(LedgerTest, ManyShortWindowsTogetherTakeNoMoreThanTheTimeThatTheyAreIn) {
  // Each takes 1 J in steps of 2 and is uncertain by 10: alone, anything up to 21 J.
  for (int i = 0; i < 1000; ++i) {
    add(mark(100 * i, 2 * i, 10), mark(100 * i + 50, 2 * i + 1, 10), nothing_in(0));
  }
  const Bounded all = entry(0).inclusive(0);
  EXPECT_NEAR(all.value_j, 1000, 1e-6);
  EXPECT_GE(all.upper_j, 1000);
  EXPECT_NEAR(all.upper_j, 1999 + 20, 1e-6);
  EXPECT_NEAR(entry(0).exclusive(0).upper_j, 1999 + 20, 1e-6);
}

// Pitfall 26.
TEST_F(LedgerTest, WindowsAtTheSameTimeTakeTheEnergyOfThatTimeOnce) {
  // Four threads in the same 100 ns and 10 J, known exactly.
  for (int i = 0; i < 4; ++i) {
    ledger_.begin(0, 0);
  }
  for (int i = 0; i < 4; ++i) {
    end(mark(0, 0, 0), mark(100, 10, 0), nothing_in(0));
  }
  const LedgerEntry& e = entry(0);
  EXPECT_EQ(e.count, 4U);
  EXPECT_EQ(e.overlapped, 3U);
  EXPECT_EQ(e.covered.ns, 100);
  EXPECT_EQ(e.summed_ns, 400);
  for (const Bounded& found : {e.inclusive(0), e.exclusive(0)}) {
    EXPECT_DOUBLE_EQ(found.lower_j, 10);
    EXPECT_DOUBLE_EQ(found.value_j, 10);
    EXPECT_DOUBLE_EQ(found.upper_j, 10);
  }
  EXPECT_DOUBLE_EQ(totals(0).summed_j.get(), 40);
  // One that begins after them is again a link of the chain.
  add(mark(200, 15, 1), mark(300, 16, 1), nothing_in(0));
  EXPECT_EQ(e.overlapped, 3U);
  EXPECT_EQ(e.covered.ns, 200);
  EXPECT_DOUBLE_EQ(e.inclusive(0).upper_j, 10 + 3);
}

TEST_F(LedgerTest, OwnPartsOfOverlappingWindowsLieBetweenTheirMeanAndTheirSum) {
  // Two threads for 100 ns and 100 J, each half of it in another window: both the same half, as far
  // as is known here, or the one and the other.
  Nested inside = nothing_in(0);
  ledger_.begin(0, 0);
  ledger_.begin(0, 0);
  add(mark(0, 0, 0), mark(50, 50, 0), nothing_in(1), &inside);
  end(mark(0, 0, 0), mark(100, 100, 0), inside);
  end(mark(0, 0, 0), mark(100, 100, 0), inside);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).lower_j, 50);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).value_j, 100);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).upper_j, 100);
  EXPECT_EQ(entry(0).exclusive_ns(), 100);
}

TEST_F(LedgerTest, OwnPartsOfARecursionAreAsWellKnownAsTheWhole) {
  // Fifty levels, and something else inside the innermost.
  std::vector<Nested> levels(50, nothing_in(0));
  for (int i = 0; i < 50; ++i) {
    ledger_.begin(0, i);
  }
  add(mark(60, 60, 0.5), mark(70, 70, 0.5), nothing_in(1), &levels[49]);
  for (int i = 49; i >= 0; --i) {
    end(mark(i, i, 0.5), mark(130 - i, 130 - i, 0.5), levels[static_cast<std::size_t>(i)],
        i > 0 ? &levels[static_cast<std::size_t>(i) - 1] : nullptr);
  }
  EXPECT_EQ(entry(0).overlapped, 49U);
  EXPECT_EQ(entry(0).covered.ns, 130);
  EXPECT_EQ(entry(0).exclusive_ns(), 120);
  EXPECT_DOUBLE_EQ(entry(0).inclusive(0).value_j, 130);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).value_j, 120);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).lower_j, 129 - 11);
}

TEST_F(LedgerTest, OwnPartsShareAnUncertaintyOnce) {
  add(mark(0, 0, 0), mark(10, 10, 10), nothing_in(0));
  // Both of these come after what may have been up to 20 J, one inside the other.
  ledger_.begin(0, 11);
  ledger_.begin(0, 12);
  end(mark(12, 12, 0), mark(13, 13, 0), nothing_in(0));
  end(mark(11, 11, 0), mark(111, 111, 0), nothing_in(0));
  // So that the whole is far more.
  Nested inside = nothing_in(0);
  add(mark(200, 200, 0), mark(1200, 1200, 0), nothing_in(1), &inside);
  add(mark(200, 200, 0), mark(1200, 1200, 0), inside);
  EXPECT_GE(entry(0).exclusive(0).upper_j, 110);
  EXPECT_LE(entry(0).exclusive(0).upper_j, 120);
}

TEST_F(LedgerTest, AnEndQueuedBehindALaterOneAddsWhatIsLeftUntilThat) {
  ledger_.begin(0, 0);
  ledger_.begin(0, 10);
  end(mark(10, 10, 1), mark(1010, 1010, 1), nothing_in(0));
  end(mark(0, 0, 1), mark(1000, 1000, 1), nothing_in(0));
  EXPECT_EQ(entry(0).covered.ns, 1010);
  EXPECT_DOUBLE_EQ(entry(0).inclusive(0).value_j, 1010);
  EXPECT_DOUBLE_EQ(entry(0).inclusive(0).upper_j, 1010 + 2);
  EXPECT_DOUBLE_EQ(entry(0).inclusive(0).lower_j, 1000 - 2);
  // And itself, where what ended later lies behind it.
  ledger_.begin(0, 2000);
  ledger_.begin(0, 2200);
  end(mark(2200, 2200, 0), mark(2300, 2300, 0), nothing_in(0));
  end(mark(2000, 2000, 0), mark(2100, 2100, 0), nothing_in(0));
  EXPECT_EQ(entry(0).covered.ns, 1010 + 200);
  EXPECT_DOUBLE_EQ(entry(0).inclusive(0).value_j, 1010 + 200);
}

TEST_F(LedgerTest, WhatNothingProvesIsInfiniteAndCounted) {
  add(mark(0, 0, 0), mark(100, 1, 0), nothing_in(0));
  add(mark(200, 1, 0), mark(300, 2, 0, {3, 1, 1}), nothing_in(0));
  add(mark(400, 2, 0, {3, 1, 1}), mark(500, 3, 0, {3, 1, 1}), nothing_in(0));
  const ChannelTotals& t = totals(0);
  EXPECT_EQ(t.unbounded, 1U);
  EXPECT_EQ(t.failed, 3U);
  EXPECT_EQ(t.ambiguous, 1U);
  EXPECT_EQ(t.reset, 1U);
  EXPECT_EQ(entry(0).inclusive(0).upper_j, infinite);
  EXPECT_DOUBLE_EQ(entry(0).inclusive(0).value_j, 3);
  EXPECT_DOUBLE_EQ(entry(0).inclusive(0).lower_j, 3);
}

TEST_F(LedgerTest, AnEndWithoutABoundSpoilsNothingBehindIt) {
  Mark open_end = mark(100, 1, 0);
  open_end.sources[0].standings[0].upper_j = infinite;
  Nested inside = nothing_in(0);
  add(mark(0, 0, 0), open_end, nothing_in(1), &inside);
  add(mark(200, 2, 0), mark(300, 3, 0), nothing_in(1), &inside);
  EXPECT_EQ(entry(1).inclusive(0).upper_j, infinite);
  add(mark(0, 0, 0), mark(400, 4, 0), inside);
  EXPECT_EQ(entry(0).exclusive(0).lower_j, 0);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).value_j, 2);
  EXPECT_DOUBLE_EQ(entry(0).exclusive(0).upper_j, 2);
}

}  // namespace
}  // namespace wattring
