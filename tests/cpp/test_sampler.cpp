// SPDX-License-Identifier: Apache-2.0
#include "sampler.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>

#include "environment.hpp"
#include "error.hpp"
#include "fake_machine.hpp"
#include "session.hpp"

namespace wattring {
namespace {

constexpr std::int64_t ms = 1'000'000;

// One counter that moves by one tick per read, and does as it is told.
class Obedient final : public Source {
 public:
  struct Orders {
    std::atomic<ReadStatus> answer{ReadStatus::ok};
    std::atomic<std::int64_t> delay_ns{0};
    std::atomic<int> thread_id{0};
    std::atomic<bool> signals_blocked{false};
  };
  explicit Obedient(Orders& orders) : orders_(orders) {
    channel_.name = "package-0";
    channel_.scale = 1.0 / 16384;
    channel_.refresh_ns = ms;
  }
  std::span<const Channel> channels() const noexcept override { return {&channel_, 1}; }
  ReadStatus read(Sweep& sweep) noexcept override {
    if (orders_.thread_id == 0) {
      sigset_t blocked;
      pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
      orders_.signals_blocked = sigismember(&blocked, SIGINT) == 1;
      orders_.thread_id = gettid();
    }
    if (orders_.delay_ns > 0) {
      sleep_for(orders_.delay_ns.exchange(0));
    }
    switch (orders_.answer.load()) {
      case ReadStatus::failed:
        sweep.fail(0, EIO);
        break;
      case ReadStatus::gone:
        sweep.fail(0, ENODEV);
        break;
      case ReadStatus::retry:
        return ReadStatus::retry;
      case ReadStatus::ok:
        sweep.set(0, ++ticks_);
        break;
    }
    return sweep.outcome();
  }

 private:
  Orders& orders_;
  Channel channel_;
  std::uint64_t ticks_ = 0;
};

class SamplerTest : public testing::Test {
 protected:
  Sampler& start(std::int64_t period_ns) {
    sampler_ = std::make_unique<Sampler>("test", std::make_unique<Obedient>(orders_),
                                         SamplerOptions{.period_ns = period_ns, .rows = 4096});
    sampler_->start();
    return *sampler_;
  }
  void wait_samples(std::uint64_t n) const {
    const std::uint64_t wanted = sampler_->stats().samples + n;
    while (sampler_->stats().samples < wanted && sampler_->running()) {
      sleep_for(ms / 4);
    }
  }
  std::vector<std::array<std::uint64_t, 4>> rows() const {
    std::vector<std::array<std::uint64_t, 4>> all(sampler_->ring().rows());
    std::uint64_t cursor = 0;
    const auto copied = sampler_->ring().read(cursor, {all.data()->data(), all.size() * 4});
    all.resize(copied.rows);
    return all;
  }
  Obedient::Orders orders_;
  std::unique_ptr<Sampler> sampler_;
};

TEST_F(SamplerTest, AMissedDeadlineIsSkippedCountedAndMarked) {
  Sampler& sampler = start(ms);
  wait_samples(5);
  const std::uint64_t missed = sampler.stats().missed;
  orders_.delay_ns = 20 * ms;
  wait_samples(5);
  sampler.stop();
  EXPECT_GE(sampler.stats().missed - missed, 18U);
  const auto all = rows();
  bool marked = false;
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i - 1][1] - all[i - 1][0] >= 20 * ms) {
      marked = (all[i][2] & row::gap) != 0;
      // No burst: the next one comes on the grid, not at once twenty times.
      EXPECT_GT(all[i + 1][0] - all[i][0], static_cast<std::uint64_t>(ms / 2));
    }
  }
  EXPECT_TRUE(marked);
}

TEST_F(SamplerTest, AFailedReadKeepsTheValueAndSetsTheBit) {
  Sampler& sampler = start(ms);
  orders_.answer = ReadStatus::failed;
  wait_samples(5);
  orders_.answer = ReadStatus::ok;
  wait_samples(5);
  sampler.stop();
  EXPECT_GE(sampler.stats().failed, 4U);
  EXPECT_EQ(sampler.stats().last_errno, EIO);
  EXPECT_GE(sampler.tallies(0).failed.get(), 4U);
  const auto all = rows();
  std::uint64_t failed = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (row::marks_of(all[i][2], 0) & row::failed) {
      ++failed;
      EXPECT_EQ(all[i][3], all[i - 1][3]);
    } else {
      EXPECT_EQ(all[i][3], all[i - 1][3] + 1);
    }
  }
  EXPECT_EQ(failed, sampler.tallies(0).failed.get());
}

TEST_F(SamplerTest, RetriesMakeNoRowsAndGoneEndsTheThread) {
  Sampler& sampler = start(ms);
  orders_.answer = ReadStatus::retry;
  while (sampler.stats().retries < 5) {
    sleep_for(ms);
  }
  EXPECT_TRUE(sampler.running());
  orders_.answer = ReadStatus::gone;
  while (sampler.running()) {
    sleep_for(ms);
  }
  EXPECT_TRUE(sampler.stats().gone);
  sampler.stop();
}

TEST_F(SamplerTest, StoppingDoesNotWaitForTheDeadline) {
  Sampler& sampler = start(3600 * ns_per_s);
  sampler.stop();
  EXPECT_FALSE(sampler.running());
  EXPECT_GE(sampler.stats().samples, 4U);  // some before, some after what could be measured
}

TEST_F(SamplerTest, TheThreadIsNamedDeafToSignalsAndAccountedFor) {
  Sampler& sampler = start(ms);
  wait_samples(50);
  EXPECT_TRUE(orders_.signals_blocked);
  const auto name =
      read_text("/proc/self/task/" + std::to_string(orders_.thread_id.load()) + "/comm");
  EXPECT_EQ(name, "wr-test");
  EXPECT_GT(sampler.stats().cpu_s, 0);
  sampler.stop();
  EXPECT_GT(sampler.stats().cpu_s, 0);
  EXPECT_GT(sampler.stats().lateness_ns[2], 0);
}

TEST(Sampler, WhatIsNotGrantedIsSaid) {
  Obedient::Orders orders;
  Sampler sampler("test", std::make_unique<Obedient>(orders),
                  {.period_ns = ms, .rows = 512, .cpu = 1000});
  sampler.start();
  EXPECT_NE(sampler.stats().refused.find("cpu 1000"), std::string::npos);
  EXPECT_TRUE(sampler.running());
}

TEST(Session, StartAndStopFromManyThreads) {
  const Environment env;
  Session session(env, {"simulated"}, {.period_ns = ms, .rows = 512});
  session.start();
  const std::int64_t t0 = now_ns();
  sleep_for(20 * ms);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      session.between(session.mark(t0), session.mark(now_ns()));
      session.stop();
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_FALSE(session.running());
  EXPECT_THROW(session.start(), Error);
}

TEST(Session, OneSourceVanishesAndTheOtherGoesOn) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.msr(0, 0x606, 0xA0E03);
  machine.msr(0, 0x611, 1000);
  Session session(machine.environment(), {"rapl_msr", "simulated"}, {.period_ns = ms, .rows = 512});
  ASSERT_EQ(session.samplers().size(), 2U);
  session.start();
  machine.remove("dev/cpu/0/msr");
  while (session.samplers()[0]->running()) {
    sleep_for(ms);
  }
  EXPECT_TRUE(session.running());
  const std::uint64_t before = session.samplers()[1]->stats().samples;
  sleep_for(30 * ms);
  EXPECT_GT(session.samplers()[1]->stats().samples, before);
}

}  // namespace
}  // namespace wattring
