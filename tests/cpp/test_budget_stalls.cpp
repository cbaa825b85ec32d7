// SPDX-License-Identifier: Apache-2.0
// A call of the driver that takes far longer than usual, in time that the test makes up.
#include "budget.hpp"

#include <gtest/gtest.h>

namespace wattring {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t period_ns = 19 * ms;
constexpr std::int64_t close_ns = 43 * ms;
constexpr double share = 0.005;

// Goes on from `t_ns` for so long; each reading takes `cost_ns`. Returns how many there were.
int ask(Budget& budget, std::int64_t& t_ns, std::int64_t for_ns, std::int64_t cost_ns,
        bool urgent = false) {
  int readings = 0;
  for (const std::int64_t end_ns = t_ns + for_ns; t_ns < end_ns; t_ns += period_ns) {
    if (budget.allows(t_ns, urgent ? std::optional(close_ns) : std::nullopt)) {
      budget.spend(t_ns, t_ns + cost_ns);
      ++readings;
    }
  }
  return readings;
}

TEST(BudgetStalls, AStalledCallDoesNotStopAllReading) {
  for (const std::int64_t usual_ns : {ms / 20, 2 * ms}) {
    Budget budget(share, period_ns);
    std::int64_t t_ns = ms;
    ask(budget, t_ns, 20'000 * ms, usual_ns);
    budget.spend(t_ns, t_ns + 3000 * ms);
    t_ns += 3000 * ms;
    EXPECT_GT(ask(budget, t_ns, 1000 * ms, usual_ns, true), 5) << usual_ns;
  }
}

TEST(BudgetStalls, AFirstCallMayWakeTheDevice) {
  Budget budget(share, period_ns);
  std::int64_t t_ns = ms;
  EXPECT_TRUE(budget.allows(t_ns, {}));
  budget.spend(t_ns, t_ns + 2000 * ms);
  t_ns += 2000 * ms;
  EXPECT_GT(ask(budget, t_ns, 20'000 * ms, ms / 20, true), 100);
}

}  // namespace
}  // namespace wattring
