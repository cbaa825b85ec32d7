// SPDX-License-Identifier: Apache-2.0
// Sweeps that follow the updates of fast counters, in simulated time.
#include "adaptive.hpp"

#include <cmath>
#include <functional>
#include <random>

#include "support.hpp"

namespace wattring {
namespace {

constexpr std::int64_t start_ns = 5'000 * ms;

// Publishes at steady times, each late by its own part of the jitter, and by something new each
// time or each `idle`th time.
struct Beat {
  double period_ns = 1e6;
  std::int64_t phase_ns = 333 * us;
  std::int64_t jitter_ns = 200 * us;
  std::int64_t idle = 1;

  std::int64_t updates(std::int64_t t_ns) const {
    const auto phase = static_cast<double>(t_ns - start_ns - phase_ns);
    const auto k = static_cast<std::int64_t>(std::floor(phase / period_ns));
    std::minstd_rand random(static_cast<unsigned>(7919 * (k + 100'000) + phase_ns));
    random.discard(3);
    const double late =
        static_cast<double>(jitter_ns) * std::uniform_real_distribution<>(0, 1)(random);
    return phase - static_cast<double>(k) * period_ns < late ? k - 1 : k;
  }
  std::uint64_t value(std::int64_t t_ns) const {
    return static_cast<std::uint64_t>((updates(t_ns) + 100'000) / idle);
  }
};

using Beats = std::vector<Beat>;

std::vector<Channel> counters(std::size_t count) {
  Channel channel;
  channel.refresh_ns = ms;
  return std::vector<Channel>(count, channel);
}

// The sampler's loop, with a clock of its own.
struct Simulation {
  explicit Simulation(Beats of) : beats(std::move(of)) {}

  Beats beats;
  Adaptive adaptive{counters(beats.size())};
  std::function<std::int64_t(std::mt19937&)> lateness = [](std::mt19937& source) {
    return std::llround(std::exponential_distribution<>(1 / 50e3)(source));
  };
  std::int64_t read_ns = 5 * us;
  std::mt19937 random{1};
  std::int64_t now_ns = start_ns;
  std::int64_t deadline_ns = start_ns + ms;
  std::uint64_t reads = 0;
  std::uint64_t missed = 0;
  std::vector<std::uint64_t> seen = std::vector<std::uint64_t>(beats.size());
  std::vector<std::uint64_t> values = std::vector<std::uint64_t>(beats.size());

  void run(std::int64_t length_ns) {
    for (const std::int64_t end_ns = now_ns + length_ns; now_ns < end_ns;) {
      now_ns = std::max(now_ns, deadline_ns + lateness(random));
      const std::int64_t begin_ns = now_ns;
      deadline_ns = adaptive.next(deadline_ns, begin_ns);
      missed += adaptive.skip(deadline_ns, begin_ns);
      now_ns += read_ns;
      for (std::size_t i = 0; i < beats.size(); ++i) {
        const std::uint64_t value = beats[i].value(begin_ns + read_ns / 2);
        seen[i] += value != values[i] ? 1 : 0;
        values[i] = value;
      }
      ++reads;
      adaptive.see(values, begin_ns, now_ns);
      missed += adaptive.skip(deadline_ns, now_ns);
    }
  }

  struct Outcome {
    double share;  // of the updates of the counter of which the fewest were seen
    double reads;  // per update, of the one that has most
  };
  // From now on.
  Outcome measure(std::int64_t length_ns) {
    const std::int64_t from_ns = now_ns;
    std::fill(seen.begin(), seen.end(), 0);
    reads = 0;
    run(length_ns);
    Outcome outcome{1, 1e9};
    for (std::size_t i = 0; i < beats.size(); ++i) {
      const auto updates =
          static_cast<double>(beats[i].updates(now_ns) - beats[i].updates(from_ns));
      outcome.share = std::min(outcome.share, static_cast<double>(seen[i]) / updates);
      outcome.reads = std::min(outcome.reads, static_cast<double>(reads) / updates);
    }
    return outcome;
  }
};

void expect_all_seen(Simulation& simulation, const char* what, double share = 0.995) {
  const Simulation::Outcome outcome = simulation.measure(60'000 * ms);  // with what it learns from
  EXPECT_GE(outcome.share, share) << what;
  EXPECT_LE(outcome.reads, 1.3) << what;
  const Adaptive::Stats stats = simulation.adaptive.stats();
  EXPECT_EQ(stats.state, Adaptive::State::following) << what;
  EXPECT_EQ(stats.reason, Adaptive::Reason::none) << what;
  EXPECT_NEAR(static_cast<double>(stats.period_ns), simulation.beats[0].period_ns,
              0.01 * simulation.beats[0].period_ns)
      << what;
  // What it says of itself.
  const auto due = static_cast<double>(stats.due);
  EXPECT_NEAR(static_cast<double>(stats.seen) / due, outcome.share, 0.005) << what;
  EXPECT_NEAR(static_cast<double>(stats.reads) / due, outcome.reads, 0.03) << what;
}

TEST(Adaptive, SeesTheUpdatesOfAJitteryCounterOnce) {
  for (const double period_ns : {0.976e6, 1e6, 1.03e6}) {
    for (const std::int64_t phase_ns : {0 * us, 250 * us, 500 * us, 999 * us}) {
      Simulation simulation(Beats{{.period_ns = period_ns, .phase_ns = phase_ns}});
      expect_all_seen(simulation, std::to_string(phase_ns).c_str());
    }
  }
}

TEST(Adaptive, SeveralCountersOfOnePhaseTakeNoMoreReads) {
  Simulation simulation(Beats(6, {.period_ns = 0.976e6}));
  expect_all_seen(simulation, "six");
}

TEST(Adaptive, SweepsLieFarFromTheEdgesOfAllCounters) {
  Simulation simulation(
      Beats{{.phase_ns = 100 * us}, {.phase_ns = 350 * us}, {.phase_ns = 500 * us}});
  expect_all_seen(simulation, "three phases");
}

TEST(Adaptive, FollowsPhasesThatDriftApart) {
  // 100 ppm: one slides past the other in ten seconds.
  Simulation simulation(Beats{{.period_ns = 1e6}, {.period_ns = 1.0001e6}});
  expect_all_seen(simulation, "two");
}

TEST(Adaptive, FindsARefreshFarFromThePublishedOne) {
  for (const double period_ns : {0.5e6, 0.7e6, 1.5e6, 2e6}) {
    Simulation simulation(Beats{{.period_ns = period_ns, .jitter_ns = 60 * us}});
    simulation.lateness = [](std::mt19937&) { return 20 * us; };
    expect_all_seen(simulation, std::to_string(period_ns).c_str());
  }
}

TEST(Adaptive, StallsAreCountedAndCostOnlyTheirOwnUpdates) {
  Simulation simulation(Beats{{.period_ns = 0.976e6}});
  simulation.lateness = [](std::mt19937& random) {
    return std::llround(std::exponential_distribution<>(1 / 50e3)(random)) +
           (std::uniform_int_distribution(0, 999)(random) == 0 ? 3 * ms : 0);
  };
  expect_all_seen(simulation, "stalls", 0.99);
  // Some 70 stalls, over three deadlines each.
  EXPECT_GT(simulation.missed, 140U);
  EXPECT_LT(simulation.missed, 300U);
}

TEST(Adaptive, DeadlinesOfALongStallAreSkippedAtOnce) {
  Simulation simulation(Beats{{.period_ns = 1e6}});
  simulation.run(1000 * ms);
  const std::uint64_t before = simulation.missed;
  simulation.now_ns += 3'600'000 * ms;
  simulation.run(ms);
  EXPECT_NEAR(static_cast<double>(simulation.missed - before), 3.6e6, 36e3);  // of its own period
  simulation.run(1000 * ms);
  expect_all_seen(simulation, "an hour later");
}

TEST(Adaptive, AChangeOfPhaseIsFoundAgain) {
  Simulation simulation(Beats{{.period_ns = 1e6}});
  simulation.run(3000 * ms);
  simulation.beats[0].phase_ns += 500 * us;  // right to where the sweeps are
  simulation.run(2000 * ms);
  expect_all_seen(simulation, "the other phase");
}

TEST(Adaptive, AnIdleCounterIsLeftOut) {
  Simulation simulation(Beats{{.period_ns = 0.976e6}, {.period_ns = 0.976e6, .idle = 7}});
  const Simulation::Outcome outcome = simulation.measure(20'000 * ms);
  EXPECT_LE(outcome.reads, 1.3);
  EXPECT_EQ(simulation.adaptive.stats().state, Adaptive::State::following);
}

TEST(Adaptive, TellsWhenUpdatesCome) {
  const Beats beats{{.period_ns = 0.976e6, .phase_ns = 250 * us},
                    {.period_ns = 0.976e6, .phase_ns = 600 * us},
                    {.period_ns = 0.976e6, .idle = 7}};
  Simulation simulation(beats);
  simulation.run(20 * ms);
  EXPECT_FALSE(simulation.adaptive.clock_of(0)) << "while it learns";
  simulation.run(3000 * ms);
  for (const std::size_t i : {0U, 1U}) {
    const auto clock = simulation.adaptive.clock_of(i);
    ASSERT_TRUE(clock) << i;
    EXPECT_NEAR(clock->period_ns, beats[i].period_ns, 2000) << i;
    EXPECT_NEAR(static_cast<double>(clock->phase_ns), static_cast<double>(simulation.now_ns), 3e6);
    // In the middle of their jitter.
    const auto late_ns = static_cast<double>(clock->phase_ns - start_ns - beats[i].phase_ns -
                                             beats[i].jitter_ns / 2);
    EXPECT_LT(std::abs(std::remainder(late_ns, beats[i].period_ns)), 60e3) << i;
  }
  EXPECT_FALSE(simulation.adaptive.clock_of(2)) << "is not followed";
  simulation.beats[0].idle = simulation.beats[1].idle = 40;
  simulation.run(3000 * ms);
  EXPECT_FALSE(simulation.adaptive.clock_of(0)) << "no more";
}

void expect_fixed(Simulation& simulation, Adaptive::Reason reason) {
  simulation.run(3000 * ms);
  const Adaptive::Stats stats = simulation.adaptive.stats();
  EXPECT_EQ(stats.reason, reason);
  EXPECT_EQ(stats.state, Adaptive::State::fixed);
  EXPECT_EQ(stats.period_ns, ms);
  // It tries again now and then: hardly more readings than at the published refresh.
  const Simulation::Outcome outcome = simulation.measure(20'000 * ms);
  EXPECT_LE(outcome.reads * 1e6 / simulation.beats[0].period_ns, 1.15);
}

TEST(Adaptive, WithoutALivelyCounterItPollsAtThePublishedRefresh) {
  Simulation simulation(Beats{{.idle = 40}});
  expect_fixed(simulation, Adaptive::Reason::idle);
  simulation.beats[0].idle = 1;
  simulation.run(6000 * ms);
  expect_all_seen(simulation, "lively again");
}

TEST(Adaptive, UpdatesWithoutABeatAreNotFollowed) {
  Simulation simulation(Beats{{.jitter_ns = 990 * us}});
  expect_fixed(simulation, Adaptive::Reason::unsteady);
}

TEST(Adaptive, AMachineThatIsTooLateIsToldOf) {
  Simulation simulation(Beats{{.period_ns = 1e6}});
  simulation.lateness = [](std::mt19937& source) {
    return std::bernoulli_distribution(0.2)(source) ? 450 * us : 20 * us;
  };
  expect_fixed(simulation, Adaptive::Reason::late);
}

TEST(Adaptive, WithoutACounterItPollsOnceAMillisecond) {
  Channel gauge;
  gauge.kind = Kind::gauge;
  gauge.refresh_ns = 20 * ms;
  Channel unknown;
  const std::vector<Channel> channels{gauge, unknown};
  Adaptive adaptive(channels);
  const std::vector<std::uint64_t> readings(2);
  std::int64_t deadline_ns = start_ns;
  for (int i = 0; i < 10'000; ++i) {
    const std::int64_t next_ns = adaptive.next(deadline_ns, deadline_ns);
    ASSERT_EQ(next_ns - deadline_ns, ms);
    adaptive.see(readings, deadline_ns, deadline_ns + us);
    deadline_ns = next_ns;
  }
  EXPECT_EQ(adaptive.stats().reason, Adaptive::Reason::unknown);
}

TEST(Adaptive, TheShortestRefreshDecides) {
  std::vector<Channel> channels = counters(2);
  channels[0].refresh_ns = 100 * ms;
  EXPECT_EQ(Adaptive::published_ns(channels), ms);
}

}  // namespace
}  // namespace wattring
