// SPDX-License-Identifier: Apache-2.0
// Each rule of the bounds by itself, on rows that can be followed by hand.
#include <cmath>

#include "estimate.hpp"
#include "support.hpp"

namespace wattring {
namespace {

constexpr std::size_t width = row::first_reading + 1;

struct Made {
  struct Row {
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t value;
    std::uint64_t marks = 0;
    std::uint64_t channel = 0;
  };
  explicit Made(const std::vector<Row>& all, std::int64_t refresh_ns = 100) {
    for (const Row& r : all) {
      const std::uint64_t status = r.marks != 0 ? r.marks | row::channel_bit(r.channel) : 0;
      words.insert(words.end(), {r.begin, r.end, status, r.value});
    }
    channel.scale = 1;
    channel.refresh_ns = refresh_ns;
  }
  Standing at(std::int64_t t) const { return stand(Rows(words, width), 0, channel, t); }
  Ring& ring() {
    if (!ring_) {
      ring_ = std::make_unique<Ring>(width, 1);
      for (std::size_t i = 0; i < words.size(); i += width) {
        ring_->push({&words[i], width});
      }
    }
    return *ring_;
  }
  bool covers(std::int64_t t) { return covered(ring(), {&channel, 1}, t); }

  std::vector<std::uint64_t> words;
  Channel channel;

 private:
  std::unique_ptr<Ring> ring_;
};

const std::vector<Made::Row> plain{
    {0, 10, 0}, {100, 110, 0}, {200, 210, 50}, {300, 310, 90}, {400, 410, 120}};

TEST(EstimateRules, ARowProvesItsValueFromItsEndOn) {
  const Made made(plain);
  EXPECT_EQ(made.at(209).lower_j, 0);
  EXPECT_EQ(made.at(210).lower_j, 50);
  EXPECT_EQ(made.at(399).lower_j, 90);
}

TEST(EstimateRules, TwoReadingsThatDifferProveAnUpdateAfterTheFirstBegan) {
  const Made made(plain);
  EXPECT_EQ(made.at(100).upper_j, 50 + 1);
  EXPECT_EQ(made.at(101).upper_j, 90 + 1);
  EXPECT_EQ(made.at(300).upper_j, 120 + 1);
  EXPECT_TRUE(std::isinf(made.at(301).upper_j));
}

TEST(EstimateRules, TheUnitIsTheLeastThatTheStepsAllow) {
  Made made(plain);
  made.channel.quantum = 7;  // not known exactly; the steps, 50, 40, 30, say at most 10
  EXPECT_EQ(made.at(100).upper_j, 50 + 7);
  made.channel.quantum = 1000;
  EXPECT_EQ(made.at(100).upper_j, 50 + 10);
}

TEST(EstimateRules, AFailedRowProvesNothingAbove) {
  auto rows = plain;
  rows[1].marks = row::failed;  // its 0 is the row's before it
  EXPECT_EQ(Made(rows).at(50).upper_j, 90 + 1);
  rows[1].marks = 0;
  EXPECT_EQ(Made(rows).at(50).upper_j, 50 + 1);
  // Nor does a failed row end the pair of good ones around it.
  rows = plain;
  rows[2] = {200, 210, 0, row::failed};
  EXPECT_EQ(Made(rows).at(100).upper_j, 90 + 1);
  EXPECT_EQ(Made(rows).at(299).lower_j, 0);
}

TEST(EstimateRules, AnotherChannelsFailureIsNotThisOnes) {
  auto rows = plain;
  rows[1].marks = row::failed;
  rows[1].channel = 5;
  EXPECT_EQ(Made(rows).at(50).upper_j, 50 + 1);
}

TEST(EstimateRules, AResetOrAStallLeavesNothingProvenAbove) {
  for (const std::uint64_t mark : {row::reset, row::ambiguous}) {
    auto rows = plain;
    rows[3].marks = mark;
    EXPECT_EQ(Made(rows).at(100).upper_j, 50 + 1) << "proven before it";
    EXPECT_TRUE(std::isinf(Made(rows).at(101).upper_j));
    EXPECT_EQ(Made(rows).at(310).lower_j, 90);
    EXPECT_EQ(Made(rows).at(300).lower_j, 50);
  }
}

TEST(EstimateRules, OnesAfterAResetProveAgain) {
  auto rows = plain;
  rows[2].marks = row::reset;
  EXPECT_EQ(Made(rows).at(210).upper_j, 120 + 1);
}

TEST(EstimateRules, AStandingCounterIsSettledAfterFourRefreshes) {
  std::vector<Made::Row> rows;
  for (std::uint64_t t = 0; t <= 1000; t += 100) {
    rows.push_back({t, t + 10, t < 100 ? 3U : 5U});
  }
  const Made made(rows, 100);
  EXPECT_TRUE(made.at(500).still);
  EXPECT_EQ(made.at(500).upper_j, 5 + 1);
  EXPECT_EQ(made.at(500).lower_j, 5);
  EXPECT_FALSE(made.at(600).still) << "four refreshes have not passed";
  EXPECT_TRUE(std::isinf(made.at(600).upper_j));
}

TEST(EstimateRules, FailedReadingsAreNoProofOfStandingStill) {
  std::vector<Made::Row> rows{{0, 10, 0}, {100, 110, 5}};
  for (std::uint64_t t = 200; t <= 1000; t += 100) {
    rows.push_back({t, t + 10, 5, row::failed});
  }
  EXPECT_FALSE(Made(rows).at(150).still);
  EXPECT_TRUE(std::isinf(Made(rows).at(150).upper_j));
}

TEST(EstimateRules, TheEstimateStaysInsideWhatIsProven) {
  const Made made(plain);
  for (std::int64_t t = 10; t <= 410; ++t) {
    const Standing at = made.at(t);
    ASSERT_GE(at.value_j, at.lower_j);
    ASSERT_LE(at.value_j, at.upper_j);
  }
}

TEST(EstimateRules, NobodySawACounterStandStillInAHole) {
  // 1 a nanosecond throughout; the sampler was held up from 200 to 800.
  const Made hole({{0, 10, 0}, {100, 110, 100}, {200, 210, 200}, {800, 810, 800}, {900, 910, 900}});
  const Made slow({{0, 10, 0}, {700, 710, 700}, {1400, 1410, 1400}, {2100, 2110, 2100}});
  for (std::int64_t t = 210; t < 800; t += 10) {
    ASSERT_NEAR(hole.at(t).value_j, static_cast<double>(t), 100);
    ASSERT_NEAR(slow.at(t).value_j, static_cast<double>(t), 100);
  }
}

TEST(EstimateRules, WhatPollsSawStandStillDidSo) {
  std::vector<Made::Row> rows{{0, 10, 0}, {100, 110, 100}};
  for (std::uint64_t t = 200; t <= 800; t += 100) {
    rows.push_back({t, t + 10, 100});
  }
  rows.push_back({900, 910, 200});
  const Made made(rows);
  for (std::int64_t t = 110; t < 700; t += 10) {
    ASSERT_LE(made.at(t).value_j, 100 + 1) << "moved by less than its unit";
  }
}

TEST(EstimateRules, TimesBeforeTheOldestRowAreRefused) {
  Made made(plain);
  const std::span<const Channel> channels(&made.channel, 1);
  const Error error = error_of([&] { stand(made.ring(), channels, 9); });
  EXPECT_EQ(error.code(), Errc::state);
  EXPECT_NE(error.remedy(), "");
  EXPECT_EQ(stand(made.ring(), channels, 10).at(0).lower_j, 0);
  Ring empty(width, 1);
  EXPECT_EQ(error_of([&] { stand(empty, channels, 9); }).code(), Errc::state);
}

TEST(EstimateRules, ATimeIsCoveredOnceEveryCounterHasMovedOrHadTheTime) {
  Made made(plain, 200);
  EXPECT_TRUE(made.covers(100));
  EXPECT_TRUE(made.covers(300));
  EXPECT_FALSE(made.covers(301));
  EXPECT_FALSE(made.covers(410));
  Made still({{0, 10, 5}, {200, 210, 5}, {400, 410, 5}, {600, 610, 5}}, 100);
  EXPECT_TRUE(still.covers(100));
  EXPECT_FALSE(still.covers(250));
  // One row, however late, is behind an update at best: it proves nothing above.
  EXPECT_FALSE(Made({{0, 10, 5}, {900, 910, 9}}, 100).covers(10));
  EXPECT_TRUE(Made({{0, 10, 5}, {900, 910, 9}, {1000, 1010, 12}}, 100).covers(10));
  Made none({});
  EXPECT_FALSE(none.covers(0));
}

TEST(EstimateRules, OnlyASweepThatWasQuickCoversAndNoLaterOneUndoesIt) {
  const std::vector<Made::Row> start{{0, 10, 0}, {100, 110, 0}};
  const auto with = [&start](std::vector<Made::Row> more) {
    more.insert(more.begin(), start.begin(), start.end());
    return Made(more, 200);
  };
  EXPECT_FALSE(with({{200, 300, 50}}).covers(100));
  EXPECT_FALSE(with({{200, 300, 50}, {310, 320, 50}}).covers(100));
  EXPECT_TRUE(with({{200, 300, 50}, {310, 320, 90}}).covers(100));
  EXPECT_TRUE(with({{200, 210, 50}, {300, 400, 90}}).covers(100));
}

TEST(EstimateRules, GaugesAreNotWaitedForAndHaveNoEnergy) {
  Made made({{0, 10, 5}, {200, 210, 5}});
  made.channel.kind = Kind::gauge;
  EXPECT_TRUE(made.covers(205));
  EXPECT_EQ(stand(made.ring(), {&made.channel, 1}, 100).at(0).upper_j, 0);
}

TEST(RowStatus, NamesTheChannelOrSuspectsTooMany) {
  const std::uint64_t status = row::failed | row::gap | row::channel_bit(3);
  EXPECT_EQ(row::marks_of(status, 3), row::failed);
  EXPECT_EQ(row::marks_of(status, 4), 0U);
  EXPECT_EQ(row::marks_of(status, 3 + 56), row::failed);
  EXPECT_EQ(row::marks_of(row::gap, 3), 0U);
}

}  // namespace
}  // namespace wattring
