// SPDX-License-Identifier: Apache-2.0
// How far a GPU's energies are from the truth, and whether the bounds hold, by what they come from
// and by the length of the window: sensors as on an H100 (a counter every 100 ms, the mean of 25 of
// each 100 ms, the mean of the last second every 100 ms, updates 1 ms late at most), polled as the
// sampler does, under square waves and bursts of 50 to 700 W. Beside them what most meters do: the
// averaged power, polled ten times a second, as if it were momentary.
//
//   gpu_accuracy [WINDOWS]    prints a table; exit status 1 if a figure is above its limit
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "counter.hpp"
#include "gpu_simulation.hpp"
#include "integrator.hpp"
#include "timeline.hpp"

namespace {

using namespace wattring;
using namespace wattring::gpu_simulation;

constexpr std::int64_t length_ns = 130'000 * ms;
constexpr std::int64_t begin_ns = 20'000 * ms;
constexpr std::int64_t period_ns = 19 * ms;

enum Method { counter, instant, average, naive, methods };
constexpr std::array method_names{"counter", "integral of instantaneous power",
                                  "integral of averaged power", "averaged power as if momentary"};
constexpr std::array<std::size_t, 3> column{0, 1, 3};

struct Limit {
  double length_s;
  std::array<double, methods> median;  // of the error, in percent; 0: none
  std::array<double, methods> p95;
};
constexpr std::array limits{Limit{0.2, {10, 0, 0, 0}, {30, 0, 0, 0}},
                            Limit{1, {1.5, 0, 0, 0}, {4, 0, 0, 0}},
                            Limit{5, {0.3, 0, 3, 0}, {0.8, 0, 3, 0}}};

// The rows that a sampler takes of all three sensors.
std::vector<std::uint64_t> sample(const Energy& energy, const std::vector<Channel>& channels,
                                  unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> phase(0, refresh_ns - 1);
  std::uniform_int_distribution<std::int64_t> late(0, ms / 10);
  const Sensor counted(energy, phase(random), 0);
  const std::int64_t power_phase = phase(random);
  const Sensor momentary(energy, power_phase, 25 * ms);
  const Sensor averaged(energy, power_phase, 1000 * ms);
  Counter cumulative(channels[0]);
  Integrator of_instant(channels[1]);
  Integrator of_average(channels[3]);
  std::vector<std::uint64_t> words;
  for (std::int64_t t_ns = begin_ns; t_ns < begin_ns + length_ns; t_ns += period_ns) {
    const std::int64_t begin = t_ns + late(random);
    const std::int64_t end = begin + ms / 20;
    cumulative.advance(static_cast<std::uint64_t>(counted.joules(begin) * 1e3), begin, end);
    of_instant.advance(static_cast<std::uint64_t>(momentary.watts(begin) * 1e6), begin, end);
    of_average.advance(static_cast<std::uint64_t>(averaged.watts(begin) * 1e6), begin, end);
    words.insert(words.end(), {static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end),
                               0, cumulative.value(), of_instant.value(), of_instant.variance(),
                               of_average.value(), of_average.variance()});
  }
  return words;
}

double integrated_naively(const Energy& energy, std::int64_t t0_ns, std::int64_t t1_ns) {
  const Sensor averaged(energy, 0, 1000 * ms);
  double joules = 0;
  for (std::int64_t t_ns = t0_ns; t_ns < t1_ns; t_ns += 100 * ms) {
    joules += averaged.watts(t_ns) * static_cast<double>(std::min(100 * ms, t1_ns - t_ns)) * 1e-9;
  }
  return joules;
}

struct Found {
  std::vector<double> errors;  // percent of the truth
  int outside = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto windows = static_cast<std::size_t>(argc > 1 ? std::atoi(argv[1]) : 1000);
  const std::vector<Channel> channels{channel(Kind::counter), channel(Kind::integral, 25 * ms),
                                      channel(Kind::variance), channel(Kind::integral, 1000 * ms),
                                      channel(Kind::variance)};
  std::array<std::array<Found, methods>, limits.size()> found;
  unsigned seed = 1;
  for (const Load& load : loads()) {
    const std::vector<std::uint64_t> words = sample(load.energy, channels, ++seed);
    const Timeline timeline(Rows(words, row::first_reading + channels.size()), channels);
    std::mt19937_64 random(seed);
    for (std::size_t l = 0; l < limits.size(); ++l) {
      const auto length = static_cast<std::int64_t>(limits[l].length_s * 1e9);
      std::uniform_int_distribution<std::int64_t> begin(begin_ns + 5000 * ms,
                                                        begin_ns + length_ns - 5000 * ms - length);
      for (std::size_t i = 0; i < windows; ++i) {
        const std::int64_t t0 = begin(random);
        const std::int64_t t1 = t0 + length;
        const double truth = load.energy(static_cast<double>(t1) * 1e-9) -
                             load.energy(static_cast<double>(t0) * 1e-9);
        const auto energies = timeline.energy(t0, t1);
        for (int m = 0; m < methods; ++m) {
          Found& of = found[l][static_cast<std::size_t>(m)];
          const double value = m == naive ? integrated_naively(load.energy, t0, t1)
                                          : energies[column[static_cast<std::size_t>(m)]].value_j;
          of.errors.push_back(100 * std::abs(value / truth - 1));
          if (m != naive) {
            const ChannelEnergy& energy = energies[column[static_cast<std::size_t>(m)]];
            of.outside += energy.lower_j <= truth && truth <= energy.upper_j ? 0 : 1;
          }
        }
      }
    }
  }
  bool good = true;
  std::printf("%-32s %8s %14s %12s %16s\n", "from", "window", "median error", "95 % below",
              "outside bounds");
  for (int m = 0; m < methods; ++m) {
    const auto method = static_cast<std::size_t>(m);
    for (std::size_t l = 0; l < limits.size(); ++l) {
      Found& of = found[l][method];
      std::sort(of.errors.begin(), of.errors.end());
      const double median = of.errors[of.errors.size() / 2];
      const double p95 = of.errors[of.errors.size() * 95 / 100];
      const double outside = 100.0 * of.outside / static_cast<double>(of.errors.size());
      const Limit& limit = limits[l];
      const bool over = (limit.median[method] > 0 &&
                         (median > limit.median[method] || p95 > limit.p95[method])) ||
                        (m == counter && of.outside > 0);
      good = good && !over;
      std::printf("%-32s %6.1f s %12.2f %% %10.2f %% %14s%s\n", method_names[method],
                  limit.length_s, median, p95,
                  m == naive ? "-" : (std::to_string(outside).substr(0, 4) + " %").c_str(),
                  over ? "  OVER" : "");
    }
  }
  return good ? 0 : 1;
}
