// SPDX-License-Identifier: Apache-2.0
// The sampler's thread: its beginning, its end, its manners.
#include <thread>

#include "full_machine.hpp"
#include "obedient.hpp"
#include "session.hpp"
#include "support.hpp"

namespace wattring {
namespace {

std::unique_ptr<Sampler> sampler_of(Orders& orders, const SamplerOptions& options) {
  auto sampler = std::make_unique<Sampler>("test", std::make_unique<Obedient>(orders), options);
  sampler->start();
  return sampler;
}

TEST(SamplerThread, StoppingDoesNotWaitForTheDeadline) {
  // With a period of an hour, the test's limit is the assertion.
  Orders orders;
  const auto sampler = sampler_of(orders, {.period_ns = 3600 * ns_per_s, .rows = 512});
  sampler->stop();
  EXPECT_FALSE(sampler->running());
  EXPECT_GE(sampler->stats().samples, 4U);  // some before, some after what could be measured
  sampler->stop();                          // again is nothing
}

TEST(SamplerThread, StoppingEndsASpin) {
  Orders orders;
  const auto sampler =
      sampler_of(orders, {.period_ns = 3600 * ns_per_s, .rows = 512, .spin_ns = 3600 * ns_per_s});
  sampler->stop();
  EXPECT_FALSE(sampler->running());
}

TEST(SamplerThread, StartWaitsUntilAnUpdateIsDated) {
  // Sweeps that take about a refresh see every update, but not when it was.
  Orders orders;
  orders.refresh_ns = 10 * ms;
  orders.delay_ns = 8 * ms;
  std::thread later([&] {
    sleep_for(30 * ms);
    orders.delay_ns = 0;
  });
  const auto sampler = sampler_of(orders, {.period_ns = 3600 * ns_per_s, .rows = 512});
  later.join();
  bool dated = false;
  const auto rows = rows_of(sampler->ring());
  for (std::size_t i = 1; i < rows.size(); ++i) {
    dated = dated || (rows[i].value != rows[i - 1].value &&
                      rows[i].t_end_ns - rows[i].t_begin_ns < 10 * ms / 4);
  }
  EXPECT_TRUE(dated);
}

TEST(SamplerThread, IsNamedDeafToSignalsAndPunctual) {
  Orders orders;
  const auto sampler = sampler_of(orders, {.period_ns = ms, .rows = 512});
  EXPECT_TRUE(orders.signals_blocked);
  EXPECT_EQ(orders.timer_slack_ns, 1);
  const auto name =
      read_text("/proc/self/task/" + std::to_string(orders.thread_id.load()) + "/comm");
  EXPECT_EQ(name, "wr-test");
  // Blocked there, not here.
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  EXPECT_EQ(sigismember(&blocked, SIGINT), 0);
}

TEST(SamplerThread, WhatIsNotGrantedIsSaidAndItRunsAllTheSame) {
  Orders orders;
  // No machine has this CPU, no scheduler this priority.
  const auto sampler =
      sampler_of(orders, {.period_ns = ms, .rows = 512, .cpu = 1023, .priority = 1000});
  EXPECT_TRUE(contains(sampler->stats().refused, "cpu 1023: Invalid argument"));
  EXPECT_TRUE(contains(sampler->stats().refused, "real-time priority 1000: Invalid argument"));
  EXPECT_TRUE(sampler->running());
}

TEST(SamplerThread, RunsOnTheCpuThatWasAskedFor) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  int cpu = 0;
  while (!CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) {
    ++cpu;
  }
  Orders orders;
  const auto sampler = sampler_of(orders, {.period_ns = ms, .rows = 512, .cpu = cpu});
  EXPECT_EQ(sampler->stats().refused, "");
  cpu_set_t got;
  sched_getaffinity(orders.thread_id, sizeof got, &got);
  EXPECT_EQ(CPU_COUNT(&got), 1);
  EXPECT_TRUE(CPU_ISSET(static_cast<std::size_t>(cpu), &got));
}

TEST(SamplerThread, AGoneDeviceEndsIt) {
  Orders orders;
  const auto sampler = sampler_of(orders, {.period_ns = ms, .rows = 512});
  EXPECT_FALSE(sampler->stats().gone);
  orders.answer = ReadStatus::gone;
  wait_until([&] { return !sampler->running(); });
  EXPECT_TRUE(sampler->stats().gone);
  EXPECT_EQ(sampler->stats().last_errno, ENODEV);
  const auto rows = rows_of(sampler->ring());
  EXPECT_NE(row::marks_of(rows.back().status, 0) & row::failed, 0U) << "its end is a row";
  sampler->stop();
}

TEST(SamplerThread, ADeviceThatIsGoneAtOnceDoesNotHoldUpTheStart) {
  Orders orders;
  orders.answer = ReadStatus::gone;
  const auto sampler = sampler_of(orders, {.period_ns = ms, .rows = 512});
  wait_until([&] { return !sampler->running(); });
  EXPECT_TRUE(sampler->stats().gone);
}

TEST(SamplerThread, ItsStatsMayBeAskedForWhileItEnds) {
  for (int round = 0; round < 20; ++round) {
    Orders orders;
    const auto sampler = sampler_of(orders, {.period_ns = ms, .rows = 512});
    std::atomic<bool> asked{false};
    std::thread asking([&] {
      for (int i = 0; i < 200; ++i) {
        EXPECT_GE(sampler->stats().cpu_s, 0);
        asked = true;
      }
    });
    wait_until([&] { return asked.load(); });
    sampler->stop();
    asking.join();
    EXPECT_GT(sampler->stats().cpu_s, 0);
  }
}

TEST(SamplerThread, OneDeviceVanishesAndTheOtherGoesOn) {
  const FullMachine machine;
  Environment env = machine.environment();
  env.simulated = "other=const:1";
  Session session(env, {"rapl_msr", "simulated"}, {.period_ns = ms, .rows = 512});
  ASSERT_EQ(session.samplers().size(), 2U);
  session.start();
  machine.vanish();
  wait_until([&] { return !session.samplers()[0]->running(); });
  EXPECT_TRUE(session.samplers()[0]->stats().gone);
  EXPECT_TRUE(session.running());
  wait_samples(*session.samplers()[1], 10);
  EXPECT_TRUE(session.samplers()[1]->running());
}

}  // namespace
}  // namespace wattring
