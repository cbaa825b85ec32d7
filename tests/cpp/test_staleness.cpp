// SPDX-License-Identifier: Apache-2.0
// PITFALLS 13: a counter that stands still, because nothing is used or because its sensor is stuck.
#include "staleness.hpp"

#include "refresh.hpp"
#include "simulation.hpp"
#include "support.hpp"

namespace wattring {
namespace {

using simulation::Energy;
using simulation::Timing;

constexpr std::size_t reading = row::first_reading;
constexpr Timing usual{ms, 976'000};

// Rows of a package and the core domain in it, or of a package alone.
struct Machine {
  std::vector<Channel> channels;
  std::vector<std::uint64_t> words;

  std::size_t width() const { return reading + channels.size(); }
  Rows view() const { return {words, width()}; }
  std::size_t row_at(std::int64_t t_ns) const {
    std::size_t i = 0;
    while (view().t_end(i) < t_ns) {
      ++i;
    }
    return i;
  }
  // The register says the same from one time to another.
  void freeze(std::size_t channel, std::int64_t from_ns, std::int64_t to_ns) {
    const std::size_t first = row_at(from_ns);
    for (std::size_t i = first; i < view().size() && view().t_end(i) < to_ns; ++i) {
      words[i * width() + reading + channel] = words[first * width() + reading + channel];
    }
  }
  // Nobody reads.
  void hold_up(std::int64_t from_ns, std::int64_t to_ns) {
    const auto at = [&](std::int64_t t_ns) {
      return words.begin() + static_cast<std::ptrdiff_t>(row_at(t_ns) * width());
    };
    words.erase(at(from_ns), at(to_ns));
  }
  void fail(std::int64_t from_ns, std::int64_t to_ns) {
    freeze(0, from_ns, to_ns);
    for (std::size_t i = row_at(from_ns) + 1; i < row_at(to_ns); ++i) {
      words[i * width() + row::status_word] |= row::failed | row::channel_bit(0);
    }
  }
  Staleness staleness(std::size_t channel = 0) const {
    return staleness_of(view(), channels, channel, channels[channel].refresh_ns);
  }
};

Machine machine(const Energy& package, Timing timing = usual, unsigned seed = 1, int polls = 3000) {
  auto made = simulation::run(package, timing, seed, polls);
  return {{made.channel}, made.words};
}

Machine machine_with_core(const Energy& package, const Energy& core, Timing timing = usual,
                          std::int64_t core_refresh_ns = usual.refresh_ns) {
  Machine both = machine(package, timing);
  // The same seed gives the same times, and the same reads fail.
  auto inner = simulation::run(core, {timing.period_ns, core_refresh_ns}, 1, 3000);
  inner.channel.name = "core-0";
  inner.channel.parent = "package-0";
  std::vector<std::uint64_t> words;
  for (std::size_t i = 0; i < both.words.size(); i += both.width()) {
    words.insert(words.end(), both.words.begin() + static_cast<std::ptrdiff_t>(i),
                 both.words.begin() + static_cast<std::ptrdiff_t>(i + both.width()));
    words.push_back(inner.words[i + reading]);
  }
  both.words = words;
  both.channels.push_back(inner.channel);
  return both;
}

const Energy steady = [](double t_s) { return 50 * t_s; };
const Energy nothing = [](double) { return 0.0; };
// 50 W, but for a pause from 1 s to 1.4 s.
const Energy with_a_pause = [](double t_s) { return 50 * (t_s - std::clamp(t_s - 1, 0.0, 0.4)); };

TEST(Staleness, NoLoadMakesAGoodCounterStale) {
  auto loads = simulation::loads();
  loads.push_back({"steady", steady});
  loads.push_back({"pause", with_a_pause});
  for (const auto& load : loads) {
    for (const Timing timing : simulation::timings()) {
      for (unsigned seed = 0; seed < 5; ++seed) {
        const Machine good = machine(load.energy, timing, seed);
        const Staleness found = staleness_of(good.view(), good.channels, 0, timing.refresh_ns);
        ASSERT_EQ(found.times, 0U)
            << load.name << ' ' << timing.period_ns << ' ' << timing.refresh_ns << ' ' << seed;
        ASSERT_EQ(found.ns, 0);
        ASSERT_FALSE(found.now);
      }
    }
  }
}

TEST(Staleness, ARegisterThatCatchesUpWasStaleUntilThen) {
  for (const std::int64_t length_ns : {10 * ms, 50 * ms, 300 * ms}) {
    Machine stuck = machine(steady);
    stuck.freeze(0, 1000 * ms, 1000 * ms + length_ns);
    const Staleness found = stuck.staleness();
    EXPECT_EQ(found.times, 1U) << length_ns;
    EXPECT_NEAR(static_cast<double>(found.ns), static_cast<double>(length_ns), 12e6);
    EXPECT_FALSE(found.now);
    stuck.freeze(0, 2000 * ms, 2000 * ms + length_ns);
    EXPECT_EQ(stuck.staleness().times, 2U) << length_ns;
  }
}

TEST(Staleness, APauseOfTheLoadIsNoStuckRegister) {
  // It goes on where it was, after as long a time.
  const Machine paused = machine(with_a_pause);
  EXPECT_EQ(paused.staleness().times, 0U);
  Machine stuck = machine(steady);
  stuck.freeze(0, 1000 * ms, 1400 * ms);
  EXPECT_EQ(stuck.staleness().times, 1U);
}

// A pause of the load at 1 s, and a burst when it goes on.
Energy paused(const Energy& load, double pause_s, double burst_j) {
  constexpr double burst_s = 0.0005;
  return [=](double t_s) {
    return load(t_s - std::clamp(t_s - 1, 0.0, pause_s)) +
           burst_j * std::clamp((t_s - 1 - pause_s) / burst_s, 0.0, 1.0);
  };
}

// A power for the first of each six milliseconds, and another for the rest.
Energy spikes(double high_w, double low_w) {
  return [=](double t_s) {
    const double whole = std::floor(t_s / 0.006);
    const double rest_s = t_s - 0.006 * whole;
    return (0.001 * high_w + 0.005 * low_w) * whole + high_w * std::min(rest_s, 0.001) +
           low_w * std::max(rest_s - 0.001, 0.0);
  };
}

TEST(Staleness, ABurstAfterAPauseIsNoStuckRegister) {
  const std::vector<std::pair<const char*, Energy>> loads{
      {"less than what the pause left out", paused(steady, 0.1, 0.25)},
      {"much more than that", paused([](double t_s) { return 5 * t_s; }, 0.01, 0.5)},
      {"no more than other updates bring", paused(spikes(300, 30), 0.0056, 0.2)},
      {"amid bursts with nothing in between", paused(spikes(16, 0), 0.0122, 0.05)},
      {"a few units", paused([](double t_s) { return 0.04 * t_s; }, 0.0103, 0.0005)},
  };
  for (const auto& [name, energy] : loads) {
    for (unsigned seed = 0; seed < 20; ++seed) {
      ASSERT_EQ(machine(energy, usual, seed).staleness().times, 0U) << name << ' ' << seed;
    }
  }
}

TEST(Staleness, ACounterOfSingleUnitsMayBeStuckToo) {
  Machine stuck = machine([](double t_s) { return 0.04 * t_s; });
  stuck.freeze(0, 1000 * ms, 1200 * ms);
  EXPECT_EQ(stuck.staleness().times, 1U);
}

TEST(Staleness, AGaugeIsNotJudged) {
  Machine stuck = machine(steady);
  stuck.freeze(0, 1000 * ms, 1400 * ms);
  stuck.channels[0].kind = Kind::gauge;
  EXPECT_EQ(stuck.staleness().times, 0U);
}

TEST(Staleness, AnIdlePackageWithAnIdleCoreIsNotStale) {
  const Machine idle = machine_with_core(nothing, nothing);
  EXPECT_EQ(idle.staleness(0).times, 0U);
  EXPECT_EQ(idle.staleness(1).times, 0U);
}

TEST(Staleness, APackageThatStandsStillWhileItsCoreGoesOnIsStale) {
  const Energy core = [](double t_s) { return 10 * t_s; };
  Machine stuck = machine_with_core(steady, core);
  ASSERT_EQ(stuck.staleness(0).times, 0U);
  stuck.freeze(0, 1500 * ms, 10'000 * ms);
  const Staleness package = stuck.staleness(0);
  EXPECT_EQ(package.times, 1U);
  EXPECT_TRUE(package.now);
  EXPECT_NEAR(static_cast<double>(package.ns), 1500e6, 40e6);
  EXPECT_EQ(stuck.staleness(1).times, 0U) << "the core";
}

TEST(Staleness, APackageThatPublishesBeforeOrAfterItsCoreIsNotStale) {
  for (const auto& load : simulation::loads()) {
    const Energy core = [&](double t_s) { return 0.9 * load.energy(t_s); };
    for (const Timing timing : simulation::timings()) {
      for (const std::int64_t core_refresh_ns : {976'000L, 1'300'000L, 20'000'000L}) {
        const Machine good = machine_with_core(load.energy, core, timing, core_refresh_ns);
        ASSERT_EQ(staleness_of(good.view(), good.channels, 0, timing.refresh_ns).times, 0U)
            << load.name << ' ' << timing.period_ns << ' ' << timing.refresh_ns << ' '
            << core_refresh_ns;
      }
    }
  }
}

TEST(Staleness, APackageMayShowALoadLaterThanItsCore) {
  // The last of a rest, until the package's next update.
  const Energy load = paused(steady, 0.405, 0);
  const Machine good = machine_with_core(load, load, {ms, 20 * ms});
  EXPECT_EQ(good.staleness(0).times, 0U);
}

TEST(Staleness, APackageMayGoOnWithoutItsCore) {
  Machine resting = machine_with_core(steady, nothing);
  EXPECT_EQ(resting.staleness(1).times, 0U);
}

TEST(Staleness, CountsFromWhenTheCoreWentOn) {
  // Both rest for a second, then the core alone moves.
  const Energy core = [](double t_s) { return 10 * std::max(t_s - 1, 0.0); };
  const Machine stuck = machine_with_core(nothing, core);
  const Staleness package = stuck.staleness(0);
  EXPECT_EQ(package.times, 1U);
  EXPECT_NEAR(static_cast<double>(package.ns), 2000e6, 60e6);
}

TEST(Staleness, AUnitOfTheCoreIsNoProof) {
  // It may have been used long before, and shown now.
  Machine rests = machine_with_core(nothing, nothing);
  for (std::size_t i = rests.row_at(1500 * ms); i < rests.view().size(); ++i) {
    rests.words[i * rests.width() + reading + 1] += i < rests.row_at(2000 * ms) ? 1 : 3;
  }
  EXPECT_EQ(rests.staleness(0).times, 0U);
}

TEST(Staleness, AHoleInTheRowsIsNone) {
  Machine held_up = machine(steady);
  held_up.hold_up(1000 * ms, 1300 * ms);
  EXPECT_EQ(held_up.staleness().times, 0U);
}

TEST(Staleness, AHoleInAStuckTimeDoesNotCount) {
  Machine stuck = machine(steady);
  stuck.freeze(0, 1000 * ms, 1400 * ms);
  stuck.hold_up(1100 * ms, 1300 * ms);
  const Staleness found = stuck.staleness();
  EXPECT_EQ(found.times, 1U);
  EXPECT_NEAR(static_cast<double>(found.ns), 200e6, 20e6);
}

TEST(Staleness, FailedReadsAreNone) {
  Machine failing = machine(steady);
  failing.fail(1000 * ms, 1300 * ms);
  EXPECT_EQ(failing.staleness().times, 0U);
}

// By what is published, and by what is observed where that is known.
std::pair<std::uint64_t, std::uint64_t> times(const Machine& machine) {
  const ObservedRefresh found = observe_refresh(machine.view(), machine.channels, 0);
  EXPECT_EQ(found.evidence, Evidence::enough);
  return {machine.staleness().times, found.staleness.times};
}

TEST(Staleness, IsJudgedByTheRefreshThatWasObserved) {
  // Stuck for 50 ms: of published 20 ms that is no long time, of 1 ms it is.
  Machine quick = machine(steady, {250 * us, ms, 20 * ms}, 1, 8000);
  EXPECT_EQ(times(quick), std::pair(0UL, 0UL));
  quick.freeze(0, 1000 * ms, 1050 * ms);
  EXPECT_EQ(times(quick), std::pair(0UL, 1UL));
  // While the core shows 20 updates, a package that publishes every 20 ms shows one.
  Machine slow = machine_with_core(steady, [](double t_s) { return 10 * t_s; });
  auto package = simulation::run(steady, {ms, 20 * ms}, 1, 3000);
  for (std::size_t i = 0; i < slow.view().size(); ++i) {
    slow.words[i * slow.width() + reading] = package.view().reading(i, 0);
  }
  const auto [by_published, by_observed] = times(slow);
  EXPECT_GT(by_published, 100U);
  EXPECT_EQ(by_observed, 0U);
}

}  // namespace
}  // namespace wattring
