// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "channel.hpp"
#include "estimate.hpp"

// Rows as a sampler would have taken them from a counter whose true energy is known at every
// instant.
namespace wattring::simulation {

// Joules in [0, t].
using Energy = std::function<double(double t_s)>;

struct Load {
  const char* name;
  Energy energy;
};

Load constant(double power_w);
// Square and bursts, a ramp, nothing at all, and less than a unit per refresh.
const std::vector<Load>& loads();

struct Timing {
  std::int64_t period_ns = 1'000'000;
  std::int64_t refresh_ns = 976'000;
  // What the channel says of its refresh, where that differs.
  std::int64_t stated_refresh_ns = 0;
  double jitter = 0.02;  // updates are late by up to so much of the refresh
  // Polls come on time, updates too, and nothing fails.
  bool undisturbed = false;
};
const std::vector<Timing>& timings();

struct Rows {
  Channel channel;
  std::vector<std::uint64_t> words;
  double base_j = 0;  // what the first reading, which rows count from, stood for
  static constexpr std::size_t width = row::first_reading + 1;

  wattring::Rows view() const { return {words, width}; }
  // E(t) − base, which is what the bounds are about.
  double truth_j(const Load& load, std::int64_t t_ns) const {
    return load.energy(static_cast<double>(t_ns) * 1e-9) - base_j;
  }
};

// A counter that publishes floor(E(u) / unit) at jittered instants u, polled by a sampler that is
// late now and then, is interrupted in the middle of a sweep, and sometimes fails to read.
Rows run(const Energy& energy, Timing timing, unsigned seed, int polls = 400);

}  // namespace wattring::simulation
