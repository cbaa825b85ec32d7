// SPDX-License-Identifier: Apache-2.0
// Clocks that are searched for in slices, while a sampler runs.
#include "clock_keeper.hpp"

#include <cmath>

#include "obedient.hpp"
#include "support.hpp"

namespace wattring {
namespace {

std::unique_ptr<Sampler> simulated(std::int64_t period_ns) {
  Environment env;
  env.simulated = "package-0=const:50,dram-0=const:0";
  Selection selection = open_sources(env, {"simulated"});
  auto sampler = std::make_unique<Sampler>("simulated", std::move(selection.sources.at(0).source),
                                           SamplerOptions{.period_ns = period_ns, .rows = 4096});
  sampler->start();
  return sampler;
}

TEST(ClockKeeper, FindsClocksInSlicesAndLeavesIdleCountersAlone) {
  const auto sampler = simulated(ms);
  std::uint64_t samples = 1100;
  // More than one try, for rows of a machine that is busy with other things.
  for (int tries = 0; tries < 5; ++tries, samples += 400) {
    wait_samples(*sampler, samples);
    ClockKeeper keeper(*sampler);
    const KnownClock& package = keeper.clocks()[0];
    const KnownClock& dram = keeper.clocks()[1];
    int slices = 0;
    while (dram.search_again_ns == 0 && slices < 10'000) {
      keeper.work();
      ++slices;
    }
    EXPECT_GT(slices, 100) << "all at once";
    EXPECT_GE(dram.search_again_ns, now_ns()) << "not again at once";
    EXPECT_FALSE(dram.clock);
    for (int i = 0; i < 1000; ++i) {
      keeper.work();
    }
    EXPECT_EQ(dram.failures, 1);
    if (package.clock) {
      EXPECT_NEAR(package.clock->period_ns, 976'000, 500);
      EXPECT_TRUE(package.is_fresh(package.found_ns + 10 * ms));
      EXPECT_FALSE(package.is_fresh(package.found_ns + 100 * ms));
      return;
    }
  }
  FAIL() << "the clock of a constant load was never found";
}

TEST(ClockKeeper, AsksASamplerThatFollowsTheUpdates) {
  Environment env;
  env.simulated = "package-0=const:50";
  Selection selection = open_sources(env, {"simulated"});
  Sampler sampler("simulated", std::move(selection.sources.at(0).source),
                  {.rows = 4096, .adaptive = true});
  sampler.start();
  ClockKeeper keeper(sampler);
  const std::optional<UpdateClock>& clock = keeper.clocks()[0].clock;
  // More than one try, as above; too few for a search.
  for (int tries = 0; tries < 40 && !clock; ++tries) {
    wait_samples(sampler, 200);
    keeper.work();
  }
  ASSERT_TRUE(clock);
  EXPECT_TRUE(keeper.clocks()[0].is_fresh(now_ns()));
  EXPECT_LT(std::abs(std::remainder(static_cast<double>(clock->phase_ns), 976e3)), 200e3);
}

TEST(ClockKeeper, StandingsWithItNeverSearchThemselves) {
  const auto sampler = simulated(ms);
  wait_samples(*sampler, 1100);
  ClockKeeper keeper(*sampler);
  stand(sampler->ring(), sampler->channels(), now_ns() - 20 * ms, &keeper.clocks());
  EXPECT_FALSE(keeper.clocks()[0].clock);
  EXPECT_EQ(keeper.clocks()[0].search_again_ns, 0);
}

TEST(ClockKeeper, WaitsForEnoughRows) {
  const auto sampler = simulated(ms);
  wait_samples(*sampler, 20);
  sampler->stop();
  ClockKeeper keeper(*sampler);
  for (int i = 0; i < 1000; ++i) {
    keeper.work();
  }
  EXPECT_FALSE(keeper.clocks()[0].clock);
  EXPECT_EQ(keeper.clocks()[0].search_again_ns, 0) << "nothing was given up";
}

}  // namespace
}  // namespace wattring
