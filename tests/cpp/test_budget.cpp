// SPDX-License-Identifier: Apache-2.0
// The share of the time that reading may take, in simulated time.
#include "budget.hpp"

#include <algorithm>
#include <random>

#include "support.hpp"

namespace wattring {
namespace {

constexpr double share = 0.005;
constexpr std::int64_t s = 1000 * ms;
constexpr std::int64_t start_ns = 100 * s;
constexpr std::int64_t period_ns = 19 * ms;
constexpr std::int64_t close_ns = 43 * ms;

// A sampler's grid, whose readings all cost the same.
struct Grid {
  explicit Grid(std::int64_t cost, std::int64_t period = period_ns, double of = share)
      : budget(of, period), cost_ns(cost), pace_ns(period) {}
  // Readings are asked for from now on for so long; `late_ns`: the deadlines come late by up to
  // this.
  std::vector<std::int64_t> run(std::int64_t length_ns, bool urgent, std::int64_t late_ns = 0) {
    std::vector<std::int64_t> read;
    std::uniform_int_distribution<std::int64_t> late(0, late_ns);
    for (const std::int64_t end_ns = t_ns + length_ns; t_ns < end_ns; t_ns += pace_ns) {
      const std::int64_t begin = t_ns + late(random);
      if (budget.allows(begin, urgent ? std::optional(close_ns) : std::nullopt)) {
        budget.spend(begin, begin + cost_ns);
        read.push_back(begin);
      }
    }
    return read;
  }
  double spent(const std::vector<std::int64_t>& read) const {
    return static_cast<double>(read.size()) * static_cast<double>(cost_ns);
  }
  Budget budget;
  std::int64_t cost_ns;
  std::int64_t pace_ns;
  std::int64_t t_ns = start_ns;
  std::mt19937_64 random{1};
};

std::int64_t widest(const std::vector<std::int64_t>& times) {
  std::int64_t most = 0;
  for (std::size_t i = 1; i < times.size(); ++i) {
    most = std::max(most, times[i] - times[i - 1]);
  }
  return most;
}

std::int64_t narrowest(const std::vector<std::int64_t>& times) {
  std::int64_t least = times.at(1) - times.at(0);
  for (std::size_t i = 1; i < times.size(); ++i) {
    least = std::min(least, times[i] - times[i - 1]);
  }
  return least;
}

TEST(Budget, TheShareIsKeptWhateverAReadingCosts) {
  constexpr std::int64_t length = 1000 * s;
  for (const std::int64_t period : {2 * ms, 19 * ms, 100 * ms, 1000 * ms}) {
    for (const std::int64_t cost : {10 * us, 100 * us, 1600 * us, 10 * ms, 90 * ms}) {
      for (const bool urgent : {false, true}) {
        Grid grid(cost, period);
        const auto read = grid.run(length, urgent, period / 10);
        // And what may be spent before it was saved.
        EXPECT_LE(grid.spent(read), share * static_cast<double>(length + 16 * s + period))
            << cost << ' ' << period << ' ' << urgent;
        EXPECT_GT(read.size(), 1U);
      }
    }
  }
}

TEST(Budget, WhileSomebodyWaitsAllOfItIsThere) {
  Grid grid(1600 * us);
  EXPECT_GT(grid.spent(grid.run(1000 * s, true)), 0.95 * share * 1000e9);
}

TEST(Budget, ACheapReadingIsNeverLeftOut) {
  for (const bool urgent : {false, true}) {
    Grid grid(95 * us);  // half a percent of 19 ms
    const auto read = grid.run(100 * s, urgent, 9 * ms);
    EXPECT_EQ(read.size(), static_cast<std::size_t>(100 * s / period_ns) + 1) << urgent;
  }
}

TEST(Budget, OthersComeEvenlyWhileNobodyWaits) {
  Grid grid(1600 * us);
  const auto read = grid.run(300 * s, false);
  // A tenth of the share: 3.2 s apart, on a grid.
  EXPECT_LE(widest(read), 3200 * ms + period_ns);
  EXPECT_GE(narrowest({read.begin() + 1, read.end()}), 3200 * ms - period_ns);
  EXPECT_LT(grid.spent(read), 0.11 * share * 300e9);
}

TEST(Budget, UrgentReadingsComeCloseTogether) {
  Grid grid(1600 * us);
  grid.run(60 * s, false);
  const auto read = grid.run(1 * s, true);
  // 43 ms, which the grid makes 38.
  EXPECT_EQ(widest(read), 2 * period_ns);
  EXPECT_EQ(narrowest(read), 2 * period_ns);
  EXPECT_LE(read.front() - start_ns - 60 * s, 2 * period_ns) << "at once";
}

TEST(Budget, UrgentReadingsUseAllOfAGridSlowerThanThat) {
  Grid grid(10 * ms, 500 * ms);
  grid.run(60 * s, false);
  EXPECT_EQ(widest(grid.run(3 * s, true)), 500 * ms);
}

TEST(Budget, WhatIsSavedIsCapped) {
  for (const std::int64_t rest : {30 * s, 300 * s, 3000 * s}) {
    Grid grid(1600 * us);
    grid.budget.allows(grid.t_ns, {});
    grid.budget.spend(grid.t_ns, grid.t_ns + grid.cost_ns);
    grid.t_ns += rest;
    // 100 ms of 20 s, and what comes in meanwhile.
    const double spent = grid.spent(grid.run(10 * s, true));
    EXPECT_LE(spent, share * 30e9) << rest;
    EXPECT_GT(spent, share * 27e9) << rest;
  }
}

TEST(Budget, TheFirstSecondsMayUseWhatIsNotYetSaved) {
  Grid grid(1600 * us);
  EXPECT_TRUE(grid.budget.allows(grid.t_ns, {})) << "the cost of the first is not known";
  const auto read = grid.run(1 * s, true);
  EXPECT_EQ(widest(read), 2 * period_ns);
  // 16 s of the share is 80 ms: 50 such readings, and after that only what comes in.
  const auto later = grid.run(20 * s, true);
  EXPECT_LE(grid.spent(read) + grid.spent(later), share * 37e9 + 1.6e6);
  EXPECT_GT(widest(later), 300 * ms);
}

TEST(Budget, ALateGridLosesNoReading) {
  Grid grid(1600 * us);
  grid.run(60 * s, false);
  const auto read = grid.run(1 * s, true, period_ns / 5);
  EXPECT_EQ(read.size(), Grid(1600 * us).run(1 * s, true).size());
  EXPECT_LE(widest(read), 2 * period_ns + period_ns / 5);
}

TEST(Budget, OneSlowReadingDoesNotMakeAllOfThemDear) {
  Grid grid(50 * us);
  grid.run(10 * s, false);
  grid.budget.spend(grid.t_ns, grid.t_ns + 2 * ms);  // the driver was busy
  const std::int64_t slow_ns = grid.t_ns;
  const auto read = grid.run(10 * s, false);
  EXPECT_LT(read.at(0) - slow_ns, 600 * ms) << "as if all cost an eighth of that";
  EXPECT_EQ(widest(grid.run(10 * s, false)), period_ns);
}

}  // namespace
}  // namespace wattring
