// SPDX-License-Identifier: Apache-2.0
// What a session takes, refuses and counts, over a fake machine.
#include "session.hpp"

#include <cmath>
#include <thread>

#include "full_machine.hpp"
#include "obedient.hpp"
#include "support.hpp"

namespace wattring {
namespace {

constexpr SamplerOptions every_ms{.period_ns = ms, .rows = 4096};

TEST(Session, AutoTakesEachDomainOnceAndRecordsTheRest) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.perf_pmu("0");
  machine.perf_event("energy-pkg", 2);
  machine.perf_event("energy-cores", 1);
  machine.zone("intel-rapl:0", "package-0", 5);
  machine.zone("intel-rapl:0:0", "dram", 5);
  const Session session(machine.environment(), {"auto"}, every_ms);
  Names taken;
  for (const auto& sampler : session.samplers()) {
    for (const Channel& c : sampler->channels()) {
      taken.push_back(sampler->name() + " " + c.name);
    }
  }
  EXPECT_EQ(taken, (Names{"rapl_perf package-0", "rapl_perf core-0", "rapl_powercap dram-0"}));
  EXPECT_EQ(channel(session.samplers()[0]->source(), "core-0").parent, "package-0");
  ASSERT_EQ(session.skipped().size(), 2U);
  EXPECT_EQ(session.skipped()[0].source, "rapl_msr");
  EXPECT_EQ(session.skipped()[1].source, "nvml");
}

TEST(Session, SourcesThatCannotOpenAreErrors) {
  FakeMachine machine;
  machine.cpu(0, 0);
  const Environment env = machine.environment();
  EXPECT_EQ(error_of([&] { Session(env, {"rapl_perf"}, every_ms); }).code(), Errc::absent);
  EXPECT_EQ(error_of([&] { Session(env, {"auto"}, every_ms); }).code(), Errc::absent);
  EXPECT_EQ(error_of([&] { Session(env, {"nonsense"}, every_ms); }).code(), Errc::invalid);
}

TEST(Session, APeriodInWhichACounterCanWrapTwiceIsRefusedWithTheFigure) {
  // 262144 J: 262 s at the 1000 W of a package, 65.5 s at the 4000 W of a board.
  const FullMachine machine;
  const auto open = [&](double period_s) {
    Session(machine.environment(), {"rapl_msr"},
            {.period_ns = static_cast<std::int64_t>(period_s * 1e9), .rows = 512});
  };
  const Error error = error_of([&] { open(33); });
  EXPECT_EQ(error.code(), Errc::invalid);
  EXPECT_TRUE(contains(error.what(), "65.5 s at 4000 W")) << error.what();
  EXPECT_TRUE(contains(error.what(), "psys")) << error.what();
  EXPECT_TRUE(contains(error.remedy(), "32.8 s")) << error.remedy();
  EXPECT_NO_THROW(open(32));
  // One remedy is enough, however many channels it is for.
  EXPECT_TRUE(contains(error_of([&] { open(500); }).remedy(), "32.8 s"));
}

TEST(Session, APeriodShorterThanAReadIsRefusedWithTheFigure) {
  const FullMachine machine;
  fake_perf::slow_reads(3 * ms);
  const Environment env = machine.environment();
  for (const std::int64_t period_ns : {std::int64_t{0}, ms}) {
    const Error error =
        error_of([&] { Session(env, {"rapl_perf"}, {.period_ns = period_ns, .rows = 512}); });
    EXPECT_EQ(error.code(), Errc::invalid);
    EXPECT_TRUE(contains(error.what(), "one read of rapl_perf costs ")) << error.what();
    EXPECT_TRUE(contains(error.remedy(), "ask for at least ")) << error.remedy();
  }
  EXPECT_NO_THROW(Session(env, {"rapl_perf"}, {.period_ns = ns_per_s, .rows = 512}));
}

TEST(Session, StartsOnceEvenFromManyThreads) {
  Session session(Environment(), {"simulated"}, every_ms);
  std::atomic<int> started{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      try {
        session.start();
        ++started;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Errc::state);
        ++refused;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(started, 1);
  EXPECT_EQ(refused, 3);
  EXPECT_TRUE(session.running());
}

TEST(Session, MarksStatsAndStopFromManyThreads) {
  Session session(Environment(), {"simulated"}, every_ms);
  session.start();
  const std::int64_t t0 = now_ns();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) {
        session.between(session.mark(t0), session.mark(now_ns()));
        EXPECT_GT(session.samplers()[0]->stats().samples, 0U);
      }
      session.stop();
      EXPECT_FALSE(session.running());
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(error_of([&] { session.start(); }).code(), Errc::state);
}

TEST(Session, WhatIsAskedWhileItStartsIsAnsweredOrRefused) {
  Session session(Environment(), {"simulated"}, every_ms);
  std::thread starting([&] { session.start(); });
  bool settled = false;
  while (!settled) {
    try {
      session.mark(now_ns());
      settled = true;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Errc::state);
    }
    session.samplers()[0]->stats();
  }
  starting.join();
}

TEST(Session, RowsAndEnergyStayAfterTheStop) {
  Environment env;
  env.simulated = "package-0=const:100";
  Session session(env, {"simulated"}, every_ms);
  session.start();
  const std::int64_t t0 = now_ns();
  sleep_for(50 * ms);
  const std::int64_t t1 = now_ns();
  session.stop();
  const ChannelEnergy e = session.between(session.mark(t0), session.mark(t1)).at(0).at(0);
  const double truth_j = 100 * static_cast<double>(t1 - t0) * 1e-9;
  EXPECT_LE(e.lower_j, truth_j);
  EXPECT_GE(e.upper_j, truth_j);
  EXPECT_LE(e.lower_j, e.value_j);
  EXPECT_LE(e.value_j, e.upper_j);
  EXPECT_TRUE(std::isfinite(e.upper_j));
  EXPECT_EQ(e.failed + e.ambiguous + e.reset, 0U);
}

TEST(Session, MarksThatCannotBeAreRefused) {
  Session session(Environment(), {"simulated"}, every_ms);
  EXPECT_EQ(error_of([&] { session.mark(now_ns()); }).code(), Errc::state) << "not started";
  const std::int64_t early = now_ns();
  session.start();
  EXPECT_EQ(error_of([&] { session.mark(now_ns() + ns_per_s); }).code(), Errc::invalid);
  EXPECT_EQ(error_of([&] { session.mark(early); }).code(), Errc::state) << "before the first row";
  const Mark a = session.mark(now_ns());
  const Mark b = session.mark(now_ns());
  EXPECT_EQ(error_of([&] { session.between(b, a); }).code(), Errc::invalid);
  EXPECT_NO_THROW(session.between(a, a));
  Session other(Environment(), {"simulated"}, every_ms);
  other.start();
  EXPECT_EQ(error_of([&] { other.between(a, b); }).code(), Errc::invalid);
}

}  // namespace
}  // namespace wattring
