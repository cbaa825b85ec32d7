// SPDX-License-Identifier: Apache-2.0
// Windows and their energies: nested, long, of several sources.
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
