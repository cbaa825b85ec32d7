// SPDX-License-Identifier: Apache-2.0
// The clock of a counter's updates, found from polls that see each of them only to a millisecond.
#include "update_clock.hpp"

#include <cmath>
#include <random>

#include "simulation.hpp"
#include "support.hpp"

namespace wattring {
namespace {

using simulation::Timing;

constexpr std::int64_t refresh = 976'562;

const simulation::Load& square() { return simulation::loads()[0]; }

std::optional<UpdateClock> clock_of(const simulation::Rows& made, std::size_t first,
                                    std::size_t count,
                                    const std::optional<UpdateClock>& known = std::nullopt) {
  const std::size_t width = simulation::Rows::width;
  const Rows rows(std::span(made.words).subspan(first * width, count * width), width);
  if (known) {
    return follow_clock(rows, 0, 1, *known);
  }
  ClockFinder finder(rows, 0, made.channel, 1);
  while (finder.step()) {
  }
  return finder.result();
}

// Simulated updates are at k × refresh, and up to 2 % of that late: 1 % in the mean.
double phase_error_ns(const UpdateClock& clock, double refresh_ns) {
  const double off = static_cast<double>(clock.phase_ns) / refresh_ns - 0.01;
  return std::abs(off - std::round(off)) * refresh_ns;
}

class Found : public testing::TestWithParam<double> {};

INSTANTIATE_TEST_SUITE_P(Powers, Found, testing::Values(3.0, 50.0, 200.0));

TEST_P(Found, UnderAnyConstantPower) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    const auto made =
        simulation::run(simulation::constant(GetParam()).energy, {ms, refresh}, seed, 1400);
    const auto clock = clock_of(made, 100, 1024);
    ASSERT_TRUE(clock) << seed;
    EXPECT_NEAR(clock->period_ns, refresh, 200);
    EXPECT_LT(phase_error_ns(*clock, refresh), 60'000);
  }
}

TEST(UpdateClock, IsFoundUnderALoadThatChanges) {
  int found = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const auto made = simulation::run(square().energy, {ms, refresh}, seed, 1400);
    if (const auto clock = clock_of(made, 100, 1024)) {
      ++found;
      EXPECT_NEAR(clock->period_ns, refresh, 200);
      EXPECT_LT(phase_error_ns(*clock, refresh), 60'000);
    }
  }
  EXPECT_GT(found, 10);
}

TEST(UpdateClock, AKnownOneIsCarriedOnByAFewRows) {
  const auto made = simulation::run(square().energy, {ms, refresh}, 3, 3000);
  auto clock = clock_of(made, 100, 1024);
  ASSERT_TRUE(clock);
  for (std::size_t first = 1000; first + 256 < 2700; first += 64) {
    clock = clock_of(made, first, 256, clock);
    ASSERT_TRUE(clock) << first;
    ASSERT_LT(phase_error_ns(*clock, refresh), 60'000) << first;
  }
}

// A sampler that the machine holds up for a tenth of a second still has quick polls on either side.
TEST(UpdateClock, IsFoundAndCarriedOnAcrossAHole) {
  auto made = simulation::run(square().energy, {ms, refresh}, 3, 3000);
  const auto row = [&](std::size_t i) {
    return made.words.begin() + static_cast<std::ptrdiff_t>(i * simulation::Rows::width);
  };
  made.words.erase(row(1800), row(1900));
  made.words.erase(row(500), row(1100));
  auto clock = clock_of(made, 100, 1024);
  ASSERT_TRUE(clock);
  EXPECT_LT(phase_error_ns(*clock, refresh), 60'000);
  for (std::size_t first = 1000; first + 128 < 1400; first += 32) {
    clock = clock_of(made, first, 128, clock);
    ASSERT_TRUE(clock) << first;
    ASSERT_LT(phase_error_ns(*clock, refresh), 60'000) << first;
  }
}

// Polls that come on time slide past the updates by the same small step each, so that several in a
// row lie too near to one to be placed by the clock.
TEST(UpdateClock, IsCarriedOnWhenNothingDisturbsThePolls) {
  for (const std::int64_t period : {ms, ms - 3 * us, ms + 4 * us}) {
    const simulation::Timing timing{period, 976'000, ms, 0.02, true};
    const auto made = simulation::run(square().energy, timing, 1, 5000);
    auto clock = clock_of(made, 0, 640);
    ASSERT_TRUE(clock) << period;
    for (std::size_t first = 192; first + 384 < 5000; first += 256) {
      clock = clock_of(made, first, 384, clock);
      ASSERT_TRUE(clock) << period << ' ' << first;
      const double off = static_cast<double>(clock->phase_ns) / 976'000;
      ASSERT_LT(std::abs(off - std::round(off)) * 976'000, 15'000) << period << ' ' << first;
    }
  }
}

TEST(UpdateClock, OfAKnownPeriodThePhaseIsFoundFarAway) {
  const auto made = simulation::run(square().energy, {ms, refresh}, 3, 20'000);
  const auto clock = clock_of(made, 100, 1024);
  ASSERT_TRUE(clock);
  int found = 0;
  for (std::size_t first = 5000; first + 256 < 18'000; first += 500) {
    if (const auto there = clock_of(made, first, 256, clock)) {
      ++found;
      EXPECT_LT(phase_error_ns(*there, refresh), 60'000) << first;
    }
  }
  EXPECT_GT(found, 20);
}

TEST(UpdateClock, FastPollsSeeItToo) {
  const auto made = simulation::run(square().energy, {250 * us, ms}, 1, 2000);
  const auto clock = clock_of(made, 50, 512);
  ASSERT_TRUE(clock);
  EXPECT_LT(phase_error_ns(*clock, 1e6), 30'000);
}

TEST(UpdateClock, ThinEvidenceGivesNone) {
  const Timing usual{ms, refresh};
  const auto none = [](const simulation::Rows& made, std::size_t count) {
    return !clock_of(made, 50, count);
  };
  EXPECT_TRUE(none(simulation::run(square().energy, usual, 1), 200)) << "few rows";
  EXPECT_TRUE(none(simulation::run([](double) { return 0.0; }, usual, 1, 1200), 1024)) << "idle";
  EXPECT_TRUE(none(simulation::run([](double t) { return 0.1 * t; }, usual, 1, 1200), 1024))
      << "about a unit per refresh";
  EXPECT_TRUE(none(simulation::run(square().energy, {7 * ms, ms}, 1, 1200), 1024)) << "slow polls";
}

TEST(UpdateClock, PollsAtTheVeryPeriodTellNothing) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    const auto made = simulation::run(simulation::constant(50).energy, {ms, ms}, seed, 1200);
    EXPECT_FALSE(clock_of(made, 50, 1024)) << seed;
  }
}

// Unless some are made at the updates: between two others that are less than two periods apart,
// such a poll shows on which side of it the one update was.
TEST(UpdateClock, IsFoundWherePollsFollowTheUpdates) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> off_ns(-15e3, 15e3);
  simulation::Rows made;
  made.channel.refresh_ns = ms;
  const auto poll = [&](double t_ns) {
    const auto begin = static_cast<std::uint64_t>(t_ns);
    const auto updates = static_cast<std::uint64_t>(t_ns / refresh);
    made.words.insert(made.words.end(), {begin, begin + 2000, 0, 800 * updates});
  };
  for (int k = 100; k < 1100; ++k) {
    if (k % 8 == 0) {
      poll(refresh * k + off_ns(random));
    }
    poll(refresh * (k + 0.5) + off_ns(random));
  }
  const auto clock = clock_of(made, 0, 1024);
  ASSERT_TRUE(clock);
  EXPECT_NEAR(clock->period_ns, refresh, 50);
  const double late_ns = std::remainder(static_cast<double>(clock->phase_ns), refresh);
  EXPECT_LT(std::abs(late_ns), 10'000);
}

TEST(UpdateClock, NoneIsBetterThanAWrongOne) {
  // Polls at nearly the period of the updates slide past them but once or twice in all.
  for (const std::int64_t near : {994'000, 997'766, 1'003'000}) {
    for (unsigned seed = 0; seed < 20; ++seed) {
      auto made = simulation::run(simulation::constant(50).energy, {ms, near}, seed, 1200);
      made.channel.refresh_ns = ms;
      const auto clock = clock_of(made, 50, 1024);
      EXPECT_TRUE(!clock || phase_error_ns(*clock, static_cast<double>(near)) < 100'000)
          << near << ' ' << seed;
    }
  }
}

TEST(UpdateClock, DatedUpdatesAreWhereTheyWere) {
  const auto made = simulation::run(square().energy, {ms, refresh}, 3, 1400);
  const auto clock = clock_of(made, 100, 1024);
  ASSERT_TRUE(clock);
  const Rows rows = made.view();
  const auto updates = date_updates(rows, 0, 1, *clock);
  EXPECT_GT(updates.size(), rows.size() * 3 / 4);
  std::vector<double> errors_ns;
  for (std::size_t i = 0; i < updates.size(); ++i) {
    const double t_s = (updates[i].t_ns + static_cast<double>(rows.t_begin(0))) * 1e-9;
    ASSERT_TRUE(i == 0 || updates[i].t_ns > updates[i - 1].t_ns);
    ASSERT_TRUE(i == 0 || updates[i].value >= updates[i - 1].value);
    const double off_j =
        square().energy(t_s) - made.base_j - static_cast<double>(updates[i].value) / 16384;
    errors_ns.push_back(std::abs(off_j) / 80 * 1e9);
  }
  std::sort(errors_ns.begin(), errors_ns.end());
  EXPECT_LT(errors_ns[errors_ns.size() / 2], 40'000);
  EXPECT_LT(errors_ns[errors_ns.size() * 98 / 100], 100'000);
}

// Those that are polled next to their update as well, before any later poll tells.
TEST(UpdateClock, DatesTheNewestUpdates) {
  const auto made =
      simulation::run(simulation::constant(50).energy, {ms, 976'000, 0, 0, true}, 1, 1400);
  const auto clock = clock_of(made, 0, 1024);
  ASSERT_TRUE(clock);
  const std::size_t width = simulation::Rows::width;
  for (std::size_t end = 700; end < 900; ++end) {
    const Rows rows(std::span(made.words).subspan((end - 256) * width, 256 * width), width);
    const auto updates = date_updates(rows, 0, 1, *clock);
    ASSERT_FALSE(updates.empty()) << end;
    const double newest_ns = updates.back().t_ns + static_cast<double>(rows.t_begin(0));
    EXPECT_LT(static_cast<double>(rows.t_end(255)) - newest_ns, 1'020'000) << end;
    EXPECT_LT(std::abs(std::remainder(newest_ns, 976'000)), 20'000) << end;
    const double at_j = made.base_j + static_cast<double>(updates.back().value) / 16384;
    EXPECT_NEAR(at_j / 50 * 1e9, newest_ns, 25'000) << end;
  }
}

TEST(UpdateClock, RowsThatContradictItDateNothing) {
  const auto made = simulation::run(square().energy, {250 * us, ms}, 1, 2000);
  auto clock = clock_of(made, 50, 512);
  ASSERT_TRUE(clock);
  EXPECT_FALSE(date_updates(made.view(), 0, 1, *clock).empty());
  clock->phase_ns += 500 * us;
  EXPECT_TRUE(date_updates(made.view(), 0, 1, *clock).empty());
}

TEST(KnownClock, TooFewRowsAreNoFailedSearch) {
  const auto made = simulation::run(simulation::constant(50).energy, {ms, refresh}, 1, 1200);
  const std::size_t width = simulation::Rows::width;
  KnownClock known;
  EXPECT_FALSE(
      known.look(Rows(std::span(made.words).first(100 * width), width), 0, made.channel, 1));
  EXPECT_EQ(known.search_again_ns, 0);
  EXPECT_TRUE(known.look(made.view(), 0, made.channel, 1)) << "as soon as there are enough";
}

TEST(KnownClock, IsSearchedForAgainAfterPausesThatGrow) {
  const auto made = simulation::run([](double) { return 0.0; }, {ms, ms}, 1, 1200);
  KnownClock known;
  EXPECT_FALSE(known.look(made.view(), 0, made.channel, 1));
  std::int64_t newest = made.view().t_end(made.view().size() - 1);
  for (std::int64_t pause : {500, 1000, 2000, 4000, 8000, 8000}) {
    EXPECT_FALSE(known.may_search(newest + pause * ms - 1));
    newest += pause * ms;
    EXPECT_TRUE(known.may_search(newest));
    EXPECT_FALSE(known.take(std::nullopt, newest));
  }
  EXPECT_TRUE(known.take(UpdateClock{}, newest));
  for (int i = 0; known.clock; ++i) {
    ASSERT_LT(i, KnownClock::most_failures) << "a clock that is of no more use is kept";
    EXPECT_FALSE(known.take(std::nullopt, newest));
  }
  EXPECT_TRUE(known.may_search(newest + 500 * ms)) << "as soon as the first time";
}

}  // namespace
}  // namespace wattring
