// SPDX-License-Identifier: Apache-2.0
// Windows and their energies: nested, overlapping, long, from many threads.
#include "windows.hpp"

#include <array>
#include <cmath>
#include <latch>
#include <limits>
#include <thread>

#include "full_machine.hpp"
#include "obedient.hpp"
#include "window_test.hpp"

namespace wattring {
namespace {

TEST_F(WindowsTest, AWindowGetsItsEnergy) {
  Windows& windows = start();
  const Windows::SlotId slot = windows.open_slot("x");
  const std::int64_t before = now_ns();
  const std::uint64_t ticket = windows.begin(slot);
  sleep_for(20 * ms);
  const std::uint64_t place = windows.end(ticket);
  const std::int64_t after = now_ns();
  const Settled settled = wait(windows, {slot, ticket, place});
  EXPECT_FALSE(settled.cut_off || settled.lost);
  EXPECT_LE(before, settled.from.t_ns);
  EXPECT_GE(after, settled.to.t_ns);
  EXPECT_GE(settled.to.t_ns - settled.from.t_ns, 20 * ms);
  expect_true(energy(settled), settled);
  const WindowReport report = windows.report();
  EXPECT_EQ(report.open + report.pending + report.dropped + report.late, 0U);
  EXPECT_EQ(entry(report, "x").covered.ns, settled.to.t_ns - settled.from.t_ns);
  EXPECT_DOUBLE_EQ(entry(report, "x").inclusive(0).value_j, energy(settled).value_j);
}

TEST_F(WindowsTest, OneLongerThanTheRingIsAsGoodAndOneReadMuchLaterToo) {
  Windows& windows = start({.period_ns = ms / 20, .rows = 1});
  const Sampler& sampler = *session_->samplers()[0];
  const Windows::SlotId slot = windows.open_slot("x");
  const std::uint64_t ticket = windows.begin(slot);
  wait_samples(sampler, 3 * sampler.ring().rows());
  const std::uint64_t place = windows.end(ticket);
  wait_samples(sampler, 3 * sampler.ring().rows());
  const Settled settled = wait(windows, {slot, ticket, place});
  EXPECT_FALSE(settled.lost);
  expect_true(energy(settled), settled);
}

TEST_F(WindowsTest, NestedOnesAreTakenOffOnceAndInTheirOwnThreadAlone) {
  Windows& windows = start();
  const Windows::SlotId a = windows.open_slot("a");
  const Windows::SlotId b = windows.open_slot("b");
  const Windows::SlotId c = windows.open_slot("c");
  const std::uint64_t outer = windows.begin(a);
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t middle = windows.begin(b);
    sleep_for(4 * ms);
    const std::uint64_t inner = windows.begin(c);
    sleep_for(4 * ms);
    windows.end(inner);
    windows.end(middle);
  }
  std::thread([&] {
    const std::uint64_t other = windows.begin(c);
    sleep_for(4 * ms);
    windows.end(other);
  }).join();
  windows.end(outer);
  const WindowReport report = windows.report();
  const LedgerEntry in_a = entry(report, "a");
  const LedgerEntry in_b = entry(report, "b");
  const LedgerEntry in_c = entry(report, "c");
  EXPECT_EQ(in_a.count, 1U);
  EXPECT_EQ(in_b.count, 3U);
  EXPECT_EQ(in_c.count, 4U);
  EXPECT_EQ(in_a.exclusive_ns(), in_a.covered.ns - in_b.covered.ns);
  EXPECT_EQ(in_c.exclusive_ns(), in_c.covered.ns);
  EXPECT_GE(in_b.exclusive_ns(), 12 * ms);
  EXPECT_LE(in_b.exclusive_ns(), in_b.covered.ns - 12 * ms);
  for (const LedgerEntry& e : {in_a, in_b, in_c}) {
    const Bounded all = e.inclusive(0);
    const Bounded own = e.exclusive(0);
    const double truth_j = power_w * static_cast<double>(e.covered.ns) * 1e-9;
    const double own_j = power_w * static_cast<double>(e.exclusive_ns()) * 1e-9;
    EXPECT_LE(all.lower_j, truth_j);
    EXPECT_GE(all.upper_j, truth_j);
    EXPECT_LE(own.lower_j, own_j);
    EXPECT_GE(own.upper_j, own_j);
  }
  EXPECT_NEAR(in_a.exclusive(0).value_j, in_a.inclusive(0).value_j - in_b.inclusive(0).value_j,
              1e-9);
}

TEST_F(WindowsTest, OverlappingOnesAreEachWholeAndNeverTakenOffTwice) {
  Windows& windows = start();
  const Windows::SlotId a = windows.open_slot("a");
  const Windows::SlotId b = windows.open_slot("b");
  const Windows::SlotId c = windows.open_slot("c");
  const std::uint64_t first = windows.begin(a);
  sleep_for(2 * ms);
  const std::uint64_t second = windows.begin(b);  // inside a when it begins
  sleep_for(2 * ms);
  const std::uint64_t third = windows.begin(c);  // inside b
  windows.end(second);                           // wholly inside a
  sleep_for(2 * ms);
  windows.end(third);  // outlives b, and is not taken off a, which has lost b's part of it already
  sleep_for(2 * ms);
  const std::uint64_t fourth = windows.begin(c);
  windows.end(first);
  windows.end(fourth);  // outlives a
  const WindowReport report = windows.report();
  EXPECT_EQ(report.open, 0U);
  EXPECT_EQ(entry(report, "a").exclusive_ns(),
            entry(report, "a").covered.ns - entry(report, "b").covered.ns);
  EXPECT_EQ(entry(report, "b").exclusive_ns(), entry(report, "b").covered.ns);
  EXPECT_EQ(entry(report, "c").exclusive_ns(), entry(report, "c").covered.ns);
}

TEST_F(WindowsTest, RecursionOfOneNameIsCoveredOnce) {
  Windows& windows = start();
  const Windows::SlotId slot = windows.open_slot("r");
  const std::uint64_t outer = windows.begin(slot);
  sleep_for(2 * ms);
  const std::uint64_t inner = windows.begin(slot);
  sleep_for(3 * ms);
  windows.end(inner);
  const Settled settled = wait(windows, {slot, outer, windows.end(outer)});
  const LedgerEntry e = entry(windows.report(), "r");
  EXPECT_EQ(e.count, 2U);
  EXPECT_EQ(e.overlapped, 1U);
  EXPECT_EQ(e.covered.ns, settled.to.t_ns - settled.from.t_ns);
  EXPECT_EQ(e.covered.ns, e.max_ns);
  EXPECT_EQ(e.summed_ns, e.max_ns + e.min_ns);
  EXPECT_EQ(e.exclusive_ns(), e.max_ns);
  EXPECT_DOUBLE_EQ(e.inclusive(0).value_j, energy(settled).value_j);
  EXPECT_NEAR(e.exclusive(0).value_j, energy(settled).value_j, 1e-12);
}

// Pitfall 26: four threads in a window of one name at the same time are one machine.
TEST_F(WindowsTest, ThreadsAtTheSameTimeTakeTheMachinesEnergyOnce) {
  Windows& windows = start();
  std::array<Run, 4> runs;
  std::latch all_begun(runs.size());
  std::vector<std::thread> threads;
  for (Run& run : runs) {
    run.slot = windows.open_slot("step");
    threads.emplace_back([&] {
      run.ticket = windows.begin(run.slot);
      all_begun.arrive_and_wait();
      sleep_for(10 * ms);
      run.place = windows.end(run.ticket);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::int64_t from_ns = std::numeric_limits<std::int64_t>::max();
  std::int64_t to_ns = 0;
  for (const Run& run : runs) {
    const Settled settled = wait(windows, run);
    from_ns = std::min(from_ns, settled.from.t_ns);
    to_ns = std::max(to_ns, settled.to.t_ns);
  }
  const LedgerEntry e = entry(windows.report(), "step");
  EXPECT_EQ(e.count, 4U);
  EXPECT_EQ(e.overlapped, 3U);
  EXPECT_EQ(e.covered.ns, to_ns - from_ns);
  EXPECT_GE(e.summed_ns, 40 * ms);
  expect_power(e.inclusive(0), e.covered.ns);
  EXPECT_NEAR(e.channels[0].summed_j.get(), power_w * static_cast<double>(e.summed_ns) * 1e-9,
              4 * 2.2e-3 * power_w);
}

TEST_F(WindowsTest, OverlapsMayBeLongerThanTheRing) {
  Windows& windows = start({.period_ns = ms / 20, .rows = 1});
  const Sampler& sampler = *session_->samplers()[0];
  const Windows::SlotId slot = windows.open_slot("x");
  const Windows::SlotId second_slot = windows.open_slot("x");
  const auto pause = [&] { wait_samples(sampler, 2 * sampler.ring().rows()); };
  const std::uint64_t first = windows.begin(slot);
  pause();
  const std::uint64_t second = windows.begin(second_slot);
  pause();
  const Settled a = wait(windows, {slot, first, windows.end(first)});
  pause();
  const Settled b = wait(windows, {second_slot, second, windows.end(second)});
  const LedgerEntry e = entry(windows.report(), "x");
  EXPECT_EQ(e.count, 2U);
  EXPECT_EQ(e.lost, 0U);
  EXPECT_EQ(e.covered.ns, b.to.t_ns - a.from.t_ns);
  EXPECT_EQ(e.summed_ns - e.covered.ns, a.to.t_ns - b.from.t_ns);
  expect_power(e.inclusive(0), e.covered.ns);
}

TEST_F(WindowsTest, OneMayEndOnAnotherThreadAndManyMayBeOpenForLong) {
  Windows& windows = start();
  const Windows::SlotId slot = windows.open_slot("long");
  const Windows::SlotId busy = windows.open_slot("busy");
  std::vector<std::uint64_t> open;
  for (int i = 0; i < 50; ++i) {
    open.push_back(windows.begin(slot));
    for (int k = 0; k < 500; ++k) {
      windows.end(windows.begin(busy));
    }
  }
  std::thread([&] {
    for (const std::uint64_t ticket : open) {
      windows.end(ticket);
    }
  }).join();
  const WindowReport report = windows.report();
  EXPECT_EQ(entry(report, "long").count, 50U);
  EXPECT_EQ(entry(report, "busy").count, 25'000U);
  EXPECT_EQ(report.open, 0U);
}

TEST_F(WindowsTest, ThreadsLoseNothingAndTheSumIsTheirs) {
  Windows& windows = start();
  constexpr int threads = 4;
  constexpr int each = 20'000;
  const Windows::SlotId slot = windows.open_slot("t");
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      for (int k = 0; k < each; ++k) {
        windows.end(windows.begin(slot));
      }
    });
  }
  for (std::thread& thread : running) {
    thread.join();
  }
  const WindowReport report = windows.report();
  const LedgerEntry e = entry(report, "t");
  EXPECT_EQ(e.count + report.dropped, static_cast<std::uint64_t>(threads * each));
  EXPECT_EQ(report.open, 0U);
  const double truth_j = power_w * static_cast<double>(e.covered.ns) * 1e-9;
  const Bounded all = e.inclusive(0);
  EXPECT_LE(all.lower_j, truth_j);
  EXPECT_GE(all.upper_j, truth_j);
  EXPECT_GE(e.summed_ns, e.covered.ns);
}

TEST_F(WindowsTest, ResetsAreCountedInTheWindowsThatSawThem) {
  const FullMachine machine;
  machine.stand_at(1000);
  Session session(machine.environment(), {"rapl_msr"}, {.period_ns = ms, .rows = 4096});
  session.start();
  const Sampler& sampler = *session.samplers()[0];
  Windows& windows = session.windows();
  const Windows::SlotId with = windows.open_slot("with");
  const Windows::SlotId without = windows.open_slot("without");
  const auto quiet = [&] {
    const std::uint64_t ticket = windows.begin(without);
    wait_samples(sampler, 12);
    windows.end(ticket);
    wait_samples(sampler, 3);
  };
  quiet();
  const std::uint64_t ticket = windows.begin(with);
  wait_samples(sampler, 3);
  machine.stand_at(0);
  wait_samples(sampler, 3);
  windows.end(ticket);
  wait_samples(sampler, 3);
  quiet();
  const WindowReport report = windows.report();
  EXPECT_EQ(entry(report, "with").channels.at(0).reset, 1U);
  EXPECT_EQ(entry(report, "with").channels.at(0).unbounded, 1U);
  EXPECT_EQ(entry(report, "without").count, 2U);
  EXPECT_EQ(entry(report, "without").channels.at(0).reset, 0U);
  EXPECT_EQ(entry(report, "without").channels.at(0).unbounded, 0U);
}

TEST_F(WindowsTest, SessionsKeepTheirWindowsApart) {
  Windows& windows = start();
  Session other(Environment(), {"simulated"}, {.period_ns = 2 * ms, .rows = 512});
  other.start();
  Windows& others = other.windows();
  const Windows::SlotId a = windows.open_slot("a");
  const Windows::SlotId b = others.open_slot("b");
  const std::uint64_t first = windows.begin(a);
  const std::uint64_t second = others.begin(b);
  sleep_for(5 * ms);
  windows.end(first);
  others.end(second);
  ASSERT_EQ(windows.report().names.size(), 1U);
  ASSERT_EQ(others.report().names.size(), 1U);
  EXPECT_EQ(windows.report().names[0].name, "a");
  EXPECT_EQ(others.report().names[0].name, "b");
  EXPECT_EQ(others.report().names[0].exclusive_ns(), others.report().names[0].covered.ns);
}

TEST_F(WindowsTest, AllSourcesOfASessionAreSettled) {
  const FullMachine machine;
  Environment env = machine.environment();
  env.simulated = "other=const:100";
  Session session(env, {"rapl_msr", "simulated"}, {.period_ns = ms, .rows = 512});
  session.start();
  Windows& windows = session.windows();
  const Windows::SlotId slot = windows.open_slot("x");
  const std::uint64_t ticket = windows.begin(slot);
  sleep_for(20 * ms);
  const std::uint64_t place = windows.end(ticket);
  const Settled settled = windows.wait(slot, ticket, place);
  const auto energies = session.between(settled.from, settled.to);
  ASSERT_EQ(energies.size(), 2U);
  expect_true(energies[1].at(0), settled);
  const std::size_t channels = session.samplers()[0]->channels().size();
  const LedgerEntry e = entry(windows.report(), "x");
  ASSERT_EQ(e.channels.size(), channels + 1);
  EXPECT_DOUBLE_EQ(e.inclusive(channels).value_j, energies[1][0].value_j);
}

}  // namespace
}  // namespace wattring
