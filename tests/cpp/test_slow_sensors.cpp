// SPDX-License-Identifier: Apache-2.0
// Sensors that publish every 100 ms: steps between two updates, dates by neighbours, and integrals,
// whose readings tell of a time before.
#include <cmath>
#include <random>

#include "estimate.hpp"
#include "gpu_simulation.hpp"
#include "integrator.hpp"
#include "support.hpp"
#include "timeline.hpp"

namespace wattring {
namespace {

using gpu_simulation::Energy;
using gpu_simulation::refresh_ns;

constexpr std::size_t width = row::first_reading + 1;
constexpr std::int64_t start_ns = 5'000 * ms;

Channel slow_counter() {
  Channel channel = gpu_simulation::channel(Kind::counter);
  channel.scale = 1e-6;
  return channel;
}

std::uint64_t microjoules(double joules) {
  return static_cast<std::uint64_t>(std::llround(joules * 1e6));
}

struct Made {
  Channel channel = slow_counter();
  std::vector<std::uint64_t> words;
  std::vector<std::int64_t> updates_ns;  // the last before each row

  void add(std::int64_t begin, std::int64_t end, std::uint64_t value) {
    words.insert(words.end(),
                 {static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end), 0, value});
  }
  Rows rows() const { return {words, width}; }
  std::vector<RowDate> dates() const {
    return date_rows(rows(), 0, channel, channel.quantum, nullptr);
  }
  Curve curve() const { return {rows(), 0, channel, channel.quantum, dates()}; }
};

Standing at(const Curve& curve, const Rows& rows, std::int64_t t_ns) {
  return curve.at(t_ns, rows.after(t_ns, 0, rows.size()));
}

double seconds(std::int64_t ns) { return static_cast<double>(ns - start_ns) * 1e-9; }

// A poll right before each update and one right after it, so that it is dated exactly. Energies
// count from the start.
Made dated_exactly(const Energy& energy, int updates, std::int64_t apart_ns = refresh_ns) {
  Made made;
  made.channel.refresh_ns = apart_ns;
  for (int k = 0; k < updates; ++k) {
    const std::int64_t t = start_ns + k * apart_ns;
    made.add(t - us, t - us, microjoules(energy(seconds(std::max(start_ns, t - apart_ns)))));
    made.add(t + us, t + us, microjoules(energy(seconds(t))));
  }
  return made;
}

// Polls every 19 ms or so of updates that come every `true_ms` or so.
Made polled(const Energy& energy, unsigned seed, std::int64_t true_refresh_ns = refresh_ns,
            std::int64_t jitter_ns = ms, std::int64_t poll_ns = 19 * ms) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> phase(0, true_refresh_ns - 1);
  std::uniform_int_distribution<std::int64_t> late(0, 4 * ms);
  std::uniform_int_distribution<std::int64_t> jitter(0, jitter_ns);
  Made made;
  std::int64_t published_ns = start_ns;
  std::int64_t next_ns = start_ns + phase(random);
  const std::int64_t grid_ns = next_ns;
  int k = 0;
  for (std::int64_t t = start_ns; t < start_ns + 12'000 * ms; t += poll_ns) {
    const std::int64_t begin = t + late(random);
    while (next_ns <= begin) {
      published_ns = next_ns;
      next_ns = grid_ns + ++k * true_refresh_ns + jitter(random);
    }
    made.add(begin, begin + ms / 10, microjoules(energy(seconds(published_ns))));
    made.updates_ns.push_back(published_ns);
  }
  return made;
}

Energy step(double from_w, double to_w, double at_s) {
  return
      [=](double t_s) { return from_w * std::min(t_s, at_s) + to_w * std::max(t_s - at_s, 0.0); };
}

TEST(SlowSensors, AStepBetweenLevelsThatLastIsFoundExactly) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> watts(30, 700);
  std::uniform_real_distribution<double> when(0.55, 1.15);
  for (int i = 0; i < 100; ++i) {
    const Energy energy = step(watts(random), watts(random), when(random));
    const Made made = dated_exactly(energy, 18);
    const Curve curve = made.curve();
    for (std::int64_t t = start_ns + 300 * ms; t < start_ns + 1500 * ms; t += 3 * ms) {
      ASSERT_NEAR(at(curve, made.rows(), t).value_j, energy(seconds(t)), 1e-4) << i;
    }
  }
}

TEST(SlowSensors, OneSideThatLastsTellsTheStep) {
  // 300 W for a single whole refresh, amid others of their own: what came before lasted.
  const Energy energy = [](double t_s) {
    return step(100, 300, 0.53)(t_s) + step(0, 250, 0.78)(t_s) + step(0, -400, 0.95)(t_s);
  };
  const Made made = dated_exactly(energy, 14);
  const Curve curve = made.curve();
  for (std::int64_t t = 300; t < 700; t += 3) {
    ASSERT_NEAR(at(curve, made.rows(), start_ns + t * ms).value_j,
                energy(static_cast<double>(t) * 1e-3), 1e-4)
        << t;
  }
}

TEST(SlowSensors, ARampRunsAlongLines) {
  const Energy energy = [](double t_s) { return 50 * t_s + 200 * t_s * t_s; };
  const Made made = dated_exactly(energy, 14);
  const Curve curve = made.curve();
  for (std::int64_t t = 300; t < 1000; t += 7) {
    const double from = static_cast<double>(t / 100) * 0.1;
    const double part = static_cast<double>(t % 100) / 100;
    ASSERT_NEAR(at(curve, made.rows(), start_ns + t * ms).value_j,
                energy(from) + part * (energy(from + 0.1) - energy(from)), 1e-4)
        << t;
  }
}

TEST(SlowSensors, AnExtremeBetweenItsNeighboursIsNoStep) {
  // A burst within one refresh: nothing tells where in it.
  const Energy energy = [](double t_s) {
    return step(100, 600, 0.53)(t_s) + step(0, -500, 0.57)(t_s);
  };
  const Made made = dated_exactly(energy, 14);
  const Curve curve = made.curve();
  EXPECT_NEAR(at(curve, made.rows(), start_ns + 550 * ms).value_j, (energy(0.5) + energy(0.6)) / 2,
              1e-4);
}

TEST(SlowSensors, QuickCountersRunAlongLines) {
  for (const std::int64_t apart_ms : {9, 10}) {
    const double step_s = static_cast<double>(apart_ms) * 7.3e-3;
    const Energy energy = step(100, 500, step_s);
    const Made made = dated_exactly(energy, 14, apart_ms * ms);
    const std::int64_t t = start_ns + apart_ms * 7'300'000;
    const double line_j = energy(step_s / 7.3 * 7) * 0.7 + energy(step_s / 7.3 * 8) * 0.3;
    EXPECT_EQ(made.channel.is_slow(), apart_ms == 10);
    EXPECT_EQ(updates_after(made.channel), apart_ms == 10 ? 2 : 1);
    EXPECT_NEAR(at(made.curve(), made.rows(), t).value_j, apart_ms == 10 ? energy(step_s) : line_j,
                1e-4);
  }
}

Energy at_random(unsigned seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> long_s(1 / 0.3);
  std::uniform_real_distribution<double> watts(0, 700);
  std::vector<std::pair<double, double>> steps{{0, watts(random)}};
  for (double t_s = long_s(random); t_s < 15; t_s += long_s(random)) {
    steps.emplace_back(t_s, seed % 3 == 0 && steps.size() % 2 == 0 ? 0 : watts(random));
  }
  return [steps](double t_s) {
    double joules = 0;
    for (std::size_t i = 0; i < steps.size() && steps[i].first < t_s; ++i) {
      const double until_s = i + 1 < steps.size() ? std::min(t_s, steps[i + 1].first) : t_s;
      joules += steps[i].second * (until_s - steps[i].first);
    }
    return joules;
  };
}

TEST(SlowSensors, EstimatesStayInsideTheBoundsAndNeverRunBackwards) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const Energy energy = at_random(seed);
    const std::int64_t true_refresh = (seed % 4 == 3 ? 60 : 100) * ms;
    Made made = polled(energy, seed, true_refresh, seed % 5 * 4 * ms, (seed % 3 + 1) * 17 * ms);
    const Curve curve = made.curve();
    double last_j = 0;
    for (std::int64_t t = start_ns + 100 * ms; t < start_ns + 11'000 * ms; t += 7 * ms) {
      const Standing there = at(curve, made.rows(), t);
      ASSERT_LE(there.lower_j, there.value_j) << seed;
      ASSERT_LE(there.value_j, there.upper_j) << seed;
      ASSERT_GE(there.value_j, last_j - 1e-9) << seed << ' ' << t;
      const double truth_j = energy(seconds(t));
      ASSERT_LE(there.lower_j, truth_j + 1e-6) << seed;
      ASSERT_GE(there.upper_j, truth_j - 1e-6) << seed;
      last_j = there.value_j;
    }
  }
}

struct DateErrors {
  double by_neighbours_ms = 0;  // mean
  double plain_ms = 0;
  int outside = 0;  // its own two readings
  int dated = 0;
};

DateErrors errors_of(const Made& made) {
  DateErrors errors;
  const Rows rows = made.rows();
  const std::vector<RowDate> dates = made.dates();
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (!dates[i].is_known()) {
      continue;
    }
    const std::int64_t earliest =
        std::max(rows.t_begin(i - 1), rows.t_begin(i) - made.channel.refresh_ns);
    const std::int64_t date = rows.t_begin(i) - dates[i].age_ns();
    const std::int64_t middle = earliest + (rows.t_end(i) - earliest) / 2;
    errors.outside += date < earliest || date > rows.t_end(i) ? 1 : 0;
    errors.by_neighbours_ms += std::abs(static_cast<double>(date - made.updates_ns[i])) * 1e-6;
    errors.plain_ms += std::abs(static_cast<double>(middle - made.updates_ns[i])) * 1e-6;
    ++errors.dated;
  }
  errors.by_neighbours_ms /= errors.dated;
  errors.plain_ms /= errors.dated;
  return errors;
}

const Energy flat = [](double t_s) { return 300 * t_s; };

// Also of sensors that are off by a part in a hundred.
TEST(DatesByNeighbours, AreNarrowerThanTwoReadings) {
  for (const std::int64_t true_ms : {99, 100, 101}) {
    double neighbours = 0;
    double plain = 0;
    for (unsigned seed = 0; seed < 20; ++seed) {
      const DateErrors errors = errors_of(polled(flat, seed, true_ms * ms));
      EXPECT_GT(errors.dated, 100);
      EXPECT_EQ(errors.outside, 0);
      neighbours += errors.by_neighbours_ms;
      plain += errors.plain_ms;
    }
    EXPECT_LT(neighbours, 0.3 * plain) << true_ms;
  }
}

TEST(DatesByNeighbours, AWrongRefreshDoesNoHarm) {
  for (const std::int64_t true_ms : {15, 20, 37, 60, 90, 96, 99, 101, 104, 120, 150, 333}) {
    double neighbours = 0;
    double plain = 0;
    for (unsigned seed = 0; seed < 20; ++seed) {
      const DateErrors errors = errors_of(polled(flat, seed, true_ms * ms));
      EXPECT_EQ(errors.outside, 0) << true_ms;
      neighbours += errors.by_neighbours_ms;
      plain += errors.plain_ms;
    }
    EXPECT_LT(neighbours, 1.02 * plain) << true_ms;
  }
}

TEST(DatesByNeighbours, UpdatesThatComeAtRandomStayBetweenTheirReadings) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(errors_of(polled(flat, seed, 70 * ms, 65 * ms)).outside, 0);
    EXPECT_EQ(errors_of(polled(flat, seed, refresh_ns, 40 * ms, 95 * ms)).outside, 0);
  }
}

// A power that stays the same, read every 19 ms but for one call that takes so long.
TEST(DatesByNeighbours, AnIntegralAfterAStallIsNoSpike) {
  for (int i = 0; i < 400; ++i) {
    const std::int64_t stall = 230 + 7 * i % 1600;
    const int stalled = 40 + i % 23;
    Channel power = gpu_simulation::channel(Kind::integral, 25 * ms);
    Integrator integrator(power);
    std::vector<std::uint64_t> words;
    std::int64_t t = start_ns;
    for (int poll = 0; poll < 120; ++poll) {
      const std::int64_t end = t + (poll == stalled ? stall * ms : us);
      integrator.advance(300'000'000, t, end);
      words.insert(words.end(), {static_cast<std::uint64_t>(t), static_cast<std::uint64_t>(end), 0,
                                 integrator.value(), integrator.variance()});
      t += (end + ms - t + 18 * ms) / (19 * ms) * 19 * ms;
    }
    const Rows rows(words, row::first_reading + 2);
    const Curve curve(rows, 0, power, 1, date_rows(rows, 0, power, 1, nullptr));
    const std::vector<Knot> knots = curve.knots();
    ASSERT_GT(knots.size(), 5U);
    for (std::size_t k = 1; k < knots.size(); ++k) {
      const double watts = static_cast<double>(knots[k].value - knots[k - 1].value) * power.scale /
                           seconds(start_ns + knots[k].t_ns - knots[k - 1].t_ns);
      EXPECT_NEAR(watts, 300, 100) << stalled << ' ' << stall << ' ' << k;
    }
  }
}

// Readings a refresh apart, but for some at first, and a rest after every five of them.
Made sparse(unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> rest(500 * ms, 3000 * ms);
  const std::int64_t phase_ns = std::uniform_int_distribution<std::int64_t>(0, 99 * ms)(random);
  Made made;
  std::int64_t t = start_ns;
  for (int i = 0; i < 400; ++i) {
    const std::int64_t k = (t - start_ns - phase_ns) / refresh_ns;
    made.add(t, t + ms, microjoules(300 * static_cast<double>(k) * 0.1 + 1));
    made.updates_ns.push_back(start_ns + phase_ns + k * refresh_ns);
    t += i < 100 ? 38 * ms : i % 5 == 4 ? rest(random) : 76 * ms;
  }
  return made;
}

double mean_error_ms(const Made& made, const std::vector<RowDate>& dates) {
  double sum = 0;
  int count = 0;
  for (std::size_t i = 100; i < dates.size(); ++i) {
    if (dates[i].is_known()) {
      const std::int64_t date = made.rows().t_begin(i) - dates[i].age_ns();
      sum += std::abs(static_cast<double>(date - made.updates_ns[i])) * 1e-6;
      ++count;
    }
  }
  EXPECT_GT(count, 200);
  return sum / count;
}

TEST(DatesByPhase, OneReadingARefreshDatesEachUpdate) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Made made = sparse(seed);
    KnownClock known;
    const auto dates = date_rows(made.rows(), 0, made.channel, made.channel.quantum, &known);
    EXPECT_LT(mean_error_ms(made, dates), 0.25 * mean_error_ms(made, made.dates())) << seed;
    for (std::size_t i = 1; i < dates.size(); ++i) {
      const std::int64_t date = made.rows().t_begin(i) - dates[i].age_ns();
      EXPECT_TRUE(!dates[i].is_known() ||
                  (date > made.rows().t_begin(i - 1) - us && date <= made.rows().t_end(i)))
          << i;
    }
  }
}

TEST(DatesByPhase, WhatWasSeenIsNotToldTwice) {
  const Made made = sparse(1);
  KnownClock known;
  date_rows(made.rows(), 0, made.channel, made.channel.quantum, &known);
  const double span = known.phase->periods().width();
  date_rows(made.rows().part(0, 100), 0, made.channel, made.channel.quantum, &known);
  EXPECT_EQ(known.phase->periods().width(), span);
}

TEST(DatesByPhase, ARefreshThatTurnsOutToBeAnotherBeginsAnew) {
  Made made = sparse(1);
  KnownClock known;
  date_rows(made.rows(), 0, made.channel, made.channel.quantum, &known);
  made.channel.refresh_ns = 200 * ms;
  date_rows(made.rows(), 0, made.channel, made.channel.quantum, &known);
  EXPECT_EQ(known.phase->refresh_ns(), 200 * ms);
}

}  // namespace
}  // namespace wattring
