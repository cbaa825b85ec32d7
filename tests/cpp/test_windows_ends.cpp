// SPDX-License-Identifier: Apache-2.0
// How windows end that cannot end well: a full queue, a stop, a lost device, a fork.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>

#include "full_machine.hpp"
#include "obedient.hpp"
#include "window_test.hpp"

namespace wattring {
namespace {

TEST_F(WindowsTest, WhatAFullQueueDropsIsCounted) {
  Windows& windows = start({.period_ns = 60 * ns_per_s, .rows = 512});  // nobody empties it
  const Windows::SlotId slot = windows.open_slot("x");
  constexpr std::uint64_t begun = MarkQueue::capacity;
  std::uint64_t refused = 0;
  for (std::uint64_t i = 0; i < begun; ++i) {
    const std::uint64_t ticket = windows.begin(slot);
    refused += ticket == Windows::refused ? 1 : 0;
    windows.end(ticket);
  }
  EXPECT_GT(refused, 0U);
  EXPECT_EQ(windows.dropped(), refused);
  EXPECT_EQ(error_of([&] { windows.wait(slot, Windows::refused, Windows::refused); }).code(),
            Errc::state);
  session_->stop();
  const WindowReport report = windows.report();
  EXPECT_EQ(report.dropped, refused);
  EXPECT_EQ(entry(report, "x").count, begun - refused);
  EXPECT_EQ(report.pending + report.late + report.open, 0U);
}

TEST_F(WindowsTest, WhatIsOpenAtTheStopIsCutOffThereAndWhatComesLaterIsCounted) {
  Windows& windows = start();
  const Windows::SlotId slot = windows.open_slot("x");
  const std::uint64_t ticket = windows.begin(slot);
  sleep_for(10 * ms);
  const std::int64_t before = now_ns();
  session_->stop();
  const std::int64_t after = now_ns();
  EXPECT_EQ(windows.end(ticket), Windows::refused);
  const Settled settled = wait(windows, {slot, ticket, Windows::refused});
  EXPECT_TRUE(settled.cut_off);
  EXPECT_LE(before, settled.to.t_ns);
  EXPECT_GE(after, settled.to.t_ns);
  expect_true(energy(settled), settled);
  EXPECT_EQ(windows.begin(slot), Windows::refused);
  const WindowReport report = windows.report();
  EXPECT_EQ(entry(report, "x").count, 0U);
  EXPECT_EQ(entry(report, "x").cut_off, 1U);
  EXPECT_EQ(report.late, 1U) << "the one that was begun is cut off and no more";
  EXPECT_EQ(report.open + report.dropped, 0U);
}

TEST_F(WindowsTest, WhatComesBeforeTheStartIsRefusedAndNotCounted) {
  Session session(Environment(), {"simulated"}, {.period_ns = ms, .rows = 512});
  Windows& windows = session.windows();
  const Windows::SlotId slot = windows.open_slot("x");
  EXPECT_EQ(windows.begin(slot), Windows::refused);
  session.start();
  windows.end(windows.begin(slot));
  const WindowReport report = windows.report();
  EXPECT_EQ(entry(report, "x").count, 1U);
  EXPECT_EQ(report.dropped + report.late + report.open, 0U);
}

TEST_F(WindowsTest, OneThatNeverEndsCoversNothingAndHidesNothing) {
  Windows& windows = start();
  const Windows::SlotId slot = windows.open_slot("x");
  windows.begin(slot);
  std::int64_t ns = 0;
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t ticket = windows.begin(slot);
    sleep_for(4 * ms);
    const Settled settled = wait(windows, {slot, ticket, windows.end(ticket)});
    ns += settled.to.t_ns - settled.from.t_ns;
    EXPECT_EQ(entry(windows.report(), "x").covered.ns, ns) << "while it is still open";
    sleep_for(4 * ms);
  }
  session_->stop();
  const LedgerEntry e = entry(windows.report(), "x");
  EXPECT_EQ(e.count, 3U);
  EXPECT_EQ(e.cut_off, 1U);
  EXPECT_EQ(e.overlapped, 0U);
  EXPECT_EQ(e.covered.ns, ns);
  EXPECT_EQ(e.exclusive_ns(), ns);
  const double truth_j = power_w * static_cast<double>(ns) * 1e-9;
  EXPECT_LE(e.inclusive(0).lower_j, truth_j);
  EXPECT_GE(e.inclusive(0).upper_j, truth_j);
}

TEST_F(WindowsTest, NothingIsWaitedForWhenTheDeviceVanishes) {
  const FullMachine machine;
  machine.stand_at(1);
  Session session(machine.environment(), {"rapl_msr"}, {.period_ns = ms, .rows = 4096});
  session.start();
  Windows& windows = session.windows();
  const Windows::SlotId slot = windows.open_slot("x");
  const std::uint64_t ticket = windows.begin(slot);
  wait_samples(*session.samplers()[0], 12);  // it stands still: 1 J, proven
  machine.stand_at(4);
  wait_samples(*session.samplers()[0], 5);
  machine.vanish();
  wait_until([&] { return !session.samplers()[0]->running(); });
  const std::uint64_t place = windows.end(ticket);
  const Settled settled = windows.wait(slot, ticket, place);
  const ChannelEnergy e = session.between(settled.from, settled.to).at(0).at(0);
  EXPECT_NEAR(e.lower_j, 3, 0.01);
  EXPECT_TRUE(std::isinf(e.upper_j)) << "no later row proves one";
  EXPECT_EQ(windows.report().names.at(0).channels.at(0).unbounded, 1U);
}

TEST_F(WindowsTest, ADeviceThatAnswersNoMoreIsNotWaitedForForEver) {
  Orders orders;
  Sampler sampler("test", std::make_unique<Obedient>(orders), {.period_ns = ms, .rows = 4096});
  Windows windows(std::make_shared<const char>());
  sampler.follow_with(windows);
  windows.attach(sampler);
  sampler.start();
  windows.accept();
  const Windows::SlotId slot = windows.open_slot("x");
  const std::uint64_t ticket = windows.begin(slot);
  wait_samples(sampler, 5);
  orders.answer = ReadStatus::retry;  // for ever, and no row
  const std::uint64_t place = windows.end(ticket);
  EXPECT_TRUE(
      std::isinf(windows.wait(slot, ticket, place).to.sources.at(0).standings.at(0).upper_j));
  orders.answer = ReadStatus::ok;
  sampler.stop();
}

TEST_F(WindowsTest, OneWhoseSamplesAreGoneCoversNothingAndHidesNothing) {
  Orders orders;
  orders.refresh_ns = ms;
  // It tells nobody of its rows, so that marks wait until somebody asks.
  Sampler sampler("test", std::make_unique<Obedient>(orders), {.period_ns = ms / 20, .rows = 1});
  Windows windows(std::make_shared<const char>());
  windows.attach(sampler);
  sampler.start();
  windows.accept();
  const Windows::SlotId slot = windows.open_slot("x");
  const std::uint64_t lost = windows.begin(slot);
  wait_samples(sampler, 2 * sampler.ring().rows());
  EXPECT_TRUE(wait(windows, {slot, lost, windows.end(lost)}).lost);
  const std::uint64_t good = windows.begin(slot);
  const Settled settled = wait(windows, {slot, good, windows.end(good)});
  EXPECT_FALSE(settled.lost);
  const LedgerEntry e = entry(windows.report(), "x");
  EXPECT_EQ(e.lost, 1U);
  EXPECT_EQ(e.count, 1U);
  EXPECT_EQ(e.most_open, 1U);
  EXPECT_EQ(e.covered.ns, settled.to.t_ns - settled.from.t_ns);
  sampler.stop();
}

TEST_F(WindowsTest, SlotsComeBack) {
  Windows& windows = start();
  Windows::SlotId highest = 0;
  for (int i = 0; i < 50; ++i) {
    for (int k = 0; k < 20; ++k) {
      const Windows::SlotId slot = windows.open_slot("x");
      highest = std::max(highest, slot);
      windows.end(windows.begin(slot));
      windows.close_slot(slot);
    }
    windows.report();
  }
  EXPECT_LT(highest, 100U);
  EXPECT_EQ(entry(windows.report(), "x").count, 1000U);
}

TEST_F(WindowsTest, AChildOfForkCountsNothingAndSaysSo) {
  Windows& windows = start();
  const Windows::SlotId slot = windows.open_slot("x");
  const std::uint64_t ticket = windows.begin(slot);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    int bad = 0;
    bad += windows.begin(slot) == Windows::refused ? 0 : 1;
    bad += windows.end(ticket) == Windows::refused ? 0 : 2;
    bad += windows.dropped() == 0 ? 0 : 4;
    windows.close_slot(slot);
    try {
      session_->windows();
      bad += 8;
    } catch (const Error& error) {
      bad += error.code() == Errc::state ? 0 : 16;
    }
    session_.reset();
    _exit(bad);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_NE(windows.end(ticket), Windows::refused);
  EXPECT_EQ(entry(windows.report(), "x").count, 1U);
}

}  // namespace
}  // namespace wattring
