// SPDX-License-Identifier: Apache-2.0
// Integrals as channels: their time, their bounds, what they add to a sum, and when all is known of
// one.
#include <cmath>

#include "estimate.hpp"
#include "gpu_simulation.hpp"
#include "ring.hpp"
#include "sum.hpp"
#include "support.hpp"
#include "timeline.hpp"

namespace wattring {
namespace {

using gpu_simulation::refresh_ns;

constexpr std::int64_t start_ns = 5'000 * ms;
constexpr std::size_t width = row::first_reading + 2;

Channel integral(std::int64_t averaging_ns) {
  return gpu_simulation::channel(Kind::integral, averaging_ns);
}

TEST(Integrals, TellOfATimeThatTheirMeanLeavesOpen) {
  Channel channel = integral(25 * ms);
  EXPECT_EQ(channel.delay_ns(), -37'500'000) << "its middle lies so much later than a refresh's";
  EXPECT_EQ(channel.blur_ns(), 50 * ms) << "a steady power tells of no update";
  EXPECT_EQ(channel.lag_ns(), 12'500'000);
  channel.averaging_ns = 100 * ms;
  EXPECT_EQ(channel.delay_ns(), 0);
  EXPECT_EQ(channel.lag_ns(), 50 * ms);
  channel.averaging_ns = 1000 * ms;
  EXPECT_EQ(channel.delay_ns(), 1000 * ms);
  EXPECT_EQ(channel.blur_ns(), 500 * ms);
  EXPECT_EQ(channel.lag_ns(), 1500 * ms);
  channel.averaging_ns = 0;
  EXPECT_EQ(channel.delay_ns(), 0) << "unknown";
  EXPECT_EQ(channel.blur_ns(), 50 * ms);
  channel = gpu_simulation::channel(Kind::gauge, 1000 * ms);
  EXPECT_EQ(channel.lag_ns(), 0);
}

// 1 J an update and 0.5 J² of variance each, of which each is dated exactly.
struct Stepped {
  explicit Stepped(std::int64_t averaging_ns)
      : channels{integral(averaging_ns), gpu_simulation::channel(Kind::variance)} {
    for (std::uint64_t k = 0; k < 60; ++k) {
      const auto t = static_cast<std::uint64_t>(start_ns) + k * refresh_ns;
      const std::uint64_t before = k > 0 ? k - 1 : 0;
      words.insert(words.end(), {t - us, t - us, 0, before * 1'000'000, before * 500'000});
      words.insert(words.end(), {t + us, t + us, 0, k * 1'000'000, k * 500'000});
    }
  }
  Rows rows() const { return {words, width}; }
  Standing at(std::int64_t t_ns) const { return stand(rows(), 0, channels[0], t_ns); }
  std::vector<Channel> channels;
  std::vector<std::uint64_t> words;
};

TEST(Integrals, AValueIsThatOfTheDelayLater) {
  for (const std::int64_t averaging : {25 * ms, 50 * ms, 100 * ms, 1000 * ms}) {
    const Stepped made(averaging);
    const std::int64_t delay_ns = made.channels[0].delay_ns();
    for (const std::int64_t t : {2000 * ms, 2033 * ms, 2075 * ms}) {
      const double updates = static_cast<double>(t + delay_ns) / 1e8;
      const Standing there = made.at(start_ns + t);
      EXPECT_NEAR(there.value_j, updates, 1e-4) << averaging << ' ' << t;
    }
  }
}

TEST(Integrals, BoundsAreThoseOfTheUpdatesAroundHalfARefresh) {
  const Standing there = Stepped(100 * ms).at(start_ns + 2033 * ms);
  EXPECT_EQ(there.lower_j, 19);
  EXPECT_NEAR(there.upper_j, 21, 1e-5);
  // Of the middle of 25 ms, 37.5 before the end of a refresh's.
  const Standing part = Stepped(25 * ms).at(start_ns + 2033 * ms);
  EXPECT_EQ(part.lower_j, 19);
  EXPECT_NEAR(part.upper_j, 21, 1e-5);
}

TEST(Integrals, AMeanOfASecondMayHideHalfASecondOnEitherSide) {
  const Standing there = Stepped(1000 * ms).at(start_ns + 2033 * ms);
  EXPECT_NEAR(there.value_j, 30.33, 1e-3);
  EXPECT_EQ(there.lower_j, 25);
  EXPECT_NEAR(there.upper_j, 36, 1e-5);
}

TEST(Integrals, TheVarianceIsThatOfTheSameReading) {
  EXPECT_NEAR(Stepped(100 * ms).at(start_ns + 2033 * ms).variance_j2, 20 * 0.5, 1e-9);
  EXPECT_NEAR(Stepped(100 * ms).at(start_ns + 2000 * ms).variance_j2, 19 * 0.5, 1e-9);
  EXPECT_NEAR(Stepped(25 * ms).at(start_ns + 2033 * ms).variance_j2, 19 * 0.5, 1e-9);
  EXPECT_NEAR(Stepped(1000 * ms).at(start_ns + 2033 * ms).variance_j2, 30 * 0.5, 1e-9);
}

TEST(Integrals, KnotsLieWhereTheEnergyWasUsed) {
  for (const std::int64_t averaging : {25 * ms, 100 * ms, 1000 * ms}) {
    const Stepped made(averaging);
    const Timeline timeline(made.rows(), made.channels);
    const std::vector<Knot> knots = timeline.knots(0);
    ASSERT_GT(knots.size(), 50U);
    for (const Knot& knot : knots) {
      const auto k = static_cast<std::int64_t>(knot.value / 1'000'000);
      EXPECT_NEAR(static_cast<double>(knot.t_ns),
                  static_cast<double>(start_ns + k * refresh_ns - made.channels[0].delay_ns()),
                  2e3);
    }
  }
}

TEST(Integrals, WindowsHaveASpreadInTheirBounds) {
  const Stepped made(100 * ms);
  const Timeline timeline(made.rows(), made.channels);
  const ChannelEnergy energy = timeline.energy(start_ns + 1050 * ms, start_ns + 4250 * ms).at(0);
  EXPECT_NEAR(energy.value_j, 32, 1e-3);
  EXPECT_NEAR(energy.spread_j, 2 * std::sqrt(32 * 0.5), 1e-9) << "twice a standard deviation";
  EXPECT_NEAR(energy.lower_j, 29 - energy.spread_j, 1e-3);
  EXPECT_NEAR(energy.upper_j, 35 + energy.spread_j, 1e-3);
  EXPECT_EQ(timeline.energy(start_ns + 1050 * ms, start_ns + 4250 * ms).at(1).upper_j, 0);
}

TEST(Spread, WidensTheBoundsButNotBelowNothing) {
  const Standing a{.lower_j = 10, .value_j = 11, .upper_j = 12, .variance_j2 = 4};
  Standing b{.lower_j = 20, .value_j = 21, .upper_j = 22, .variance_j2 = 8};
  ChannelEnergy energy = energy_between(a, b, {});
  EXPECT_EQ(energy.spread_j, 4);
  EXPECT_EQ(energy.value_j, 10);
  EXPECT_EQ(energy.lower_j, 8 - 4);
  EXPECT_EQ(energy.upper_j, 12 + 4);
  b.variance_j2 = 104;
  energy = energy_between(a, b, {});
  EXPECT_EQ(energy.spread_j, 20);
  EXPECT_EQ(energy.lower_j, 0);
  EXPECT_EQ(energy.upper_j, 32);
  b.variance_j2 = 4;
  energy = energy_between(a, b, {});
  EXPECT_EQ(energy.spread_j, 0);
  EXPECT_EQ(energy.lower_j, 8);
  EXPECT_EQ(energy.upper_j, 12);
}

// Each window shares the uncertainty of its begin with the one before, but not its own spread.
TEST(Spread, EachWindowOfASumAddsItsOwn) {
  ChainedSum sum;
  Standing last{.lower_j = 0, .value_j = 5, .upper_j = 10};
  for (int i = 1; i <= 3; ++i) {
    Standing next{.lower_j = 100.0 * i,
                  .value_j = 100.0 * i + 5,
                  .upper_j = 100.0 * i + 10,
                  .variance_j2 = last.variance_j2 + 1};
    const ChannelEnergy energy = energy_between(last, next, {});
    EXPECT_EQ(energy.upper_j, 110 + 2);
    EXPECT_EQ(sum.add_next(energy, next), i == 1 ? 112 : 100 + 2);
    last = next;
  }
  EXPECT_EQ(sum.upper_j.get(), 310 + 3 * 2);
  EXPECT_EQ(sum.lower_j.get(), 3 * (90 - 2));
  EXPECT_EQ(sum.value_j.get(), 300);
}

TEST(Integrals, WithoutTheirVarianceAreRefused) {
  const Stepped made(100 * ms);
  const auto refused = [&](std::vector<Channel> channels) {
    const Error error = error_of([&] { Timeline::check(made.rows(), channels); });
    EXPECT_EQ(error.code(), Errc::invalid);
    EXPECT_TRUE(contains(error.what(), "gpu-9 is an integral without its variance"))
        << error.what();
    EXPECT_NE(error.remedy(), "");
  };
  Channel named = made.channels[0];
  named.name = "gpu-9";
  refused({made.channels[1], named});
  refused({named, gpu_simulation::channel(Kind::gauge)});
  EXPECT_NO_THROW(Timeline::check(made.rows(), made.channels));
  auto words = made.words;
  words[20 * width + row::first_reading + 1] = 0;
  const Error falls = error_of([&] { Timeline::check(Rows(words, width), made.channels); });
  EXPECT_TRUE(contains(falls.what(), "falls in row 20")) << falls.what();
}

struct Filled {
  explicit Filled(std::vector<Channel> of)
      : channels(std::move(of)), ring(row::first_reading + channels.size(), 1) {}
  // Rows of which all readings are this value.
  void add(std::int64_t t_ns, std::uint64_t value) {
    std::vector<std::uint64_t> words{static_cast<std::uint64_t>(t_ns),
                                     static_cast<std::uint64_t>(t_ns + us), 0};
    words.resize(words.size() + channels.size(), value);
    ring.push(words);
  }
  bool covers(std::int64_t t_ns) const { return covered(ring, channels, t_ns); }
  std::vector<Channel> channels;
  Ring ring;
};

TEST(SlowSensors, ATimeIsCoveredByTwoUpdatesOrFourRefreshes) {
  Filled moving({gpu_simulation::channel(Kind::counter)});
  for (int k = 0; k <= 30; ++k) {  // an update every fifth row
    const std::int64_t t = start_ns + k * 20 * ms;
    moving.add(t, static_cast<std::uint64_t>(k / 5));
  }
  // The newest updates are in rows 30 and 25, each against the row before.
  EXPECT_TRUE(moving.covers(start_ns + 24 * 20 * ms));
  EXPECT_FALSE(moving.covers(start_ns + 24 * 20 * ms + 10 * us));
  Filled still({gpu_simulation::channel(Kind::counter)});
  for (int k = 0; k <= 30; ++k) {
    still.add(start_ns + k * 20 * ms, 7);
  }
  EXPECT_TRUE(still.covers(start_ns + 600 * ms - 4 * refresh_ns - us));
  EXPECT_FALSE(still.covers(start_ns + 600 * ms - 4 * refresh_ns));
}

TEST(Integrals, ATimeIsCoveredAfterTheirLagAndTwoRefreshes) {
  for (const std::int64_t averaging : {25 * ms, 100 * ms, 1000 * ms}) {
    Filled filled({integral(averaging), gpu_simulation::channel(Kind::variance)});
    for (int k = 0; k <= 200; ++k) {
      filled.add(start_ns + k * 20 * ms, static_cast<std::uint64_t>(k));
    }
    const std::int64_t last = start_ns + 4000 * ms - filled.channels[0].lag_ns() - 2 * refresh_ns;
    EXPECT_TRUE(filled.covers(last)) << averaging;
    EXPECT_FALSE(filled.covers(last + 1)) << averaging;
  }
}

}  // namespace
}  // namespace wattring
