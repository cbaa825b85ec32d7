// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "channel.hpp"

// GPUs of a known energy at every instant, and their sensors.
namespace wattring::gpu_simulation {

inline constexpr std::int64_t ms = 1'000'000;
inline constexpr std::int64_t refresh_ns = 100 * ms;

using Energy = std::function<double(double t_s)>;  // joules until t

inline Energy bursts(double period_s, double duty) {
  return [=](double t_s) {
    constexpr double low_w = 50;
    constexpr double high_w = 700;
    const double whole = std::floor(t_s / period_s);
    const double rest_s = t_s - whole * period_s;
    const double high_s = whole * period_s * duty + std::min(rest_s, period_s * duty);
    return low_w * (t_s - high_s) + high_w * high_s;
  };
}

// 50 or 700 W for a while at random.
inline Energy at_random(double mean_s, double until_s = 200) {
  std::mt19937_64 random(5);
  std::exponential_distribution<double> long_s(1 / mean_s);
  std::vector<double> begins{0};
  std::vector<double> energies{0};
  for (bool high = false; begins.back() < until_s; high = !high) {
    const double s = long_s(random);
    begins.push_back(begins.back() + s);
    energies.push_back(energies.back() + s * (high ? 700 : 50));
  }
  return [=](double t_s) {
    const auto after = std::upper_bound(begins.begin(), begins.end(), t_s);
    const auto i = static_cast<std::size_t>(after - begins.begin());
    const double part = (t_s - begins[i - 1]) / (begins[i] - begins[i - 1]);
    return energies[i - 1] + part * (energies[i] - energies[i - 1]);
  };
}

struct Load {
  std::string name;
  Energy energy;
};

inline std::vector<Load> loads() {
  std::vector<Load> all;
  for (const double period_s : {0.07, 0.23, 0.5, 0.83, 2.1, 6.3}) {
    all.push_back(
        {"square, " + std::to_string(period_s).substr(0, 4) + " s", bursts(period_s, 0.5)});
  }
  all.push_back({"bursts, 1 s, 20 %", bursts(1.07, 0.2)});
  all.push_back({"bursts, 3 s, 10 %", bursts(3.1, 0.1)});
  all.push_back({"at random, 0.5 s", at_random(0.5)});
  return all;
}

// A sensor that publishes, late now and then, from a phase of its own.
class Sensor {
 public:
  Sensor(const Energy& energy, std::int64_t phase_ns, std::int64_t window_ns)
      : energy_(energy), phase_ns_(phase_ns), window_ns_(window_ns) {}
  double joules(std::int64_t t_ns) const { return energy_(seconds(update_before(t_ns))); }
  double watts(std::int64_t t_ns) const {
    const std::int64_t update = update_before(t_ns);
    return (energy_(seconds(update)) - energy_(seconds(update - window_ns_))) / seconds(window_ns_);
  }

 private:
  static double seconds(std::int64_t ns) { return static_cast<double>(ns) * 1e-9; }
  std::int64_t updated(std::int64_t k) const {
    const auto hash = static_cast<std::uint64_t>(k) * 0x9E3779B97F4A7C15U;
    return k * refresh_ns + phase_ns_ + static_cast<std::int64_t>(hash >> 40) % ms;
  }
  std::int64_t update_before(std::int64_t t_ns) const {
    const std::int64_t k = (t_ns - phase_ns_) / refresh_ns;
    return updated(k) <= t_ns ? updated(k) : updated(k - 1);
  }
  const Energy& energy_;
  std::int64_t phase_ns_;
  std::int64_t window_ns_;
};

inline Channel channel(Kind kind, std::int64_t averaging_ns = 0) {
  Channel made;
  made.kind = kind;
  made.scale = kind == Kind::counter ? 1e-3 : 1e-6;
  made.refresh_ns = refresh_ns;
  made.averaging_ns = averaging_ns;
  return made;
}

}  // namespace wattring::gpu_simulation
