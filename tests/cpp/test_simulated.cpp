// SPDX-License-Identifier: Apache-2.0
// The simulated machine: its counters hold the integral of the stated power.
#include <cmath>

#include "clock.hpp"
#include "counter.hpp"
#include "support.hpp"

namespace wattring {
namespace {

Opened simulated(const std::string& stated) {
  const FakeMachine machine;
  Environment env = machine.environment();
  env.simulated = stated;
  Selection selection = open_sources(env, {"simulated"});
  return {std::move(selection.sources.at(0).source), {}};
}

double square_j(double t_s, double low_w, double high_w, double period_s) {
  const double whole = std::floor(t_s / period_s);
  const double rest_s = t_s - whole * period_s;
  return whole * period_s / 2 * (low_w + high_w) + low_w * std::min(rest_s, period_s / 2) +
         high_w * std::max(rest_s - period_s / 2, 0.0);
}

TEST(Simulated, CountersHoldTheIntegralOfTheStatedPower) {
  const auto opened = simulated("package-0=square:20:80:0.01,dram-0=const:5");
  ASSERT_EQ(names(*opened.source), (Names{"package-0", "dram-0"}));
  std::vector<Counter> counters(opened.source->channels().begin(), opened.source->channels().end());
  const auto refresh_ns = opened.source->channels()[0].refresh_ns;
  Sweep sweep(2);
  double first_s = 0;
  for (int i = 0; i < 200; ++i) {
    // Only sweeps that lie within one refresh: then it is known what the counters must hold.
    std::int64_t before = 0;
    std::int64_t after = 0;
    do {
      before = now_ns();
      opened.source->read(sweep);
      after = now_ns();
    } while (before / refresh_ns != after / refresh_ns);
    const double t_s = static_cast<double>(before / refresh_ns * refresh_ns) * 1e-9;
    first_s = i == 0 ? t_s : first_s;
    for (std::size_t c = 0; c < 2; ++c) {
      EXPECT_EQ(counters[c].advance(sweep.raw()[c], before, after), 0U);
    }
    const double unit_j = opened.source->channels()[0].scale;
    ASSERT_NEAR(static_cast<double>(counters[0].value()) * unit_j,
                square_j(t_s, 20, 80, 0.01) - square_j(first_s, 20, 80, 0.01), 1.01 * unit_j);
    ASSERT_NEAR(static_cast<double>(counters[1].value()) * unit_j, 5 * (t_s - first_s),
                1.01 * unit_j);
    sleep_for(100 * us);
  }
}

TEST(Simulated, CoresLieInsideTheirPackage) {
  const auto opened = simulated("");
  EXPECT_EQ(channel(*opened.source, "core-0").parent, "package-0");
  EXPECT_EQ(channel(*opened.source, "package-0").parent, "");
}

TEST(Simulated, WhatIsNoPowerFunctionIsRefused) {
  for (const char* stated :
       {"package-0", "=const:5", "package-0=const", "package-0=const:x", "package-0=const:-5",
        "package-0=square:1:2", "package-0=square:1:2:0", "package-0=ramp:1"}) {
    const Error error = error_of([&] { simulated(stated); });
    EXPECT_EQ(error.code(), Errc::invalid) << stated;
    EXPECT_NE(error.remedy(), "");
  }
}

}  // namespace
}  // namespace wattring
