// SPDX-License-Identifier: Apache-2.0
// What the budget for the driver costs in accuracy: eight GPUs, each read in 0.2 ms, so that
// polling them every 19 ms would take 8 % of the time; windows of 0.2, 1 and 5 s one after the
// other, and a pause of 6 s. The parts of the sampler that decide when to read do so here, in
// simulated time.
//
//   gpu_budget [ROUNDS]       prints a table; exit status 1 if a figure is above its limit
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "counter.hpp"
#include "estimate.hpp"
#include "gpu_simulation.hpp"
#include "pacing.hpp"
#include "timeline.hpp"

namespace {

using namespace wattring;
using namespace wattring::gpu_simulation;

constexpr std::size_t gpus = 8;
constexpr std::int64_t call_ns = ms / 5;
constexpr std::int64_t period_ns = 19 * ms;
constexpr std::int64_t begin_ns = 20'000 * ms;
constexpr double share = 0.005;

struct Window {
  std::size_t length;  // which
  std::int64_t t0_ns;
  std::int64_t t1_ns;
};

struct Limit {
  double length_s;
  double median;  // of the error, in percent
  double p95;
};
constexpr std::array limits{Limit{0.2, 10, 30}, Limit{1, 1.5, 4}, Limit{5, 0.3, 0.8}};

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 100;
  std::mt19937_64 random(3);
  std::uniform_int_distribution<std::int64_t> phase(0, refresh_ns - 1);
  std::uniform_int_distribution<std::int64_t> late(0, ms / 10);
  const std::vector<Load> all = loads();
  std::vector<Channel> channels(gpus, channel(Kind::counter));
  std::vector<Sensor> sensors;
  std::vector<Counter> counters;
  for (std::size_t i = 0; i < gpus; ++i) {
    sensors.emplace_back(all[i].energy, phase(random), 0);
    counters.emplace_back(channels[i]);
  }
  std::vector<Window> windows;
  std::vector<std::int64_t> marks;
  std::int64_t t_ns = begin_ns + 2000 * ms;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t l = 0; l < limits.size(); ++l) {
      const std::int64_t t0 = t_ns + phase(random);
      t_ns = t0 + static_cast<std::int64_t>(limits[l].length_s * 1e9);
      windows.push_back({l, t0, t_ns});
      marks.insert(marks.end(), {t0, t_ns});
    }
    t_ns += 6000 * ms;
  }
  Pacing pacing(channels, share, period_ns);
  Ring ring(row::first_reading + gpus, 65'536);
  std::vector<std::uint64_t> words;
  std::size_t settled = 0;  // marks
  double spent_ns = 0;
  const std::int64_t end_ns = t_ns;
  for (std::int64_t t = begin_ns; t < end_ns; t += period_ns) {
    const std::int64_t begin = t + late(random);
    const bool urgent = settled < marks.size() && marks[settled] < begin;
    if (!pacing.may_read(begin, urgent, ring)) {
      continue;
    }
    const std::int64_t end = begin + static_cast<std::int64_t>(gpus) * call_ns;
    spent_ns += static_cast<double>(end - begin);
    const std::size_t row = words.size();
    words.insert(words.end(),
                 {static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end), 0});
    for (std::size_t i = 0; i < gpus; ++i) {
      const std::int64_t read = begin + static_cast<std::int64_t>(i) * call_ns;
      counters[i].advance(static_cast<std::uint64_t>(sensors[i].joules(read) * 1e3), begin, end);
      words.push_back(counters[i].value());
    }
    pacing.see(std::span(words).subspan(row + row::first_reading), begin, end);
    ring.push(std::span(words).subspan(row));
    while (settled < marks.size() && marks[settled] < begin &&
           covered(ring, pacing.channels(), marks[settled])) {
      ++settled;
    }
  }
  const Timeline timeline(Rows(words, row::first_reading + gpus), channels);
  std::array<std::vector<double>, limits.size()> errors;
  int outside = 0;
  for (const Window& window : windows) {
    const auto energies = timeline.energy(window.t0_ns, window.t1_ns);
    for (std::size_t i = 0; i < gpus; ++i) {
      const double truth = all[i].energy(static_cast<double>(window.t1_ns) * 1e-9) -
                           all[i].energy(static_cast<double>(window.t0_ns) * 1e-9);
      errors[window.length].push_back(100 * std::abs(energies[i].value_j / truth - 1));
      outside += energies[i].lower_j <= truth && truth <= energies[i].upper_j ? 0 : 1;
    }
  }
  const double spent = 100 * spent_ns / static_cast<double>(end_ns - begin_ns);
  bool good = outside == 0 && spent < 100 * share;
  std::printf("%.3f %% of the time inside the driver, %d of %zu outside their bounds\n", spent,
              outside, windows.size() * gpus);
  std::printf("%8s %14s %12s\n", "window", "median error", "95 % below");
  for (std::size_t l = 0; l < limits.size(); ++l) {
    std::sort(errors[l].begin(), errors[l].end());
    const double median = errors[l][errors[l].size() / 2];
    const double p95 = errors[l][errors[l].size() * 95 / 100];
    const bool over = median > limits[l].median || p95 > limits[l].p95;
    good = good && !over;
    std::printf("%6.1f s %12.2f %% %10.2f %%%s\n", limits[l].length_s, median, p95,
                over ? "  OVER" : "");
  }
  return good ? 0 : 1;
}
