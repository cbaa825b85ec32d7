// SPDX-License-Identifier: Apache-2.0
#include "simulation.hpp"

#include <cmath>
#include <random>

namespace wattring::simulation {
namespace {

constexpr double unit_j = 1.0 / 16384;
constexpr std::int64_t ms = 1'000'000;

double square(double t_s, double low_w, double high_w, double period_s) {
  const double whole = std::floor(t_s / period_s);
  const double rest_s = t_s - whole * period_s;
  return whole * period_s / 2 * (low_w + high_w) + low_w * std::min(rest_s, period_s / 2) +
         high_w * std::max(rest_s - period_s / 2, 0.0);
}

}  // namespace

Load constant(double power_w) {
  return {"constant", [power_w](double t_s) { return power_w * t_s; }};
}

const std::vector<Load>& loads() {
  static const std::vector<Load> all{
      {"square", [](double t_s) { return square(t_s, 20, 80, 0.05); }},
      {"bursts", [](double t_s) { return square(t_s, 0, 300, 0.004); }},
      {"rare bursts", [](double t_s) { return square(t_s, 0, 200, 0.09); }},
      {"ramp", [](double t_s) { return 10 * t_s + 100 * t_s * t_s; }},
      {"nothing", [](double) { return 0.0; }},
      {"less than a unit per refresh", [](double t_s) { return 0.01 * t_s; }},
  };
  return all;
}

const std::vector<Timing>& timings() {
  static const std::vector<Timing> all{
      {ms, 976'000}, {ms, ms},      {250'000, ms},         {50'000, ms},
      {7 * ms, ms},  {ms, 20 * ms}, {ms, 976'000, 3 * ms}, {ms, 1'300'000, ms},
  };
  return all;
}

Rows run(const Energy& energy, Timing timing, unsigned seed, int polls) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  const auto up_to = [&](double most_ns) {
    return static_cast<std::int64_t>(most_ns * uniform(random));
  };
  Rows made;
  made.channel.name = "package-0";
  made.channel.scale = unit_j;
  made.channel.modulus = std::uint64_t{1} << 32;
  made.channel.refresh_ns =
      timing.stated_refresh_ns > 0 ? timing.stated_refresh_ns : timing.refresh_ns;
  const auto latest_ns =
      timing.undisturbed
          ? 1
          : static_cast<std::int64_t>(timing.jitter * static_cast<double>(timing.refresh_ns));
  const auto updated = [&](std::int64_t k) {
    const auto hash = static_cast<std::uint64_t>(k) * 0x9E3779B97F4A7C15U + seed;
    return k * timing.refresh_ns + static_cast<std::int64_t>(hash >> 40) % latest_ns;
  };
  std::uint64_t base = 0;
  std::uint64_t held = 0;
  std::int64_t last_end = 0;
  for (int i = 0; i < polls; ++i) {
    const bool late = uniform(random) < 0.02 && !timing.undisturbed;
    const bool interrupted = uniform(random) < 0.02 && !timing.undisturbed;
    const std::int64_t begin = 10 * ms + i * timing.period_ns +
                               up_to(late                 ? 5e6
                                     : timing.undisturbed ? 4e3
                                                          : 3e4);
    if (begin <= last_end) {
      continue;  // the one before has taken this one's place
    }
    const std::int64_t read = begin + up_to(interrupted ? 2e6 : 2e3);
    last_end = read + up_to(interrupted ? 2e6 : 2e3);
    std::int64_t k = read / timing.refresh_ns;
    if (updated(k) > read) {
      --k;
    }
    const auto value =
        static_cast<std::uint64_t>(energy(static_cast<double>(updated(k)) * 1e-9) / unit_j);
    const bool first = made.words.empty();
    if (first) {
      base = value;
      made.base_j = static_cast<double>(base) * unit_j;
    }
    const bool failed = !first && uniform(random) < 0.03 && !timing.undisturbed;
    held = failed ? held : value - base;
    made.words.insert(made.words.end(),
                      {static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(last_end),
                       failed ? row::failed | row::channel_bit(0) : 0, held});
  }
  return made;
}

}  // namespace wattring::simulation
