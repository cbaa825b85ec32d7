// SPDX-License-Identifier: Apache-2.0
// When a reading may tell something new, by updates that were seen.
#include "edges.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace wattring {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t period_ns = 10 * ms;

Channel publishes(Kind kind, const char* device) {
  Channel channel;
  channel.kind = kind;
  channel.unit = kind == Kind::counter ? "J" : "W";
  channel.device = device;
  channel.refresh_ns = 100 * ms;
  return channel;
}

// Reads every 10 ms for a second: the first one is new at multiples of 100 ms, the second at `t`
// with t mod 100 ms = `phase_ms`, or never (-1).
void show_a_second(Edges& edges, int phase_ms) {
  std::array<std::uint64_t, 2> readings{};
  for (std::int64_t t_ms = 0; t_ms < 1000; t_ms += 10) {
    readings[0] += t_ms % 100 == 0 ? 1 : 0;
    readings[1] += t_ms % 100 == phase_ms ? 1 : 0;
    edges.see(readings, 1 + t_ms * ms, 1 + t_ms * ms + 1000);
  }
}

TEST(EdgesTest, WhatIsNotKnownYetMayComeAtAnyTime) {
  Edges edges(std::vector{publishes(Kind::counter, "a")}, period_ns);
  EXPECT_TRUE(edges.due(50 * ms));
}

TEST(EdgesTest, ACounterIsReadAroundItsUpdates) {
  Edges edges(std::vector{publishes(Kind::counter, "a"), publishes(Kind::gauge, "a")}, period_ns);
  show_a_second(edges, 50);
  EXPECT_TRUE(edges.due(1000 * ms));
  EXPECT_FALSE(edges.due(1050 * ms)) << "the power of a device that has a counter";
  EXPECT_TRUE(edges.due(1100 * ms));
}

TEST(EdgesTest, APowerStandsInForTheCounterThatItsDeviceHasNot) {
  Edges edges(std::vector{publishes(Kind::counter, "a"), publishes(Kind::gauge, "b")}, period_ns);
  show_a_second(edges, 50);
  EXPECT_TRUE(edges.due(1000 * ms));
  EXPECT_TRUE(edges.due(1050 * ms));
  EXPECT_FALSE(edges.due(1025 * ms));
  Edges flat(std::vector{publishes(Kind::counter, "a"), publishes(Kind::gauge, "b")}, period_ns);
  show_a_second(flat, -1);
  EXPECT_TRUE(flat.due(1025 * ms)) << "a flat power may change at any time";
}

}  // namespace
}  // namespace wattring
