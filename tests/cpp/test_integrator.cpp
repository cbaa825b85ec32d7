// SPDX-License-Identifier: Apache-2.0
// Energy from powers that are published now and then: by readings that can be followed by hand, and
// from sensors of a known energy.
#include "integrator.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "gpu_simulation.hpp"
#include "support.hpp"
#include "timeline.hpp"

namespace wattring {
namespace {

using gpu_simulation::bursts;
using gpu_simulation::Energy;
using gpu_simulation::refresh_ns;

constexpr std::uint64_t uw_per_w = 1'000'000;

// Microjoules from readings in microwatts, as nvml_gpu.cpp has them.
Channel sensor_of(std::int64_t averaging_ns) {
  return gpu_simulation::channel(Kind::integral, averaging_ns);
}

// Polls that take 2 µs around their time.
struct Fed {
  explicit Fed(std::int64_t averaging_ns) : integrator(sensor_of(averaging_ns)) {}
  std::uint64_t at(std::int64_t t_ns, double watts) {
    return integrator.advance(static_cast<std::uint64_t>(watts * uw_per_w), t_ns - us, t_ns + us);
  }
  double joules() const { return static_cast<double>(integrator.value()) * 1e-6; }
  double variance_j2() const { return static_cast<double>(integrator.variance()) * 1e-6; }
  Integrator integrator;
};

constexpr std::int64_t start_ns = 5'000 * ms;

TEST(Integrator, TheFirstReadingIsTheBaseline) {
  Fed fed(refresh_ns);
  EXPECT_EQ(fed.at(start_ns, 300), 0U);
  EXPECT_EQ(fed.integrator.value(), 0U);
  EXPECT_EQ(fed.integrator.variance(), 0U);
}

TEST(Integrator, AnUpdateAddsTheEnergyOfTheTimeBeforeIt) {
  Fed fed(refresh_ns);
  for (std::int64_t t = 0; t <= 100; t += 10) {
    fed.at(start_ns + t * ms, 100);
  }
  EXPECT_EQ(fed.integrator.value(), 0U) << "there was no update yet";
  fed.at(start_ns + 110 * ms, 500);  // between the two polls, after 105 ms
  EXPECT_EQ(fed.integrator.value(), 52'500'000U);
}

TEST(Integrator, AnUpdateIsNoOlderThanARefresh) {
  Fed fed(refresh_ns);
  fed.at(start_ns, 100);
  fed.at(start_ns + 140 * ms, 500);  // after 40 to 140 ms
  EXPECT_NEAR(fed.joules(), 500 * 0.09, 1e-6);
}

TEST(Integrator, MissedUpdatesGoAlongALine) {
  Fed fed(refresh_ns);
  fed.at(start_ns, 100);
  fed.at(start_ns + 1000 * ms, 500);  // after 950 ms, of which the last 100 at 500 W
  EXPECT_NEAR(fed.joules(), 500 * 0.1 + 300 * 0.85, 1e-6);
}

TEST(Integrator, AConstantPowerIsPowerTimesTime) {
  for (const std::int64_t averaging_ns : {0 * ms, 25 * ms, 100 * ms, 1000 * ms}) {
    Fed fed(averaging_ns);
    std::int64_t t_ns = 0;
    for (; t_ns <= 60'000 * ms; t_ns += 19 * ms) {
      EXPECT_EQ(fed.at(start_ns + t_ns, 300), 0U);
    }
    EXPECT_EQ(fed.integrator.value() % 30'000'000, 0U) << "whole refreshes";
    EXPECT_NEAR(fed.joules(), 300 * 60, 300 * 0.2) << averaging_ns;
    EXPECT_EQ(fed.integrator.variance(), 0U);
  }
}

// However far the polls lie apart: a window's ends then differ by what their dates leave open
// alone.
TEST(Integrator, AReadingThatStandsStillIsToldHalfARefreshLate) {
  std::mt19937_64 random(1);
  for (const std::int64_t most_ms : {10, 19, 60, 95, 100, 130, 400, 1300}) {
    Fed fed(refresh_ns);
    std::uniform_int_distribution<std::int64_t> pause(ms, most_ms * ms);
    for (std::int64_t t_ns = 0; t_ns < 20'000 * ms; t_ns += pause(random)) {
      fed.at(start_ns + t_ns, 1000);
      const auto told_ns = static_cast<std::int64_t>(fed.joules() * 1e6);
      ASSERT_LE(told_ns, std::max<std::int64_t>(0, t_ns - refresh_ns / 2)) << most_ms;
      ASSERT_GE(told_ns, t_ns - 3 * refresh_ns / 2 - us) << most_ms;
    }
  }
}

TEST(Integrator, WindowsOverAFlatLoadAreRightWherePollsWereLeftOut) {
  const std::vector<Channel> channels{sensor_of(25 * ms), gpu_simulation::channel(Kind::variance)};
  double squares = 0;
  int windows = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::int64_t> left_out(0, 20);
    Fed fed(25 * ms);
    std::vector<std::uint64_t> words;
    for (std::int64_t t = start_ns; t < start_ns + 20'000 * ms;
         t += 19 * ms * (1 + (random() % 2) * left_out(random))) {
      fed.at(t, 300);
      words.insert(words.end(),
                   {static_cast<std::uint64_t>(t - us), static_cast<std::uint64_t>(t + us), 0,
                    fed.integrator.value(), fed.integrator.variance()});
    }
    const Timeline timeline(Rows(words, row::first_reading + 2), channels);
    for (std::int64_t t0 = start_ns + 3000 * ms; t0 < start_ns + 10'000 * ms; t0 += 701 * ms) {
      const ChannelEnergy energy = timeline.energy(t0, t0 + 5000 * ms).at(0);
      squares += std::pow(energy.value_j - 1500, 2);
      ++windows;
    }
  }
  // Of the 30 J of a refresh.
  EXPECT_LT(std::sqrt(squares / windows), 30 * 0.3);
}

TEST(Integrator, OverALongStallNothingIsKnown) {
  Fed fed(refresh_ns);
  fed.at(start_ns, 100);
  EXPECT_EQ(fed.at(start_ns + 2000 * ms, 100), 0U);
  EXPECT_EQ(fed.at(start_ns + 4001 * ms, 100), row::ambiguous) << "no readings, or failed ones";
  EXPECT_NEAR(fed.joules(), 100 * 4, 100 * 0.15) << "as if it had stayed so";
  EXPECT_EQ(fed.at(start_ns + 4020 * ms, 100), 0U) << "once";
  EXPECT_EQ(fed.at(start_ns + 9000 * ms, 700), row::ambiguous);
}

TEST(Integrator, WhatTheSensorSawWhollyHasNoVariance) {
  for (const std::int64_t averaging_ns : {0 * ms, 100 * ms}) {
    Fed fed(averaging_ns);
    for (std::int64_t t = 0; t < 10'000; t += 19) {
      fed.at(start_ns + t * ms, t / 100 % 2 == 0 ? 50 : 700);
    }
    EXPECT_EQ(fed.integrator.variance(), 0U);
  }
}

// Of a step at any moment, all as likely, of a time d: (ΔP·d)² / 12.
TEST(Integrator, AStepThatTheSensorDidNotSeeAddsToTheVariance) {
  const auto after = [](std::int64_t averaging_ns, std::int64_t pause_ns, double from, double to) {
    Fed fed(averaging_ns);
    fed.at(start_ns, from);
    fed.at(start_ns + pause_ns, to);
    return fed.variance_j2();
  };
  EXPECT_NEAR(after(25 * ms, 100 * ms, 100, 500), std::pow(400 * 0.075, 2) / 12, 1e-5);
  EXPECT_NEAR(after(25 * ms, 100 * ms, 500, 100), std::pow(400 * 0.075, 2) / 12, 1e-5);
  EXPECT_NEAR(after(25 * ms, 1000 * ms, 100, 500), std::pow(400 * (0.075 + 0.85), 2) / 12, 1e-5);
  EXPECT_NEAR(after(100 * ms, 1000 * ms, 100, 500), std::pow(400 * 0.85, 2) / 12, 1e-5);
  EXPECT_EQ(after(25 * ms, 1000 * ms, 100, 100), 0);
  Fed twice(25 * ms);
  twice.at(start_ns, 100);
  twice.at(start_ns + 100 * ms, 500);
  twice.at(start_ns + 200 * ms, 300);
  EXPECT_NEAR(twice.variance_j2(), (std::pow(30, 2) + std::pow(15, 2)) / 12, 1e-5);
}

// The mean of the second before, published at a pace of its own, polled every 19 ms.
struct Averaged {
  double recovered_j = 0;  // from 3 s on to the end
  double true_j = 0;
  double all_j = 0;
  bool monotone = true;
};

Averaged average(const Energy& energy, std::int64_t true_refresh_ns, std::int64_t length_ns) {
  constexpr std::int64_t window_ns = 1000 * ms;
  Fed fed(window_ns);
  Averaged found;
  double first_j = 0;
  std::int64_t first_ns = 0;
  double last_j = 0;
  const auto joules = [&](std::int64_t t_ns) { return energy(static_cast<double>(t_ns) * 1e-9); };
  std::int64_t update = 0;
  for (std::int64_t t = start_ns; t < start_ns + length_ns; t += 19 * ms) {
    update = t / true_refresh_ns * true_refresh_ns;
    fed.at(t, joules(update) - joules(update - window_ns));
    found.monotone = found.monotone && fed.joules() >= last_j;
    last_j = fed.joules();
    if (first_ns == 0 && t >= start_ns + 3000 * ms) {
      first_ns = update;
      first_j = last_j;
    }
  }
  found.all_j = last_j;
  found.recovered_j = last_j - first_j;
  found.true_j = joules(update - window_ns) - joules(first_ns - window_ns);
  return found;
}

TEST(IntegratorOfAMean, TakesItApart) {
  for (const double period_s : {0.23, 0.5, 0.83, 2.1, 6.3}) {
    const Averaged found = average(bursts(period_s, 0.5), refresh_ns, 40'000 * ms);
    EXPECT_NEAR(found.recovered_j / found.true_j, 1, 0.01) << period_s;
    EXPECT_TRUE(found.monotone) << period_s;
  }
}

TEST(IntegratorOfAMean, ASensorOfAnotherPaceDoesNotDrift) {
  for (const std::int64_t true_ms : {99, 101, 104}) {
    for (const double period_s : {0.5, 2.1}) {
      const Averaged found = average(bursts(period_s, 0.5), true_ms * ms, 200'000 * ms);
      EXPECT_NEAR(found.recovered_j / found.true_j, 1, 0.01) << true_ms << ' ' << period_s;
      EXPECT_TRUE(found.monotone);
    }
  }
}

TEST(IntegratorOfAMean, ASecondLateItIsTheMeanPowerTimesTheTime) {
  const Averaged found = average(bursts(1, 0.2), refresh_ns, 101'000 * ms);
  EXPECT_NEAR(found.all_j, (0.8 * 50 + 0.2 * 700) * 100, 0.01 * 18'000);
}

// One burst between long rests, and from rest to nothing at all: what is taken back never shows.
TEST(IntegratorOfAMean, NothingIsBelowZero) {
  for (const double low_w : {0.0, 3.0}) {
    const Energy burst = [low_w](double t_s) {
      return low_w * t_s + 700 * std::clamp(t_s - 10.03, 0.0, 0.04);
    };
    const Averaged found = average(burst, refresh_ns, 20'000 * ms);
    EXPECT_TRUE(found.monotone);
    EXPECT_NEAR(found.recovered_j, found.true_j, 0.01 * 28 + low_w * 0.1);
  }
}

// It began after half a second of 700 W and half of none, which it cannot know.
TEST(IntegratorOfAMean, AMeanOfNothingTakesBackWhatCannotHaveBeen) {
  Fed fed(1000 * ms);
  std::int64_t t = start_ns;
  for (double mean_w = 350; mean_w >= 0; mean_w -= 70, t += 100 * ms) {
    fed.at(t, mean_w);
  }
  const double until_j = fed.joules();
  EXPECT_LT(until_j, 350);
  for (int i = 0; i < 100; ++i, t += 19 * ms) {
    fed.at(t, 0);
  }
  EXPECT_NEAR(fed.joules(), until_j, 1e-6);
}

TEST(IntegratorOfAMean, MissedUpdatesAreTakenApartToo) {
  Fed fed(1000 * ms);
  std::int64_t t = start_ns;
  for (; t < start_ns + 3000 * ms; t += 19 * ms) {
    fed.at(t, 200);
  }
  const double before_j = fed.joules();
  t += 1500 * ms;
  fed.at(t, 201);
  EXPECT_NEAR(fed.joules() - before_j, 200 * 1.5, 200 * 0.2);
  // No poll for hours: the parts of the mean are far fewer than the updates.
  fed.at(t + 7'200'000 * ms, 200);
  EXPECT_NEAR(fed.joules() - before_j, 200 * 7200, 200 * 0.01 * 7200);
}

}  // namespace
}  // namespace wattring
