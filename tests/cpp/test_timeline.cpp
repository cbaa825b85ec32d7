// SPDX-License-Identifier: Apache-2.0
// Many windows over many kept rows, against the truth and against one window over some.
#include "timeline.hpp"

#include <cmath>
#include <random>

#include "estimate.hpp"
#include "simulation.hpp"
#include "support.hpp"

namespace wattring {
namespace {

using simulation::Timing;

constexpr std::size_t width = simulation::Rows::width;

struct Windows {
  std::vector<std::int64_t> t0_ns;
  std::vector<std::int64_t> t1_ns;
  std::vector<double> lower_j;
  std::vector<double> value_j;
  std::vector<double> upper_j;

  void add(std::int64_t t0, std::int64_t t1) {
    t0_ns.push_back(t0);
    t1_ns.push_back(t1);
  }
  void settle(const Timeline& timeline) {
    const std::size_t n = t0_ns.size() * timeline.channels().size();
    lower_j.resize(n);
    value_j.resize(n);
    upper_j.resize(n);
    timeline.between(t0_ns, t1_ns, {lower_j, value_j, upper_j});
  }
};

Windows random_windows(const Rows& rows, int n, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> any(rows.t_end(0), rows.t_end(rows.size() - 1) - 1);
  Windows windows;
  for (int i = 0; i < n; ++i) {
    const std::int64_t a = any(random);
    const std::int64_t b = any(random);
    windows.add(std::min(a, b), std::max(a, b));
  }
  return windows;
}

TEST(Bits, FindTheNextAndTheOneBefore) {
  Bits bits(200);
  for (const std::size_t i : {0U, 5U, 63U, 64U, 130U, 199U}) {
    bits.set(i);
  }
  EXPECT_EQ(bits.next(0), 0U);
  EXPECT_EQ(bits.next(1), 5U);
  EXPECT_EQ(bits.next(64), 64U);
  EXPECT_EQ(bits.next(65), 130U);
  EXPECT_EQ(bits.next(131), 199U);
  EXPECT_EQ(bits.next(200), 200U);
  EXPECT_EQ(bits.previous(200), 199U);
  EXPECT_EQ(bits.previous(199), 130U);
  EXPECT_EQ(bits.previous(64), 63U);
  EXPECT_EQ(bits.previous(1), 0U);
  EXPECT_EQ(bits.previous(0), 200U);
  EXPECT_EQ(Bits(0).next(0), 0U);
  EXPECT_EQ(Bits(64).next(3), 64U);
}

TEST(RowIndex, FindsTheRowThatASearchFinds) {
  auto made = simulation::run(simulation::loads()[0].energy, {ms, ms}, 3, 3000);
  // A long hole, in which equal parts of the time hold none.
  for (std::size_t i = 1500 * width; i < made.words.size(); i += width) {
    made.words[i] += 40'000 * ms;
    made.words[i + 1] += 40'000 * ms;
  }
  const Rows rows = made.view();
  const RowIndex index(rows);
  const auto expected = [&](std::int64_t t_ns) {
    std::size_t i = 0;
    while (i < rows.size() && rows.t_end(i) <= t_ns) {
      ++i;
    }
    return i;
  };
  for (std::size_t i = 0; i < rows.size(); i += 7) {
    for (const std::int64_t off : {-1, 0, 1}) {
      ASSERT_EQ(index.after(rows.t_end(i) + off), expected(rows.t_end(i) + off));
    }
  }
  EXPECT_EQ(index.after(0), 0U);
  EXPECT_EQ(index.after(rows.t_end(rows.size() - 1) + 1'000'000 * ms), rows.size());
  EXPECT_EQ(RowIndex(Rows({}, width)).after(5), 0U);
}

TEST(Timeline, TheTruthLiesInsideTheBoundsOfEveryWindow) {
  for (const simulation::Load& load : simulation::loads()) {
    for (const Timing& timing : simulation::timings()) {
      SCOPED_TRACE(testing::Message() << load.name << ", period " << timing.period_ns
                                      << " ns, refresh " << timing.refresh_ns << " ns");
      const auto made = simulation::run(load.energy, timing, 1, 1500);
      const Timeline timeline(made.view(), {made.channel});
      Windows windows = random_windows(made.view(), 500, 2);
      windows.settle(timeline);
      for (std::size_t i = 0; i < windows.t0_ns.size(); ++i) {
        const double truth_j =
            made.truth_j(load, windows.t1_ns[i]) - made.truth_j(load, windows.t0_ns[i]);
        ASSERT_LE(windows.lower_j[i], truth_j + 1e-9);
        ASSERT_GE(windows.upper_j[i], truth_j - 1e-9);
        ASSERT_LE(windows.lower_j[i], windows.value_j[i]);
        ASSERT_LE(windows.value_j[i], windows.upper_j[i]);
      }
    }
  }
}

TEST(Timeline, SaysWhatOneEstimateSays) {
  const auto made = simulation::run(simulation::loads()[0].energy, {ms, 976'562}, 4, 900);
  const Rows rows = made.view();
  const Timeline timeline(rows, {made.channel});
  Windows windows = random_windows(rows, 300, 3);
  windows.settle(timeline);
  KnownClock known;
  for (std::size_t i = 0; i < windows.t0_ns.size(); ++i) {
    const Standing a = stand(rows, 0, made.channel, windows.t0_ns[i], &known);
    const Standing b = stand(rows, 0, made.channel, windows.t1_ns[i], &known);
    const ChannelEnergy there = energy_between(a, b, {});
    const ChannelEnergy here = timeline.energy(windows.t0_ns[i], windows.t1_ns[i]).at(0);
    EXPECT_DOUBLE_EQ(windows.lower_j[i], there.lower_j);
    EXPECT_DOUBLE_EQ(windows.upper_j[i], there.upper_j);
    // Its clock may come from other rows.
    EXPECT_NEAR(windows.value_j[i], there.value_j, 80 * 3e-4);
    EXPECT_DOUBLE_EQ(windows.value_j[i], here.value_j);
  }
}

TEST(Timeline, ManyWindowsInAnyOrderAreEachTheirOwn) {
  const auto made = simulation::run(simulation::loads()[0].energy, {ms, 976'562}, 4, 5000);
  const Timeline timeline(made.view(), {made.channel});
  Windows all = random_windows(made.view(), 300'000, 5);  // more than are worked on at once
  all.settle(timeline);
  for (std::size_t i = 0; i < all.t0_ns.size(); i += 997) {
    const ChannelEnergy one = timeline.energy(all.t0_ns[i], all.t1_ns[i]).at(0);
    ASSERT_DOUBLE_EQ(all.value_j[i], one.value_j) << i;
    ASSERT_DOUBLE_EQ(all.lower_j[i], one.lower_j) << i;
    ASSERT_DOUBLE_EQ(all.upper_j[i], one.upper_j) << i;
  }
}

TEST(Timeline, WindowsBeyondTheRowsHaveNoValue) {
  const auto made = simulation::run(simulation::loads()[0].energy, {ms, ms}, 1);
  const Rows rows = made.view();
  const std::int64_t first = rows.t_end(0);
  const std::int64_t last = rows.t_end(rows.size() - 1);
  Channel gauge = made.channel;
  gauge.kind = Kind::gauge;
  const Timeline timeline(rows, {made.channel});
  Windows windows;
  windows.add(first - 1, first + 50 * ms);
  windows.add(first + 50 * ms, last);
  windows.add(first + 50 * ms, first + 49 * ms);
  windows.add(first, last - 1);
  windows.settle(timeline);
  for (const std::size_t i : {0U, 1U, 2U}) {
    EXPECT_TRUE(std::isnan(windows.value_j[i])) << i;
    EXPECT_EQ(windows.lower_j[i], 0) << i;
    EXPECT_TRUE(std::isinf(windows.upper_j[i])) << i;
  }
  EXPECT_FALSE(std::isnan(windows.value_j[3]));
  const Timeline of_gauge(rows, {gauge});
  windows.settle(of_gauge);
  EXPECT_TRUE(std::isnan(windows.value_j[3]));
}

TEST(Timeline, AResetOrAStallInAWindowLeavesNoUpperBound) {
  for (const std::uint64_t mark : {row::reset, row::ambiguous}) {
    auto made = simulation::run(simulation::loads()[0].energy, {ms, ms, 0, 0.02, true}, 1);
    made.words[200 * width + row::status_word] |= mark | row::channel_bit(0);
    const Rows rows = made.view();
    const Timeline timeline(rows, {made.channel});
    Windows windows;
    windows.add(rows.t_end(100), rows.t_end(190));
    windows.add(rows.t_end(190), rows.t_end(210));
    windows.add(rows.t_end(205), rows.t_end(300));
    windows.settle(timeline);
    EXPECT_TRUE(std::isfinite(windows.upper_j[0]));
    EXPECT_TRUE(std::isinf(windows.upper_j[1]));
    EXPECT_TRUE(std::isfinite(windows.upper_j[2]));
    const ChannelEnergy one = timeline.energy(rows.t_end(190), rows.t_end(210)).at(0);
    EXPECT_EQ(one.reset, mark == row::reset ? 1U : 0U);
    EXPECT_EQ(one.ambiguous, mark == row::ambiguous ? 1U : 0U);
    EXPECT_TRUE(std::isinf(one.upper_j));
  }
}

// Between polls it would be 0 W or double power now and then: they see an update or two or none.
TEST(Timeline, KnotsGiveTheSlopeOfAFlatLoad) {
  const auto made =
      simulation::run(simulation::constant(50).energy, {ms, 976'000, ms, 0.02, true}, 1, 6000);
  const Timeline timeline(made.view(), {made.channel});
  const std::vector<Knot> knots = timeline.knots(0);
  ASSERT_GT(knots.size(), 5800U);
  for (std::size_t i = 2; i < knots.size() - 8; ++i) {
    ASSERT_GT(knots[i + 1].t_ns, knots[i].t_ns);
    const auto ticks = static_cast<double>(knots[i + 1].value - knots[i].value);
    const auto ns = static_cast<double>(knots[i + 1].t_ns - knots[i].t_ns);
    ASSERT_NEAR(ticks / 16384 / (ns * 1e-9), 50, 1) << i;
  }
}

// Too few rows for a clock: each date may be off by half a poll.
TEST(Timeline, KnotsThatAreDatedBadlyLieFarApart) {
  for (const std::int64_t refresh : {ms, 20 * ms}) {
    for (unsigned seed = 0; seed < 10; ++seed) {
      const auto made = simulation::run(simulation::constant(50).energy, {ms, refresh}, seed, 300);
      const Timeline timeline(made.view(), {made.channel});
      const std::vector<Knot> knots = timeline.knots(0);
      ASSERT_GT(knots.size(), 10U);
      for (std::size_t i = 0; i + 1 < knots.size(); ++i) {
        const auto ticks = static_cast<double>(knots[i + 1].value - knots[i].value);
        const auto ns = static_cast<double>(knots[i + 1].t_ns - knots[i].t_ns);
        ASSERT_NEAR(ticks / 16384 / (ns * 1e-9), 50, 13) << refresh << ' ' << seed << ' ' << i;
      }
    }
  }
}

TEST(Timeline, ACounterThatNeverMovesHasNoKnot) {
  const auto made = simulation::run([](double) { return 0.0; }, {ms, ms}, 1, 3000);
  const Timeline timeline(made.view(), {made.channel});
  EXPECT_TRUE(timeline.knots(0).empty());
}

TEST(Timeline, RowsThatNoSamplerWritesAreRefused) {
  const auto made = simulation::run(simulation::loads()[0].energy, {ms, ms}, 1);
  const auto refused = [&](std::size_t word, std::uint64_t value) {
    auto words = made.words;
    words[50 * width + word] = value;
    try {
      Timeline timeline(Rows(words, width), {made.channel});
      return std::string();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::invalid);
      return std::string(error.what());
    }
  };
  EXPECT_NE(refused(row::t_begin_word, 0), "");
  EXPECT_NE(refused(row::t_end_word, 0), "");
  EXPECT_NE(refused(row::t_end_word, made.words[52 * width]), "");
  EXPECT_NE(refused(row::first_reading, 0).find("package-0 falls in row 50"), std::string::npos);
  EXPECT_EQ(refused(row::status_word, 0), "");
}

TEST(Timeline, NoRowsNoAnswer) {
  const Timeline timeline(Rows({}, width), {Channel{}});
  Windows windows;
  windows.add(0, 5);
  windows.settle(timeline);
  EXPECT_TRUE(std::isnan(windows.value_j[0]));
  EXPECT_TRUE(timeline.knots(0).empty());
}

}  // namespace
}  // namespace wattring
