// SPDX-License-Identifier: Apache-2.0
// Windows that are open at the same time, in many threads or one.
#include <algorithm>
#include <array>
#include <latch>
#include <limits>
#include <thread>
#include <vector>

#include "obedient.hpp"
#include "window_test.hpp"

namespace wattring {
namespace {

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
  static_assert(2 * threads * each < MarkQueue::capacity - MarkQueue::kept_for_ends);
  EXPECT_EQ(report.dropped, 0U);
  EXPECT_EQ(e.count, static_cast<std::uint64_t>(threads * each));
  EXPECT_EQ(report.open, 0U);
  const double truth_j = power_w * static_cast<double>(e.covered.ns) * 1e-9;
  const Bounded all = e.inclusive(0);
  EXPECT_LE(all.lower_j, truth_j);
  EXPECT_GE(all.upper_j, truth_j);
  EXPECT_GE(e.summed_ns, e.covered.ns);
}

}  // namespace
}  // namespace wattring
