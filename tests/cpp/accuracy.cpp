// SPDX-License-Identifier: Apache-2.0
// How far estimates are from the truth, and whether the bounds hold, by the length of the window:
// a counter updated 1024 times a second, 2 % late at most, sampled at 1 kHz by a sampler that is
// late, interrupted and refused now and then, under loads that the estimate knows nothing of.
//
//   accuracy [WINDOWS]        prints a table; exit status 1 if a figure is above its limit
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "estimate.hpp"
#include "simulation.hpp"

namespace {

using namespace wattring;

constexpr std::int64_t ms = 1'000'000;
constexpr int seconds = 30;

struct Limit {
  double length_ms;
  double median;  // of the error, in percent; 0: none
  double p95;
};
constexpr std::array limits{Limit{0.5, 0, 0},    Limit{2, 1.5, 6},       Limit{10, 0.3, 1.5},
                            Limit{50, 0.1, 0.4}, Limit{200, 0.03, 0.12}, Limit{1000, 0.01, 0.03}};

double square(double t_s) {
  constexpr double period_s = 0.237;
  const double rest_s = std::fmod(t_s, period_s);
  return std::floor(t_s / period_s) * period_s * 50 + 20 * std::min(rest_s, period_s / 2) +
         80 * std::max(rest_s - period_s / 2, 0.0);
}

double ramp(double t_s) {
  constexpr double period_s = 0.4;
  const double rest_s = std::fmod(t_s, period_s);
  return std::floor(t_s / period_s) * period_s * 55 + 10 * rest_s +
         90 * rest_s * rest_s / (2 * period_s);
}

// Power that stays for a random while at a random height.
class Bursts {
 public:
  Bursts() {
    std::mt19937_64 random(5);
    std::exponential_distribution<double> length_s(1 / 0.06);
    std::uniform_real_distribution<double> uniform(0, 1);
    while (begins_s_.back() < seconds + 1) {
      const double power_w =
          uniform(random) < 0.4 ? 60 + 90 * uniform(random) : 15 + 25 * uniform(random);
      const double long_s = length_s(random);
      begins_s_.push_back(begins_s_.back() + long_s);
      energies_j_.push_back(energies_j_.back() + power_w * long_s);
    }
  }
  double operator()(double t_s) const {
    const auto after = std::upper_bound(begins_s_.begin(), begins_s_.end(), t_s);
    const auto i = static_cast<std::size_t>(after - begins_s_.begin());
    const double part = (t_s - begins_s_[i - 1]) / (begins_s_[i] - begins_s_[i - 1]);
    return energies_j_[i - 1] + part * (energies_j_[i] - energies_j_[i - 1]);
  }

 private:
  std::vector<double> begins_s_{0};
  std::vector<double> energies_j_{0};
};

}  // namespace

int main(int argc, char** argv) {
  const auto windows = static_cast<std::size_t>(argc > 1 ? std::atoi(argv[1]) : 2000);
  const std::vector<simulation::Load> loads{
      {"square wave", square}, {"bursts", Bursts()}, {"ramp", ramp}};
  std::printf("%-12s %10s %14s %14s %10s\n", "load", "window", "median error", "95 % below",
              "outside");
  bool good = true;
  for (const simulation::Load& load : loads) {
    const auto made = simulation::run(load.energy, {ms, 976'562}, 1, seconds * 1000);
    Ring ring(simulation::Rows::width, 65'536);
    for (std::size_t i = 0; i < made.words.size(); i += simulation::Rows::width) {
      ring.push({&made.words[i], simulation::Rows::width});
    }
    std::vector<KnownClock> known(1);
    const std::span<const Channel> channels(&made.channel, 1);
    std::mt19937_64 random(2);
    for (const Limit& limit : limits) {
      const auto length_ns = static_cast<std::int64_t>(limit.length_ms * 1e6);
      std::uniform_int_distribution<std::int64_t> begin(500 * ms,
                                                        seconds * 1000 * ms - 100 * ms - length_ns);
      std::vector<double> errors;
      int outside = 0;
      for (std::size_t i = 0; i < windows; ++i) {
        const std::int64_t t0 = begin(random);
        const std::int64_t t1 = t0 + length_ns;
        const Standing a = stand(ring, channels, t0, &known).front();
        const Standing b = stand(ring, channels, t1, &known).front();
        const double truth = made.truth_j(load, t1) - made.truth_j(load, t0);
        outside += b.lower_j - a.upper_j <= truth && truth <= b.upper_j - a.lower_j ? 0 : 1;
        errors.push_back(100 * std::abs((b.value_j - a.value_j) / truth - 1));
      }
      std::sort(errors.begin(), errors.end());
      const double median = errors[windows / 2];
      const double p95 = errors[windows * 95 / 100];
      const bool over = limit.median > 0 && (median > limit.median || p95 > limit.p95);
      good = good && outside == 0 && !over;
      std::printf("%-12s %7.1f ms %12.3f %% %12.3f %% %10d%s\n", load.name, limit.length_ms, median,
                  p95, outside, over ? "  OVER" : "");
    }
  }
  return good ? 0 : 1;
}
