// SPDX-License-Identifier: Apache-2.0
// Windows and their energies: nested, overlapping, long, from many threads.
#include "windows.hpp"

#include <cmath>
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
  EXPECT_EQ(entry(report, "x").ns, settled.to.t_ns - settled.from.t_ns);
  EXPECT_DOUBLE_EQ(entry(report, "x").channels.at(0).inclusive.value_j.get(),
                   energy(settled).value_j);
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
  EXPECT_EQ(in_a.exclusive_ns, in_a.ns - in_b.ns);
  EXPECT_EQ(in_c.exclusive_ns, in_c.ns);
  EXPECT_GE(in_b.exclusive_ns, 12 * ms);
  EXPECT_LE(in_b.exclusive_ns, in_b.ns - 12 * ms);
  for (const LedgerEntry& e : {in_a, in_b, in_c}) {
    const ChannelTotals& t = e.channels.at(0);
    const double truth_j = power_w * static_cast<double>(e.ns) * 1e-9;
    const double own_j = power_w * static_cast<double>(e.exclusive_ns) * 1e-9;
    EXPECT_LE(t.inclusive.lower_j.get(), truth_j);
    EXPECT_GE(t.inclusive.upper_j.get(), truth_j);
    EXPECT_LE(t.exclusive.lower_j.get(), own_j);
    EXPECT_GE(t.exclusive.upper_j.get(), own_j);
  }
  EXPECT_NEAR(in_a.channels[0].exclusive.value_j.get(),
              in_a.channels[0].inclusive.value_j.get() - in_b.channels[0].inclusive.value_j.get(),
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
  EXPECT_EQ(entry(report, "a").exclusive_ns, entry(report, "a").ns - entry(report, "b").ns);
  EXPECT_EQ(entry(report, "b").exclusive_ns, entry(report, "b").ns);
  EXPECT_EQ(entry(report, "c").exclusive_ns, entry(report, "c").ns);
}

TEST_F(WindowsTest, RecursionOfOneNameCountsEachLevel) {
  Windows& windows = start();
  const Windows::SlotId slot = windows.open_slot("r");
  const std::uint64_t outer = windows.begin(slot);
  const std::uint64_t inner = windows.begin(slot);
  sleep_for(3 * ms);
  windows.end(inner);
  windows.end(outer);
  const LedgerEntry e = entry(windows.report(), "r");
  EXPECT_EQ(e.count, 2U);
  EXPECT_GE(e.ns, 6 * ms);
  EXPECT_EQ(e.exclusive_ns, e.max_ns) << "its own time is counted once";
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
  const double truth_j = power_w * static_cast<double>(e.ns) * 1e-9;
  const ChannelTotals& t = e.channels.at(0);
  EXPECT_LE(t.inclusive.lower_j.get(), truth_j);
  EXPECT_GE(t.inclusive.upper_j.get(), truth_j);
  EXPECT_LE(t.inclusive.lower_j.get(), t.inclusive.value_j.get());
  EXPECT_GE(t.inclusive.upper_j.get(), t.inclusive.value_j.get());
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
  EXPECT_EQ(others.report().names[0].exclusive_ns, others.report().names[0].ns);
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
  EXPECT_DOUBLE_EQ(e.channels[channels].inclusive.value_j.get(), energies[1][0].value_j);
}

}  // namespace
}  // namespace wattring
