// SPDX-License-Identifier: Apache-2.0
// PITFALLS 14: the refresh of a sensor, from rows of which the truth is known.
#include "refresh.hpp"

#include <cmath>
#include <random>

#include "simulation.hpp"
#include "support.hpp"

namespace wattring {
namespace {

using simulation::Load;
using simulation::Timing;

const Load& square() { return simulation::loads()[0]; }

ObservedRefresh observe(const simulation::Rows& made) {
  return observe_refresh(made.view(), std::span(&made.channel, 1), 0);
}

struct Case {
  Timing timing;
  double within;  // of the true refresh
};

// The stated refresh is right, 0 (not stated), or wrong by a factor of 20 either way.
std::vector<std::int64_t> statements(std::int64_t truth) {
  return {truth, 0, 20 * truth, truth / 20};
}

class Told : public testing::TestWithParam<Case> {};

// Loads that change with every refresh, in bursts of some refreshes, and with every other at most.
std::vector<Load> told_loads() {
  const auto& all = simulation::loads();
  return {all[0], all[1], all[2], all[3], simulation::constant(50)};
}

INSTANTIATE_TEST_SUITE_P(
    Timings, Told,
    testing::Values(Case{{250 * us, 976'000}, 0.02}, Case{{250 * us, ms}, 0.03},
                    Case{{250 * us, 20 * ms}, 0.01}, Case{{ms, 3 * ms}, 0.02},
                    Case{{ms, 20 * ms}, 0.01}, Case{{ms, 100 * ms}, 0.01},
                    Case{{7 * ms, 20 * ms}, 0.02}, Case{{7 * ms, 100 * ms}, 0.01},
                    // Updates that come late at random, by a fifth of the refresh.
                    Case{{250 * us, ms, 0, 0.2}, 0.02}, Case{{ms, 20 * ms, 0, 0.2}, 0.03},
                    Case{{7 * ms, 100 * ms, 0, 0.2}, 0.02}));

TEST_P(Told, WhateverTheLoadAndWhateverIsPublished) {
  const Timing timing = GetParam().timing;
  const auto truth = static_cast<double>(timing.refresh_ns);
  const auto polls =
      static_cast<int>(std::max<std::int64_t>(2000, 60 * timing.refresh_ns / timing.period_ns));
  for (const Load& load : told_loads()) {
    for (unsigned seed = 0; seed < 3; ++seed) {
      auto made = simulation::run(load.energy, timing, seed, polls);
      for (const std::int64_t stated : statements(timing.refresh_ns)) {
        made.channel.refresh_ns = stated;
        const ObservedRefresh found = observe(made);
        ASSERT_EQ(found.evidence, Evidence::enough) << load.name << ' ' << seed << ' ' << stated;
        ASSERT_NEAR(static_cast<double>(found.period_ns), truth, GetParam().within * truth)
            << load.name << ' ' << seed << ' ' << stated;
      }
    }
  }
}

TEST(Refresh, IsToldByTheVernierWherePollsAreAsSlow) {
  for (unsigned seed = 0; seed < 5; ++seed) {
    auto made = simulation::run(square().energy, {ms, 976'562}, seed, 4000);
    made.channel.refresh_ns = ms;
    const ObservedRefresh found = observe(made);
    EXPECT_EQ(found.evidence, Evidence::enough) << seed;
    EXPECT_NEAR(static_cast<double>(found.period_ns), 976'562, 300) << seed;
  }
}

TEST(Refresh, TheSearchGoesOnWhereTheNewestRowsDoNotTell) {
  // Nothing happens at the end, for as long as the vernier looks at first.
  const auto busy_s = [](double t_s) { return 50 * std::min(t_s, 2.5); };
  auto made = simulation::run(busy_s, {ms, 976'562}, 1, 4000);
  made.channel.refresh_ns = ms;
  EXPECT_NEAR(static_cast<double>(observe(made).period_ns), 976'562, 300);
}

// "Unknown", and why.
Evidence unknown(const ObservedRefresh& found) {
  EXPECT_EQ(found.period_ns, 0);
  return found.evidence;
}

TEST(Refresh, IsUnknownOfTooFewChanges) {
  const Load load = simulation::constant(50);
  EXPECT_EQ(unknown(observe(simulation::run(load.energy, {ms, 20 * ms}, 1, 150))),
            Evidence::few_changes);
  EXPECT_EQ(observe(simulation::run(load.energy, {ms, 20 * ms}, 1, 600)).evidence,
            Evidence::enough);
}

TEST(Refresh, IsUnknownWithoutAnyChange) {
  const auto nothing = simulation::run([](double) { return 0.0; }, {ms, ms}, 1);
  const ObservedRefresh found = observe(nothing);
  EXPECT_EQ(unknown(found), Evidence::few_changes);
  EXPECT_EQ(found.changes, 0U);
  EXPECT_GT(found.observed_ns, 390 * ms);
  simulation::Rows empty = nothing;
  empty.words.clear();
  EXPECT_EQ(unknown(observe(empty)), Evidence::few_changes);
}

TEST(Refresh, IsUnknownWhereEachPollSeesAChange) {
  for (const Load& load : told_loads()) {
    for (const Timing timing : {Timing{7 * ms, ms}, Timing{ms, ms}, Timing{ms, 488'000},
                                Timing{ms, 700'000}, Timing{ms, 1'300'000}, Timing{ms, 2 * ms}}) {
      for (const std::int64_t stated : {ms, std::int64_t{0}, 20 * ms}) {
        auto made = simulation::run(load.energy, timing, 1, 1500);
        made.channel.refresh_ns = stated;
        ASSERT_EQ(unknown(observe(made)), Evidence::slow_polls)
            << load.name << ' ' << timing.period_ns << ' ' << timing.refresh_ns << ' ' << stated;
      }
    }
  }
}

TEST(Refresh, ACounterThatCreepsSaysNothingOfIt) {
  // A unit is due every six refreshes, which is the load's pace; then every 1.2.
  for (const double power_w : {0.01, 0.05}) {
    const auto made =
        simulation::run(simulation::constant(power_w).energy, {250 * us, ms}, 1, 4000);
    const ObservedRefresh found = observe(made);
    EXPECT_GT(found.changes, 100U);
    EXPECT_EQ(unknown(found), Evidence::idle) << power_w;
  }
}

TEST(Refresh, AFewUnitsTellItWithoutBias) {
  // Three units a refresh: of updates that come at random, the early ones bring less.
  auto made = simulation::run(simulation::constant(0.0092).energy, {ms, 20 * ms, 0, 0.2}, 1, 8000);
  EXPECT_NEAR(static_cast<double>(observe(made).period_ns), 20e6, 0.4e6);
}

// What is observed where the time from one change to the next is what f gives.
template <typename F>
ObservedRefresh observe_changes(F interval_ms) {
  auto made = simulation::run(simulation::constant(50).energy, {ms, 20 * ms}, 1, 10'000);
  std::mt19937_64 random(1);
  double next_ms = 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < made.words.size(); i += simulation::Rows::width) {
    for (; next_ms < static_cast<double>(made.words[i]) / ms; next_ms += interval_ms(random)) {
      value += 1000;
    }
    made.words[i + row::first_reading] = value;
  }
  return observe(made);
}

double uniform(std::mt19937_64& random, double least, double most) {
  return std::uniform_real_distribution<double>(least, most)(random);
}

TEST(Refresh, ChangesAtRandomHaveNone) {
  std::exponential_distribution<double> wait_ms(0.05);
  EXPECT_EQ(unknown(observe_changes(wait_ms)), Evidence::unsteady);
}

TEST(Refresh, ChangesOfTwoPacesHaveNone) {
  EXPECT_EQ(unknown(observe_changes(
                [](auto& random) { return uniform(random, 0, 1) < 0.25 ? 8.0 : 20.0; })),
            Evidence::unsteady);
}

TEST(Refresh, IsToldByTwoFifthsOfTheIntervalsIfTheOthersAreLonger) {
  const auto mostly_idle = [](double share) {
    return observe_changes([=](auto& random) {
      return uniform(random, 0, 1) < share ? 20.0 : 20.0 * std::floor(uniform(random, 2, 9));
    });
  };
  EXPECT_NEAR(static_cast<double>(mostly_idle(0.48).period_ns), 20e6, 0.3e6);
  EXPECT_EQ(unknown(mostly_idle(0.3)), Evidence::unsteady);
}

// A gauge: its value is that of the function at the last update.
simulation::Rows gauge(const std::function<std::uint64_t(std::int64_t)>& of_update, Timing timing,
                       int polls) {
  // A counter that counts updates tells which one each reading saw.
  const double unit_j = 1.0 / 16384;
  const auto counting = [&](double t_s) {
    return unit_j * (std::floor(t_s * 1e9 / static_cast<double>(timing.refresh_ns) + 1e-6) + 0.5);
  };
  auto made = simulation::run(counting, timing, 1, polls);
  made.channel.kind = Kind::gauge;
  for (std::size_t i = row::first_reading; i < made.words.size(); i += simulation::Rows::width) {
    made.words[i] = of_update(static_cast<std::int64_t>(made.words[i]));
  }
  return made;
}

TEST(Refresh, OfAGauge) {
  const auto noisy = [](std::int64_t k) {
    return 50'000 + (static_cast<std::uint64_t>(k) * 0x9E3779B97F4A7C15U >> 61);
  };
  for (const std::int64_t refresh_ns : {20 * ms, 100 * ms}) {
    const auto made = gauge(noisy, {ms, refresh_ns}, 4000);
    const ObservedRefresh found = observe(made);
    EXPECT_EQ(found.evidence, Evidence::enough);
    EXPECT_NEAR(static_cast<double>(found.period_ns), static_cast<double>(refresh_ns),
                0.01 * static_cast<double>(refresh_ns));
    EXPECT_EQ(found.staleness.times, 0U);
  }
}

// PITFALLS 13.
TEST(Refresh, AFlatGaugeHasNoneAndIsNotStale) {
  const auto made = gauge([](std::int64_t) { return 50'000U; }, {ms, 20 * ms}, 4000);
  const ObservedRefresh found = observe(made);
  EXPECT_EQ(unknown(found), Evidence::few_changes);
  EXPECT_EQ(found.staleness.times, 0U);
}

TEST(Refresh, OfEachChannelOfARing) {
  const auto made = simulation::run(square().energy, {ms, 20 * ms}, 1, 3000);
  const std::size_t width = simulation::Rows::width;
  Ring ring(width, 4096);
  for (std::size_t i = 0; i < made.words.size(); i += width) {
    ring.push(std::span(made.words).subspan(i, width));
  }
  const auto all = observe_refresh(ring, std::span(&made.channel, 1));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].changes, observe(made).changes);
  EXPECT_EQ(all[0].period_ns, observe(made).period_ns);
  const auto newest = observe_refresh(ring, std::span(&made.channel, 1), 1000);
  const Rows last = made.view().part(made.view().size() - 1000, 1000);
  EXPECT_EQ(newest[0].changes, observe_refresh(last, std::span(&made.channel, 1), 0).changes);
  EXPECT_EQ(newest[0].observed_ns, last.t_end(999) - last.t_begin(0));
}

}  // namespace
}  // namespace wattring
