// SPDX-License-Identifier: Apache-2.0
// Pitfall 26: windows of one name that are open at the same time take the energy of that time once.
// Threads at random, against the definition.
#include "cover.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <random>

#include "ledger.hpp"

namespace wattring {
namespace {

// Any function that never falls.
double energy_j(std::int64_t t_ns) {
  const auto t = static_cast<double>(t_ns);
  return 1e-3 * (t + 50 * std::sin(t / 80));
}

struct Rules {
  double uncertain_j = 0;
  bool held_up = false;  // threads, between the clock and their place in the queue
  bool strays = false;   // windows outlive what they began in
  bool cancels = false;
};

struct Timed {
  std::size_t name = 0;
  std::size_t thread = 0;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::optional<std::size_t> outer = std::nullopt;  // innermost of its thread when it began
  bool is_open = false;
  bool is_counted = false;
  bool is_inside = false;
  Mark from = {};
  Nested nested = {};
};

struct Event {
  std::int64_t place;
  std::size_t run;
  bool is_end;
};

// Time that is covered, in pieces.
using Pieces = std::map<std::int64_t, int>;

void put(Pieces& pieces, const Timed& run, int times) {
  pieces[run.begin_ns] += times;
  pieces[run.end_ns] -= times;
}

struct Truth {
  std::int64_t ns = 0;
  double j = 0;
};

Truth measure(const Pieces& pieces) {
  Truth truth;
  std::int64_t last_ns = 0;
  int depth = 0;
  for (const auto& [t_ns, change] : pieces) {
    if (depth > 0) {
      truth.ns += t_ns - last_ns;
      truth.j += energy_j(t_ns) - energy_j(last_ns);
    }
    depth += change;
    last_ns = t_ns;
  }
  return truth;
}

class CoverTest : public testing::TestWithParam<Rules> {
 protected:
  void make_threads() {
    for (std::size_t thread = 0; thread < 4; ++thread) {
      std::int64_t t = pick(0, 50);
      std::vector<std::size_t> open;
      for (int step = 0; step < 60 || !open.empty(); ++step) {
        t += pick(1, 40);
        const std::int64_t held_ns = GetParam().held_up && pick(0, 3) == 0 ? pick(0, 90) : 0;
        if (step < 60 && (open.empty() || (open.size() < 6 && pick(0, 1) == 0))) {
          events_.push_back({t, runs_.size(), false});
          t += held_ns;
          open.push_back(runs_.size());
          runs_.push_back({.name = pick(0, 2) == 0 ? 0U : 1U, .thread = thread, .begin_ns = t});
        } else {
          const auto at = GetParam().strays ? pick(0, static_cast<int>(open.size()) - 1)
                                            : static_cast<int>(open.size()) - 1;
          runs_[open[static_cast<std::size_t>(at)]].end_ns = t;
          t += held_ns;
          events_.push_back({t, open[static_cast<std::size_t>(at)], true});
          open.erase(open.begin() + at);
        }
      }
    }
    std::stable_sort(events_.begin(), events_.end(),
                     [](const Event& a, const Event& b) { return a.place < b.place; });
  }
  void begin(std::size_t k) {
    Timed& run = runs_[k];
    ledger_.begin(run.name, run.begin_ns);
    run.from = mark(run.begin_ns);
    run.nested.clear(run.name, 1);
    run.is_open = true;
    std::vector<std::size_t>& open = open_[run.thread];
    if (!open.empty()) {
      run.outer = open.back();
    }
    open.push_back(k);
  }
  void end(std::size_t k) {
    Timed& run = runs_[k];
    run.is_open = false;
    std::erase(open_[run.thread], k);
    run.is_counted = !GetParam().cancels || pick(0, 4) > 0;
    if (!run.is_counted) {
      ledger_.cancel(run.name, run.begin_ns);
      return;
    }
    run.is_inside = run.outer && runs_[*run.outer].is_open;
    ledger_.add(entry(run.name), run.from, mark(run.end_ns), run.nested,
                run.is_inside ? &runs_[*run.outer].nested : nullptr);
  }
  void check(std::size_t name) {
    Pieces all;
    Pieces own;
    std::uint64_t counted = 0;
    std::int64_t summed_ns = 0;
    double summed_j = 0;
    for (const Timed& run : runs_) {
      if (run.is_counted && run.name == name) {
        ++counted;
        summed_ns += run.end_ns - run.begin_ns;
        summed_j += energy_j(run.end_ns) - energy_j(run.begin_ns);
        put(all, run, 1);
        put(own, run, 1);
      }
      if (run.is_counted && run.is_inside && runs_[*run.outer].is_counted &&
          runs_[*run.outer].name == name) {
        put(own, run, -1);
      }
    }
    const LedgerEntry& found = entry(name);
    ASSERT_EQ(found.count, counted);
    ASSERT_EQ(found.summed_ns, summed_ns);
    const Bounded inclusive = found.inclusive(0);
    const Bounded exclusive = found.exclusive(0);
    const Truth truth = measure(all);
    const Truth own_truth = measure(own);
    constexpr double rounding_j = 1e-9;
    ASSERT_LE(inclusive.lower_j, truth.j + rounding_j);
    ASSERT_GE(inclusive.upper_j, truth.j - rounding_j);
    ASSERT_LE(exclusive.lower_j, own_truth.j + rounding_j);
    ASSERT_GE(exclusive.upper_j, own_truth.j - rounding_j);
    ASSERT_LE(exclusive.value_j, inclusive.value_j + rounding_j);
    ASSERT_LE(exclusive.upper_j, inclusive.upper_j + rounding_j);
    ASSERT_GE(found.covered.ns, truth.ns);
    ASSERT_LE(found.covered.ns, summed_ns);
    ASSERT_LE(found.exclusive_ns(), found.covered.ns);
    if (!GetParam().held_up) {
      ASSERT_EQ(found.covered.ns, truth.ns);
    }
    if (GetParam().uncertain_j == 0) {
      ASSERT_NEAR(found.channels[0].summed_j.get(), summed_j, rounding_j);
      if (!GetParam().held_up) {
        ASSERT_NEAR(inclusive.value_j, truth.j, rounding_j);
        ASSERT_NEAR(inclusive.upper_j - inclusive.lower_j, 0, rounding_j);
      }
    }
    if (truth.ns == summed_ns && !GetParam().held_up) {
      ASSERT_EQ(found.overlapped, 0U);
    }
  }
  int pick(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  LedgerEntry& entry(std::size_t name) {
    LedgerEntry* known = ledger_.find(name);
    return known != nullptr ? *known : ledger_.add_name(name, "", 1);
  }
  Mark mark(std::int64_t t_ns) {
    std::uniform_real_distribution<double> off(0, GetParam().uncertain_j);
    Mark made;
    made.t_ns = t_ns;
    made.sources.resize(1);
    const double at_j = energy_j(t_ns);
    made.sources[0].standings = {{at_j - off(random_), at_j, at_j + off(random_), false}};
    made.sources[0].counts.before.readings.resize(1);
    made.sources[0].counts.through.readings.resize(1);
    return made;
  }
  void reset(unsigned seed) {
    random_.seed(seed);
    ledger_ = {};
    runs_.clear();
    events_.clear();
    open_.clear();
    make_threads();
  }
  std::mt19937_64 random_;
  Ledger ledger_;
  std::vector<Timed> runs_;
  std::vector<Event> events_;
  std::map<std::size_t, std::vector<std::size_t>> open_;
};

TEST_P(CoverTest, IsTheUnionOfTheWindowsThatCountAfterEveryEnd) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    reset(seed);
    for (const Event& event : events_) {
      if (!event.is_end) {
        begin(event.run);
        continue;
      }
      end(event.run);
      check(runs_[event.run].name);
      if (HasFatalFailure()) {
        return;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Threads, CoverTest,
    testing::Values(Rules{}, Rules{.strays = true}, Rules{.cancels = true},
                    Rules{.uncertain_j = 0.02}, Rules{.held_up = true},
                    Rules{.uncertain_j = 0.02, .strays = true, .cancels = true},
                    Rules{.uncertain_j = 0.02, .held_up = true, .strays = true, .cancels = true}));

}  // namespace
}  // namespace wattring
