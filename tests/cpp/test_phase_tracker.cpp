// SPDX-License-Identifier: Apache-2.0
// Phase and period of a sensor's updates, by readings that are close together now and then.
#include "phase_tracker.hpp"

#include <cmath>
#include <functional>
#include <random>

#include "support.hpp"

namespace wattring {
namespace {

constexpr std::int64_t refresh_ns = 100 * ms;
constexpr std::int64_t start_ns = 70'000 * ms;

// Publishes at steady times, late by some; a reading tells how often it has.
struct Sensor {
  double period_ns = 100e6;
  std::int64_t jitter_ns = 0;
  std::int64_t phase_ns = 33 * ms;

  std::int64_t update(std::int64_t k) const {
    std::minstd_rand random(static_cast<unsigned>(7919 * k));
    random.discard(3);
    const std::int64_t late =
        jitter_ns > 0 ? std::uniform_int_distribution<std::int64_t>(0, jitter_ns)(random) : 0;
    return start_ns + phase_ns + std::llround(static_cast<double>(k) * period_ns) + late;
  }
  std::int64_t count(std::int64_t t_ns) const {
    auto k = static_cast<std::int64_t>(
        std::floor(static_cast<double>(t_ns - start_ns - phase_ns) / period_ns));
    return update(k) <= t_ns ? k : k - 1;
  }
};

struct Reader {
  Sensor sensor;
  PhaseTracker tracker{refresh_ns};
  std::int64_t t_ns = start_ns;
  std::int64_t last_ns = 0;

  void read() {
    if (last_ns != 0 && sensor.count(t_ns) != sensor.count(last_ns)) {
      tracker.see(last_ns, t_ns);
    }
    last_ns = t_ns;
  }
  void read_for(std::int64_t length_ns, std::int64_t apart_ns) {
    for (const std::int64_t end_ns = t_ns + length_ns; t_ns < end_ns; t_ns += apart_ns) {
      read();
    }
  }
};

TEST(PhaseTracker, KnowsNothingAtFirstAndThenWhenUpdatesCome) {
  Reader reader;
  EXPECT_FALSE(reader.tracker.nearest(start_ns));
  EXPECT_TRUE(reader.tracker.is_fading(start_ns)) << "readings are needed";
  reader.read_for(400 * ms, 19 * ms);
  EXPECT_FALSE(reader.tracker.nearest(reader.t_ns)) << "a few updates are too few";
  reader.read_for(3000 * ms, 19 * ms);
  for (int k = 30; k < 60; ++k) {
    const std::int64_t truth = reader.sensor.update(k);
    const auto found = reader.tracker.nearest(truth + 20 * ms);
    ASSERT_TRUE(found) << k;
    EXPECT_LE(found->earliest_ns, truth);
    EXPECT_GE(found->latest_ns, truth);
    EXPECT_NEAR(static_cast<double>(found->middle_ns() - truth), 0, 8e6) << k;
  }
}

TEST(PhaseTracker, APeriodOffByUpToFivePercentIsFound) {
  for (const double period_ns : {96e6, 99e6, 100e6, 101e6, 104e6}) {
    Reader reader{.sensor = {.period_ns = period_ns, .jitter_ns = ms}};
    reader.read_for(6000 * ms, 19 * ms);
    EXPECT_LE(reader.tracker.periods().low, period_ns + 20e3);
    EXPECT_GE(reader.tracker.periods().high, period_ns - 20e3);
    EXPECT_LT(reader.tracker.periods().width(), 1e6) << period_ns;
    EXPECT_TRUE(reader.tracker.nearest(reader.t_ns));
  }
}

TEST(PhaseTracker, OtherPacesAndNoneAreNeverKnown) {
  for (const double period_ns : {13e6, 50e6, 88e6, 113e6, 150e6, 200e6}) {
    Reader reader{.sensor = {.period_ns = period_ns}};
    int known = 0;
    for (int i = 0; i < 1000; ++i) {
      reader.read_for(57 * ms, 19 * ms);
      known += reader.tracker.nearest(reader.t_ns) ? 1 : 0;
    }
    EXPECT_LT(known, 20) << period_ns;
  }
  Reader erratic{.sensor = {.jitter_ns = 90 * ms}};
  int known = 0;
  for (int i = 0; i < 1000; ++i) {
    erratic.read_for(57 * ms, 19 * ms);
    known += erratic.tracker.nearest(erratic.t_ns) ? 1 : 0;
  }
  EXPECT_LT(known, 100);
}

TEST(PhaseTracker, OneThatKeepsNoPhaseIsGivenUp) {
  Reader reader{.sensor = {.period_ns = 37e6}};
  reader.read_for(5000 * ms, 10 * ms);
  EXPECT_FALSE(reader.tracker.is_fading(reader.t_ns + 10'000 * ms)) << "no more readings for it";
}

TEST(PhaseTracker, ItSaysWhenReadingsAreNeededLestItForgets) {
  Reader reader;
  reader.read_for(1000 * ms, 38 * ms);
  EXPECT_FALSE(reader.tracker.is_fading(reader.t_ns));
  std::int64_t gap_ns = 0;
  std::vector<std::int64_t> gaps_ns;
  for (int i = 0; i < 8; ++i) {
    for (gap_ns = 0; gap_ns < 60'000 * ms && !reader.tracker.is_fading(reader.t_ns);
         gap_ns += 19 * ms) {
      reader.t_ns += 19 * ms;
    }
    gaps_ns.push_back(gap_ns);
    reader.read_for(300 * ms, 38 * ms);
    EXPECT_FALSE(reader.tracker.is_fading(reader.t_ns)) << i;
  }
  EXPECT_GT(gaps_ns.back(), 20 * gaps_ns.front()) << "the longer it knows the period";
}

TEST(PhaseTracker, LongAfterwardsThePeriodIsStillOfUse) {
  Reader reader;
  reader.read_for(20'000 * ms, 19 * ms);
  const double width = reader.tracker.periods().width();
  reader.t_ns += 3'600'000 * ms;
  EXPECT_FALSE(reader.tracker.nearest(reader.t_ns));
  EXPECT_TRUE(reader.tracker.is_fading(reader.t_ns));
  reader.read_for(1000 * ms, 19 * ms);
  EXPECT_TRUE(reader.tracker.nearest(reader.t_ns));
  EXPECT_LE(reader.tracker.periods().width(), width);
}

TEST(PhaseTracker, AnOddUpdateIsNoNewPhaseAndSeveralAre) {
  Reader reader;
  reader.read_for(10'000 * ms, 19 * ms);
  const std::int64_t odd_ns = reader.sensor.update(102) + 45 * ms;
  reader.tracker.see(odd_ns, odd_ns + 5 * ms);
  const auto still = reader.tracker.nearest(reader.sensor.update(103));
  ASSERT_TRUE(still);
  EXPECT_NEAR(static_cast<double>(still->middle_ns() - reader.sensor.update(103)), 0, 5e6);
  reader.t_ns = start_ns + 11'000 * ms;
  reader.last_ns = 0;
  reader.sensor.phase_ns = 81 * ms;
  reader.read_for(5000 * ms, 19 * ms);
  const auto anew = reader.tracker.nearest(reader.sensor.update(170));
  ASSERT_TRUE(anew);
  EXPECT_NEAR(static_cast<double>(anew->middle_ns() - reader.sensor.update(170)), 0, 5e6);
}

TEST(PhaseTracker, ReadingsFarApartSayNothing) {
  Reader reader;
  reader.read_for(100'000 * ms, 361 * ms);
  EXPECT_FALSE(reader.tracker.nearest(reader.t_ns));
  EXPECT_EQ(reader.tracker.periods().width(), 10e6);
}

TEST(PhaseTracker, TheLastUpdateThatAReadingShows) {
  Reader reader{.sensor = {.jitter_ns = ms}};
  reader.read_for(10'000 * ms, 19 * ms);
  std::mt19937_64 random(7);
  std::uniform_int_distribution<std::int64_t> after(0, 30'000 * ms);
  int told = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::int64_t t = reader.t_ns + after(random);
    const std::int64_t truth = reader.sensor.update(reader.sensor.count(t));
    const auto found = reader.tracker.last_before(t - 500 * ms, t, t);
    if (found) {
      ++told;
      EXPECT_NEAR(static_cast<double>(found->middle_ns() - truth), 0, 15e6);
    }
  }
  EXPECT_GT(told, 1500) << "all but those close to an update";
}

TEST(PhaseTracker, TheReadingBeforeTellsWhichUpdateItWas) {
  Reader reader;
  reader.read_for(10'000 * ms, 19 * ms);
  const std::int64_t update = reader.sensor.update(150);
  EXPECT_FALSE(reader.tracker.last_before(update - 500 * ms, update, update));
  const auto found = reader.tracker.last_before(update - 50 * ms, update + us, update + us);
  ASSERT_TRUE(found) << "none other lies between the two readings";
  EXPECT_LE(found->latest_ns, update + us);
  EXPECT_GT(found->earliest_ns, update - 20 * ms);
  EXPECT_FALSE(reader.tracker.last_before(update + 20 * ms, update + 60 * ms, update + 60 * ms))
      << "there is none between them at all";
}

TEST(PhaseTracker, SensorsOfOneRefreshShareTheirPeriod) {
  std::vector<Reader> readers;
  for (std::int64_t phase : {3, 19, 31, 47, 58, 66, 74, 91}) {
    readers.push_back({.sensor = {.phase_ns = phase * ms}});
  }
  std::vector<Reader> alone = readers;
  const auto width = [](const std::vector<Reader>& all) {
    double widest = 0;
    for (const Reader& reader : all) {
      widest = std::max(widest, reader.tracker.periods().width());
    }
    return widest;
  };
  for (int i = 0; i < 30; ++i) {
    for (std::size_t r = 0; r < readers.size(); ++r) {
      readers[r].read_for(38 * ms, 38 * ms);
      alone[r].read_for(38 * ms, 38 * ms);
    }
    share_periods(readers, [](Reader& reader) { return &reader.tracker; });
  }
  EXPECT_LT(width(readers), 0.7 * width(alone));
  for (const Reader& reader : readers) {
    EXPECT_LE(reader.tracker.periods().low, 100e6);
    EXPECT_GE(reader.tracker.periods().high, 100e6);
  }
}

TEST(PhaseTracker, OneOfAnotherPeriodGoesItsOwnWay) {
  std::vector<Reader> readers;
  for (int i = 0; i < 3; ++i) {
    readers.push_back({.sensor = {.period_ns = i == 2 ? 103e6 : 100e6, .phase_ns = 17 * i * ms}});
  }
  for (int i = 0; i < 2000; ++i) {
    for (Reader& reader : readers) {
      reader.read_for(19 * ms, 19 * ms);
    }
    share_periods(readers, [](Reader& reader) { return &reader.tracker; });
  }
  for (const Reader& reader : readers) {
    EXPECT_TRUE(reader.tracker.nearest(reader.t_ns));
    EXPECT_NEAR(reader.tracker.periods().low, reader.sensor.period_ns, 0.1e6);
  }
}

TEST(PhaseTracker, FastOnesGoAsWell) {
  Reader reader{.sensor = {.period_ns = 976'562, .jitter_ns = 20 * us, .phase_ns = 300 * us},
                .tracker = PhaseTracker(ms, 40 * us)};
  reader.read_for(200 * ms, 130 * us);
  ASSERT_TRUE(reader.tracker.nearest(reader.t_ns));
  EXPECT_NEAR(reader.tracker.periods().low, 976'562, 4000);
}

}  // namespace
}  // namespace wattring
