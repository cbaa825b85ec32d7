// SPDX-License-Identifier: Apache-2.0
// How often a driver may be asked, by what asking it takes, in time that the test makes up.
#include "budget.hpp"

#include <gtest/gtest.h>

namespace wattring {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t period_ns = 19 * ms;
constexpr std::int64_t refresh_ns = 100 * ms;
constexpr double share = 0.005;

struct Asked {
  int readings = 0;
  double spent_ns = 0;
};

// Goes on from `t_ns` for so long; each reading takes `cost_ns`.
Asked ask(Budget& budget, std::int64_t& t_ns, std::int64_t for_ns, std::int64_t cost_ns,
          bool urgent = false) {
  Asked asked;
  for (const std::int64_t end_ns = t_ns + for_ns; t_ns < end_ns; t_ns += period_ns) {
    if (budget.allows(t_ns, urgent)) {
      budget.spend(t_ns, t_ns + cost_ns);
      ++asked.readings;
      asked.spent_ns += static_cast<double>(cost_ns);
    }
  }
  return asked;
}

TEST(BudgetTest, AQuickDriverIsAskedEveryTime) {
  Budget budget(share, period_ns, refresh_ns);
  std::int64_t t_ns = ms;
  EXPECT_EQ(ask(budget, t_ns, 1000 * period_ns, ms / 20).readings, 1000);
}

TEST(BudgetTest, ASlowDriverGetsItsShareAndNoMore) {
  for (const std::int64_t cost_ns : {2 * ms, 30 * ms, 1000 * ms}) {
    Budget budget(share, period_ns, refresh_ns);
    std::int64_t t_ns = ms;
    // Until it is known how slow it is.
    ask(budget, t_ns, 2'000'000 * ms, cost_ns, true);
    const Asked asked = ask(budget, t_ns, 4'000'000 * ms, cost_ns, true);
    EXPECT_GT(asked.readings, 10);
    EXPECT_LE(asked.spent_ns, share * 4e12 + 1.1e8 + static_cast<double>(cost_ns));
    EXPECT_GE(asked.spent_ns, 0.8 * share * 4e12);
  }
}

TEST(BudgetTest, WhatNobodyWaitsForIsSavedForWhenSomebodyDoes) {
  Budget budget(share, period_ns, refresh_ns);
  std::int64_t t_ns = ms;
  ask(budget, t_ns, 1000 * ms, 2 * ms);
  const Asked idle = ask(budget, t_ns, 10'000 * ms, 2 * ms);
  const Asked urgent = ask(budget, t_ns, 1000 * ms, 2 * ms, true);
  EXPECT_LT(idle.readings, 5);
  EXPECT_GT(urgent.readings, 15);
}

TEST(BudgetTest, AStalledCallDoesNotStopAllReading) {
  for (const std::int64_t usual_ns : {ms / 20, 2 * ms}) {
    Budget budget(share, period_ns, refresh_ns);
    std::int64_t t_ns = ms;
    ask(budget, t_ns, 20'000 * ms, usual_ns);
    budget.spend(t_ns, t_ns + 3000 * ms);
    t_ns += 3000 * ms;
    EXPECT_GT(ask(budget, t_ns, 1000 * ms, usual_ns, true).readings, 5) << usual_ns;
  }
}

TEST(BudgetTest, AFirstCallMayWakeTheDevice) {
  Budget budget(share, period_ns, refresh_ns);
  std::int64_t t_ns = ms;
  EXPECT_TRUE(budget.allows(t_ns, false));
  budget.spend(t_ns, t_ns + 2000 * ms);
  t_ns += 2000 * ms;
  EXPECT_GT(ask(budget, t_ns, 20'000 * ms, ms / 20, true).readings, 100);
}

}  // namespace
}  // namespace wattring
