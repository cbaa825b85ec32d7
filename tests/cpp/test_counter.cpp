// SPDX-License-Identifier: Apache-2.0
#include "counter.hpp"

#include <gtest/gtest.h>

namespace wattring {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::uint64_t range32 = std::uint64_t{1} << 32;

Channel channel(std::uint64_t modulus, double scale = 1.0 / 16384) {
  Channel c;
  c.scale = scale;
  c.modulus = modulus;
  c.refresh_ns = ms;
  return c;
}

TEST(Counter, FirstReadingIsBaseline) {
  Counter counter(channel(range32));
  EXPECT_EQ(counter.advance(123'456, 0, 10), 0U);
  EXPECT_EQ(counter.value(), 0U);
  EXPECT_EQ(counter.advance(123'460, ms, ms + 10), 0U);
  EXPECT_EQ(counter.value(), 4U);
}

struct WrapCase {
  const char* what;
  std::uint64_t modulus;
  std::uint64_t before;
  std::uint64_t after;
  std::uint64_t step;
};

class Wrap : public testing::TestWithParam<WrapCase> {};

TEST_P(Wrap, AddsTheStepAndNothingElse) {
  const WrapCase& w = GetParam();
  Counter counter(channel(w.modulus));
  counter.advance(w.before, 0, 10);
  EXPECT_EQ(counter.advance(w.after, ms, ms + 10), 0U) << w.what;
  EXPECT_EQ(counter.value(), w.step) << w.what;
  EXPECT_EQ(counter.advance(w.after + 5, 2 * ms, 2 * ms + 10), 0U) << w.what;
  EXPECT_EQ(counter.value(), w.step + 5) << w.what;
}

INSTANTIATE_TEST_SUITE_P(
    Table, Wrap,
    testing::Values(WrapCase{"none", range32, 100, 350, 250},
                    WrapCase{"32 bits", range32, range32 - 10, 20, 30},
                    WrapCase{"32 bits, to zero", range32, range32 - 1, 0, 1},
                    WrapCase{"microjoules", 262'143'328'851, 262'143'328'850, 9, 10},
                    WrapCase{"64 bits", 0, ~std::uint64_t{0} - 1, 8, 10},
                    // TPMI through perf: the count falls by a whole range and may go below zero.
                    WrapCase{"TPMI", range32 * 262'143, 5000, 5000 + 300 - range32 * 262'143,
                             300}));

TEST(Counter, EachChannelHasItsOwnRange) {
  Counter package(channel(range32));
  Counter dram(channel(range32, 1.0 / 65536));
  package.advance(50, 0, 10);
  dram.advance(range32 - 4, 0, 10);
  package.advance(60, ms, ms + 10);
  dram.advance(6, ms, ms + 10);
  EXPECT_EQ(package.value(), 10U);
  EXPECT_EQ(dram.value(), 10U);
}

TEST(Counter, AJumpThatNoPowerExplainsIsAReset) {
  Counter counter(channel(range32));
  counter.advance(3'000'000'000, 0, 10);
  EXPECT_EQ(counter.advance(17, ms, ms + 10), row::reset);
  EXPECT_EQ(counter.value(), 0U);
  EXPECT_EQ(counter.advance(27, 2 * ms, 2 * ms + 10), 0U);
  EXPECT_EQ(counter.value(), 10U);
}

TEST(Counter, AReadThatComesBackAsZeroInventsNothing) {
  // 5 kJ since opening, then one failed MMIO read, in perf's ticks.
  constexpr double tick = 1.0 / 4294967296.0;
  Counter counter(channel(range32 * 262'143, tick));
  const auto joules = [](double j) { return static_cast<std::uint64_t>(j * 4294967296.0); };
  counter.advance(joules(5000), 0, 10);
  EXPECT_EQ(counter.advance(0, ms, ms + 10), row::reset);
  EXPECT_EQ(counter.advance(joules(5000.1), 2 * ms, 2 * ms + 10), row::reset);
  EXPECT_EQ(counter.value(), 0U);
  EXPECT_EQ(counter.advance(joules(5000.2), 3 * ms, 3 * ms + 10), 0U);
  EXPECT_NEAR(static_cast<double>(counter.value()) * tick, 0.1, 1e-6);
}

TEST(Counter, WithoutAWrapAFallIsAReset) {
  Counter counter(channel(0));
  counter.advance(5000, 0, 10);
  EXPECT_EQ(counter.advance(4000, ms, ms + 10), row::reset);
  EXPECT_EQ(counter.value(), 0U);
  EXPECT_EQ(counter.advance(4010, 2 * ms, 2 * ms + 10), 0U);
  EXPECT_EQ(counter.value(), 10U);
}

TEST(Counter, TheLongerSinceTheLastReadingTheMoreIsPossible) {
  // 4000 W for a refresh and its slack are 20 J, for a second 4016 J.
  Counter counter(channel(range32));
  constexpr std::uint64_t j = 16384;
  counter.advance(0, 0, 10);
  EXPECT_EQ(counter.advance(4010 * j, 1000 * ms, 1000 * ms + 10), 0U);
  EXPECT_EQ(counter.advance(4031 * j, 1001 * ms, 1001 * ms + 10), row::reset);
  EXPECT_EQ(counter.value(), 4010 * j);
}

TEST(Counter, AStallThatMayHideAWrapIsAmbiguous) {
  // 262144 J of range at 1000 W: 262 s.
  Counter counter(channel(range32));
  counter.advance(0, 0, 10);
  EXPECT_EQ(counter.advance(1000, 261'000 * ms, 261'000 * ms), 0U);
  EXPECT_EQ(counter.advance(2000, 261'000 * ms + 263'000 * ms, 524'000 * ms), row::ambiguous);
  EXPECT_EQ(counter.value(), 2000U);
}

TEST(Counter, GaugesPassThrough) {
  Channel gauge = channel(range32);
  gauge.kind = Kind::gauge;
  Counter counter(gauge);
  counter.advance(700, 0, 10);
  EXPECT_EQ(counter.value(), 700U);
  EXPECT_EQ(counter.advance(20, ms, ms + 10), 0U);
  EXPECT_EQ(counter.value(), 20U);
}

}  // namespace
}  // namespace wattring
