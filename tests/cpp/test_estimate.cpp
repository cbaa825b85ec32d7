// SPDX-License-Identifier: Apache-2.0
// Bounds and estimates over rows of a counter whose true energy is known at every instant.
#include "estimate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "error.hpp"

namespace wattring {
namespace {

constexpr double unit_j = 1.0 / 16384;
constexpr std::int64_t ms = 1'000'000;

// Joules in [0, t].
using Energy = std::function<double(double)>;

double square(double t, double low, double high, double period) {
  const double whole = std::floor(t / period);
  const double rest = t - whole * period;
  return whole * period / 2 * (low + high) + low * std::min(rest, period / 2) +
         high * std::max(rest - period / 2, 0.0);
}

struct Load {
  const char* name;
  Energy energy;
};

const Load loads[] = {
    {"square", [](double t) { return square(t, 20, 80, 0.05); }},
    {"bursts", [](double t) { return square(t, 0, 300, 0.004); }},
    {"ramp", [](double t) { return 10 * t + 100 * t * t; }},
    {"nothing", [](double) { return 0.0; }},
    {"less than a unit per refresh", [](double t) { return 0.01 * t; }},
};

struct Simulation {
  Channel channel;
  std::vector<std::uint64_t> words;
  double base_j = 0;  // what the first reading, which rows count from, stood for
  static constexpr std::size_t width = row::first_reading + 1;
  Rows rows() const { return {words, width}; }
};

struct Timing {
  std::int64_t period_ns;
  std::int64_t refresh_ns;
};

// A counter that publishes floor(E(u) / unit) at jittered update instants u, polled by a sampler
// that is late now and then and sometimes fails.
Simulation simulate(const Energy& energy, Timing timing, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  Simulation s;
  s.channel.name = "package-0";
  s.channel.scale = unit_j;
  s.channel.modulus = std::uint64_t{1} << 32;
  s.channel.refresh_ns = timing.refresh_ns;
  const auto updated = [&](std::int64_t k) {
    const auto hash = static_cast<std::uint64_t>(k) * 0x9E3779B97F4A7C15U + seed;
    return k * timing.refresh_ns + static_cast<std::int64_t>(hash >> 40) % (timing.refresh_ns / 50);
  };
  std::uint64_t base = 0;
  std::uint64_t held = 0;
  for (int i = 0; i < 400; ++i) {
    const bool late = uniform(random) < 0.02;
    const auto begin = 10 * ms + i * timing.period_ns +
                       static_cast<std::int64_t>((late ? 5e6 : 3e4) * uniform(random));
    if (!s.words.empty() && begin <= static_cast<std::int64_t>(s.words[s.words.size() - 3])) {
      continue;  // the late one has taken this one's place
    }
    const auto read = begin + static_cast<std::int64_t>(2000 * uniform(random));
    const auto end = read + static_cast<std::int64_t>(2000 * uniform(random));
    std::int64_t k = read / timing.refresh_ns;
    if (updated(k) > read) {
      --k;
    }
    const auto value =
        static_cast<std::uint64_t>(energy(static_cast<double>(updated(k)) * 1e-9) / unit_j);
    if (s.words.empty()) {
      base = value;
      s.base_j = static_cast<double>(base) * unit_j;
    }
    const bool failed = !s.words.empty() && uniform(random) < 0.03;
    held = failed ? held : value - base;
    s.words.insert(s.words.end(),
                   {static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end),
                    failed ? row::failed | row::channel_bit(0) : 0, held});
  }
  return s;
}

TEST(Estimate, TheTruthLiesInsideTheBoundsOfEveryWindow) {
  std::uint64_t windows = 0;
  for (const Load& load : loads) {
    for (const Timing timing : {Timing{ms, 976'000}, Timing{ms, ms}, Timing{250'000, ms},
                                Timing{7 * ms, ms}, Timing{ms, 20 * ms}}) {
      for (unsigned seed = 0; seed < 8; ++seed) {
        const Simulation s = simulate(load.energy, timing, seed);
        const Rows rows = s.rows();
        std::mt19937_64 random(seed + 100);
        std::uniform_int_distribution<std::int64_t> any(rows.t_end(0),
                                                        rows.t_begin(rows.size() - 1));
        for (int i = 0; i < 300; ++i) {
          std::int64_t t0 = any(random);
          std::int64_t t1 = any(random);
          if (t0 > t1) {
            std::swap(t0, t1);
          }
          const Standing a = stand(rows, 0, s.channel, t0);
          const Standing b = stand(rows, 0, s.channel, t1);
          const double truth = load.energy(static_cast<double>(t1) * 1e-9) -
                               load.energy(static_cast<double>(t0) * 1e-9);
          ASSERT_LE(b.lower_j - a.upper_j, truth + 1e-9) << load.name;
          ASSERT_GE(b.upper_j - a.lower_j, truth - 1e-9) << load.name;
          // Each end by itself is stricter than their difference, where slacks may cancel.
          const double at = load.energy(static_cast<double>(t0) * 1e-9) - s.base_j;
          ASSERT_LE(a.lower_j, at + 1e-9) << load.name;
          ASSERT_GE(a.upper_j, at - 1e-9) << load.name;
          ASSERT_LE(a.lower_j, a.value_j);
          ASSERT_LE(a.value_j, a.upper_j);
          ++windows;
        }
      }
    }
  }
  EXPECT_EQ(windows, 5U * 5 * 8 * 300);
}

TEST(Estimate, BoundsAreTightToAPollAndARefresh) {
  const Simulation s = simulate(loads[0].energy, {ms, 976'000}, 1);
  const Rows rows = s.rows();
  double widest = 0;
  for (std::size_t i = 50; i < 300; ++i) {
    if (rows.t_begin(i + 3) - rows.t_begin(i - 2) < 6 * ms) {
      const Standing at = stand(rows, 0, s.channel, rows.t_begin(i));
      widest = std::max(widest, at.upper_j - at.lower_j);
    }
  }
  EXPECT_GT(widest, 0);
  EXPECT_LT(widest, 80 * 0.006);  // no more than a handful of polls at full power
}

TEST(Estimate, AFlatLoadGivesTheExactSlope) {
  const Simulation s = simulate([](double t) { return 100 * t; }, {ms, 976'000}, 3);
  const Rows rows = s.rows();
  const std::int64_t t0 = rows.t_end(40);
  const std::int64_t t1 = rows.t_end(340);
  const double joules =
      stand(rows, 0, s.channel, t1).value_j - stand(rows, 0, s.channel, t0).value_j;
  EXPECT_NEAR(joules / (static_cast<double>(t1 - t0) * 1e-9), 100, 0.5);
}

TEST(Estimate, AStandingCounterIsSettledAndMarked) {
  const Simulation s = simulate(loads[3].energy, {ms, ms}, 0);
  const Standing at = stand(s.rows(), 0, s.channel, s.rows().t_end(100));
  EXPECT_TRUE(at.still);
  EXPECT_DOUBLE_EQ(at.lower_j, 0);
  EXPECT_DOUBLE_EQ(at.upper_j, unit_j);
}

TEST(Estimate, WithoutALaterUpdateNothingIsProvenAbove) {
  const Simulation s = simulate(loads[0].energy, {ms, ms}, 0);
  const Rows rows = s.rows();
  EXPECT_TRUE(std::isinf(stand(rows, 0, s.channel, rows.t_begin(rows.size() - 1)).upper_j));
}

TEST(Estimate, PerfsUnitIsLearnedFromSteps) {
  // As perf counts it: 2^-32 J, in steps of the hidden unit of 2^-14 J.
  Simulation s = simulate(loads[0].energy, {ms, ms}, 2);
  for (std::size_t i = 0; i < s.words.size(); i += Simulation::width) {
    s.words[i + row::first_reading] <<= 18;
  }
  s.channel.scale = unit_j / (1 << 18);
  s.channel.quantum = std::uint64_t{1} << 32;  // 1 J: all that is known beforehand
  const Simulation plain = simulate(loads[0].energy, {ms, ms}, 2);
  const std::int64_t t = plain.rows().t_end(100);
  EXPECT_DOUBLE_EQ(stand(s.rows(), 0, s.channel, t).upper_j,
                   stand(plain.rows(), 0, plain.channel, t).upper_j);
}

TEST(Estimate, RingRefusesTimesBeforeItsOldestRow) {
  const Simulation s = simulate(loads[0].energy, {ms, ms}, 2);
  Ring ring(Simulation::width, 1);
  for (std::size_t i = 0; i < s.words.size(); i += Simulation::width) {
    ring.push({&s.words[i], Simulation::width});
  }
  const Rows rows = s.rows();
  const std::span<const Channel> channels(&s.channel, 1);
  EXPECT_THROW(stand(ring, channels, rows.t_end(0) - 1), Error);
  EXPECT_DOUBLE_EQ(stand(ring, channels, rows.t_end(200)).at(0).lower_j,
                   stand(rows, 0, s.channel, rows.t_end(200)).lower_j);
  EXPECT_TRUE(covered(ring, channels, rows.t_end(200)));
  EXPECT_FALSE(covered(ring, channels, rows.t_end(rows.size() - 1)));
}

}  // namespace
}  // namespace wattring
