// SPDX-License-Identifier: Apache-2.0
// What went wrong inside a window is counted in it, and what it makes unprovable is not proven.
#include <cmath>

#include "full_machine.hpp"
#include "obedient.hpp"
#include "session.hpp"
#include "support.hpp"

namespace wattring {
namespace {

class Windows : public testing::Test {
 protected:
  void start(const Environment& env, const char* source, const SamplerOptions& options) {
    session_ = std::make_unique<Session>(env, std::vector<std::string>{source}, options);
    session_->start();
  }
  const Sampler& sampler() const { return *session_->samplers()[0]; }
  Mark mark() const { return session_->mark(now_ns()); }
  ChannelEnergy between(const Mark& a, const Mark& b) const {
    return session_->between(a, b).at(0).at(0);
  }
  std::unique_ptr<Session> session_;
};

TEST_F(Windows, AResetIsCountedAndNothingIsProvenAboveIt) {
  const FullMachine machine;
  machine.stand_at(1000);
  start(machine.environment(), "rapl_msr", {.period_ns = ms, .rows = 4096});
  const Mark a = mark();
  machine.stand_at(1001);
  wait_samples(sampler(), 5);
  machine.stand_at(0);  // the register begins anew, nowhere near its wrap
  wait_samples(sampler(), 5);
  machine.stand_at(2);
  wait_samples(sampler(), 5);
  const Mark b = mark();
  const ChannelEnergy with = between(a, b);
  EXPECT_EQ(with.reset, 1U);
  EXPECT_EQ(with.ambiguous, 0U);
  EXPECT_TRUE(std::isinf(with.upper_j));
  // What was seen is 1 J and 2 J; less cannot have been.
  EXPECT_NEAR(with.lower_j, 3, 0.01);
  EXPECT_NEAR(with.value_j, 3, 0.01);
  machine.stand_at(3);
  wait_samples(sampler(), 5);
  const ChannelEnergy after = between(b, mark());
  EXPECT_EQ(after.reset, 0U);
  EXPECT_TRUE(std::isfinite(after.upper_j));
  EXPECT_NEAR(after.value_j, 1, 0.01);
}

TEST_F(Windows, AResetStaysCountedWhenItsRowsAreGone) {
  const FullMachine machine;
  machine.stand_at(1000);
  start(machine.environment(), "rapl_msr", {.period_ns = ms / 10, .rows = 1});
  const Mark a = mark();
  machine.stand_at(0);
  wait_samples(sampler(), 2 * sampler().ring().rows());
  const ChannelEnergy e = between(a, mark());
  EXPECT_EQ(e.reset, 1U);
  EXPECT_TRUE(std::isinf(e.upper_j));
}

TEST_F(Windows, AResetStaysCountedWhenItsBeginWasSettledAfterIt) {
  const FullMachine machine;
  machine.stand_at(1000);
  start(machine.environment(), "rapl_msr", {.period_ns = ms / 2, .rows = 1});
  wait_samples(sampler(), 5);
  const std::int64_t begin_ns = now_ns();
  machine.stand_at(0);
  wait_samples(sampler(), 5);
  const Mark a = session_->mark(begin_ns);
  wait_samples(sampler(), 2 * sampler().ring().rows());
  const ChannelEnergy e = between(a, mark());
  EXPECT_GT(e.lost, 0U);
  EXPECT_EQ(e.reset, 1U);
  EXPECT_TRUE(std::isinf(e.upper_j));
}

TEST_F(Windows, AStallThatMayHideAWrapIsAmbiguous) {
  // 20 J of range at 1000 W are run through in 20 ms.
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 1'000'000, "20000000");
  start(machine.environment(), "rapl_powercap", {.period_ns = ms, .rows = 4096});
  const Mark a = mark();
  machine.set_energy_uj("intel-rapl:0", "rubbish");
  sleep_for(60 * ms);
  machine.set_energy_uj("intel-rapl:0", "1500000");
  wait_samples(sampler(), 5);
  const ChannelEnergy e = between(a, mark());
  EXPECT_GE(e.ambiguous, 1U);
  EXPECT_GE(e.failed, 1U);
  EXPECT_TRUE(std::isinf(e.upper_j));
  EXPECT_NEAR(e.lower_j, 0.5, 0.01);
}

TEST_F(Windows, FailedReadsAreCountedAndTheEnergyGoesOn) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 1'000'000);
  start(machine.environment(), "rapl_powercap", {.period_ns = ms, .rows = 4096});
  const Mark a = mark();
  machine.set_energy_uj("intel-rapl:0", "rubbish");
  wait_samples(sampler(), 10);
  machine.set_energy_uj("intel-rapl:0", "3000000");
  wait_samples(sampler(), 5);
  const ChannelEnergy e = between(a, mark());
  EXPECT_GE(e.failed, 8U);
  EXPECT_EQ(e.reset + e.ambiguous, 0U);
  EXPECT_NEAR(e.value_j, 2, 0.01);
  EXPECT_NEAR(e.lower_j, 2, 0.01);
  EXPECT_NEAR(e.upper_j, 2, 0.01);
}

TEST_F(Windows, AFailedReadAtItsEndIsNotAPlunge) {
  const FullMachine machine;
  start(machine.environment(), "rapl_powercap", {.period_ns = ms, .rows = 4096});
  const Mark a = mark();
  machine.stand_at(2);
  wait_samples(sampler(), 5);
  machine.break_all();
  wait_samples(sampler(), 10);
  const ChannelEnergy e = between(a, mark());
  EXPECT_NEAR(e.lower_j, 2, 0.01);
  EXPECT_TRUE(std::isinf(e.upper_j)) << "what came since was not read";
}

TEST_F(Windows, AWindowMayBeLongerThanTheRing) {
  const FullMachine machine;
  start(machine.environment(), "rapl_perf", {.period_ns = ms / 10, .rows = 1});
  const Mark a = mark();
  machine.stand_at(5);
  wait_samples(sampler(), 3 * sampler().ring().rows());
  const ChannelEnergy e = between(a, mark());
  EXPECT_NEAR(e.value_j, 5, 0.01);
  EXPECT_EQ(e.failed + e.ambiguous + e.reset, 0U);
}

TEST_F(Windows, AStandingCounterMovedByLessThanItsUnit) {
  const FullMachine machine;
  start(machine.environment(), "rapl_msr", {.period_ns = ms, .rows = 4096});
  const Mark a = mark();
  sleep_for(20 * ms);
  const ChannelEnergy e = between(a, mark());
  EXPECT_TRUE(e.still);
  EXPECT_EQ(e.lower_j, 0);
  EXPECT_DOUBLE_EQ(e.upper_j, 1.0 / 16384);
}

TEST_F(Windows, ADeviceThatVanishesLeavesItsRowsAndNoBound) {
  const FullMachine machine;
  start(machine.environment(), "rapl_msr", {.period_ns = ms, .rows = 4096});
  const Mark a = mark();
  machine.stand_at(3);
  wait_samples(sampler(), 5);
  machine.vanish();
  wait_until([&] { return !sampler().running(); });
  const ChannelEnergy e = between(a, mark());
  EXPECT_NEAR(e.lower_j, 3, 0.01);
  EXPECT_TRUE(std::isinf(e.upper_j));
}

// Waits for deadlines to pass without a row, which they do at a period that is too short to sleep.
void wait_missed(const Sampler& sampler, std::uint64_t n) {
  const std::uint64_t wanted = sampler.stats().missed + n;
  wait_until([&] { return sampler.stats().missed >= wanted; });
}

TEST_F(Windows, RowsBehindMissedDeadlinesAreCounted) {
  start(Environment(), "simulated", {.period_ns = 10 * us, .rows = 65'536});
  const Mark a = mark();
  wait_missed(sampler(), 100);
  const Mark b = mark();
  session_->stop();
  const ChannelEnergy e = between(a, b);
  const Ring& ring = sampler().ring();
  ASSERT_EQ(ring.oldest(), 0U) << "the test counts all rows";
  std::uint64_t marked = 0;
  for (std::uint64_t k = row_after(ring, a.t_ns); k <= row_after(ring, b.t_ns); ++k) {
    std::uint64_t status = 0;
    ASSERT_TRUE(ring.peek(k, row::status_word, status));
    marked += (status & row::gap) != 0 ? 1 : 0;
  }
  EXPECT_GT(marked, 0U);
  EXPECT_EQ(e.gap, marked);
  EXPECT_EQ(e.lost, 0U);
  EXPECT_EQ(between(b, b).lost, 0U);
}

TEST_F(Windows, RowsThatLeftTheRingAreCountedAndTheirGapsKnown) {
  // The witness copies every row; where the machine keeps it from that, all begins anew.
  std::vector<bool> is_gap;
  std::uint64_t lost = 0;
  std::int64_t newest_ns = 0;
  Mark a;
  do {
    start(Environment(), "simulated", {.period_ns = 10 * us, .rows = 8192});
    const Ring& ring = sampler().ring();
    a = mark();
    is_gap.clear();
    lost = 0;
    const std::size_t width = ring.words_per_row();
    std::vector<std::uint64_t> words(ring.rows() * width);
    std::uint64_t cursor = 0;
    const std::uint64_t enough = a.sources[0].row + 2 * ring.rows();
    while (is_gap.size() < enough && lost == 0) {
      const Ring::Copied copied = ring.read(cursor, words);
      for (std::size_t i = 0; i < copied.rows; ++i) {
        is_gap.push_back((words[i * width + row::status_word] & row::gap) != 0);
        newest_ns = static_cast<std::int64_t>(words[i * width + row::t_begin_word]);
      }
      lost += copied.lost;
      sleep_for(ms);
    }
  } while (lost > 0);
  const std::uint64_t missed = sampler().stats().missed;
  const Mark b = session_->mark(newest_ns);
  session_->stop();
  const ChannelEnergy e = between(a, b);
  const std::uint64_t from = a.sources[0].row;
  const std::uint64_t to = b.sources[0].row;
  ASSERT_LT(to, is_gap.size());
  std::uint64_t marked = 0;
  for (std::uint64_t k = from; k <= to; ++k) {
    marked += is_gap[k] ? 1 : 0;
  }
  EXPECT_GT(marked, 0U);
  EXPECT_LT(marked, missed) << "else this proves nothing";
  EXPECT_EQ(e.gap, marked);
  EXPECT_GE(e.lost, to - from - sampler().ring().rows());
  EXPECT_LE(e.lost, to - from + 1);
}

}  // namespace
}  // namespace wattring
