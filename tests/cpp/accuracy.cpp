// SPDX-License-Identifier: Apache-2.0
// How far estimates are from the truth, and whether the bounds hold, by the length of the window:
// a counter updated 1024 times a second, 2 % late at most, sampled at 1 kHz by a sampler that is
// late, interrupted and refused now and then, under loads that the estimate knows nothing of. Some
// windows are worked out by themselves, as soon as the rows behind their ends suffice, others in
// hindsight.
//
//   accuracy [WINDOWS]        prints a table; exit status 1 if a figure is above its limit
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
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

struct Window {
  std::int64_t t0_ns;
  std::int64_t t1_ns;
};

std::vector<Window> windows_of(double length_ms, std::size_t count, std::int64_t first_ns,
                               std::mt19937_64& random) {
  const auto length_ns = static_cast<std::int64_t>(length_ms * 1e6);
  std::uniform_int_distribution<std::int64_t> begin(first_ns,
                                                    seconds * 1000 * ms - 100 * ms - length_ns);
  std::vector<Window> windows;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t t0 = begin(random);
    windows.push_back({t0, t0 + length_ns});
  }
  return windows;
}

// Where the counter stood at these times, each by the rows that there were once it was covered.
std::map<std::int64_t, Standing> settle(const simulation::Rows& made,
                                        const std::set<std::int64_t>& times) {
  std::map<std::int64_t, Standing> settled;
  Ring ring(simulation::Rows::width, 65'536);
  std::vector<KnownClock> known(1);
  const std::span<const Channel> channels(&made.channel, 1);
  auto next = times.begin();
  for (std::size_t i = 0; i < made.words.size(); i += simulation::Rows::width) {
    ring.push({&made.words[i], simulation::Rows::width});
    for (; next != times.end() && covered(ring, channels, *next); ++next) {
      settled[*next] = stand(ring, channels, *next, &known).front();
    }
  }
  return settled;
}

struct Errors {
  double median;  // in percent
  double p95;
  int outside;  // of their bounds
};

template <typename StandingAt>
Errors errors_of(const simulation::Rows& made, const simulation::Load& load,
                 const std::vector<Window>& windows, StandingAt&& standing_at) {
  std::vector<double> errors;
  int outside = 0;
  for (const Window& window : windows) {
    const Standing a = standing_at(window.t0_ns);
    const Standing b = standing_at(window.t1_ns);
    const double truth = made.truth_j(load, window.t1_ns) - made.truth_j(load, window.t0_ns);
    outside += b.lower_j - a.upper_j <= truth && truth <= b.upper_j - a.lower_j ? 0 : 1;
    errors.push_back(100 * std::abs((b.value_j - a.value_j) / truth - 1));
  }
  std::sort(errors.begin(), errors.end());
  return {errors[errors.size() / 2], errors[errors.size() * 95 / 100], outside};
}

}  // namespace

int main(int argc, char** argv) {
  const auto count = static_cast<std::size_t>(argc > 1 ? std::atoi(argv[1]) : 2000);
  const std::vector<simulation::Load> loads{
      {"square wave", square}, {"bursts", Bursts()}, {"ramp", ramp}};
  std::printf("%-12s %8s %19s %19s %10s\n", "", "", "as it is settled", "in hindsight", "");
  std::printf("%-12s %8s %9s %9s %9s %9s %10s\n", "load", "window", "median", "95 %", "median",
              "95 %", "outside");
  bool good = true;
  for (const simulation::Load& load : loads) {
    const auto made = simulation::run(load.energy, {ms, 976'562}, 1, seconds * 1000);
    Ring ring(simulation::Rows::width, 65'536);
    for (std::size_t i = 0; i < made.words.size(); i += simulation::Rows::width) {
      ring.push({&made.words[i], simulation::Rows::width});
    }
    std::mt19937_64 random(2);
    std::vector<std::vector<Window>> opened;
    std::set<std::int64_t> times;
    for (const Limit& limit : limits) {
      opened.push_back(windows_of(limit.length_ms, count, 500 * ms, random));
      for (const Window& window : opened.back()) {
        times.insert({window.t0_ns, window.t1_ns});
      }
    }
    const std::map<std::int64_t, Standing> settled = settle(made, times);
    std::vector<KnownClock> known(1);
    for (std::size_t l = 0; l < limits.size(); ++l) {
      const Limit& limit = limits[l];
      const Errors live =
          errors_of(made, load, opened[l], [&](std::int64_t t_ns) { return settled.at(t_ns); });
      const Errors later = errors_of(
          made, load, windows_of(limit.length_ms, count, 500 * ms, random),
          [&](std::int64_t t_ns) { return stand(ring, {&made.channel, 1}, t_ns, &known).front(); });
      const bool over = limit.median > 0 && (std::max(live.median, later.median) > limit.median ||
                                             std::max(live.p95, later.p95) > limit.p95);
      const int outside = live.outside + later.outside;
      good = good && outside == 0 && !over;
      std::printf("%-12s %5.1f ms %7.3f %% %7.3f %% %7.3f %% %7.3f %% %10d%s\n", load.name,
                  limit.length_ms, live.median, live.p95, later.median, later.p95, outside,
                  over ? "  OVER" : "");
    }
  }
  return good ? 0 : 1;
}
