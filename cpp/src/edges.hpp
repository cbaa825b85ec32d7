// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "channel.hpp"
#include "phase_tracker.hpp"

namespace wattring {

// When the sensors of a source are about to publish, by when they did before: a reading at another
// time tells nothing new. What is not known yet, or no more, may be about to at any time. One
// thread.
//
// The counters decide, or, of a device without, the powers that stand in for them.
class Edges {
 public:
  // Readings come `period_ns` apart.
  Edges(std::span<const Channel> channels, std::int64_t period_ns) : period_ns_(period_ns) {
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const Channel& channel = channels[i];
      const bool stands_in = channel.kind == Kind::gauge && channel.unit == "W" &&
                             std::none_of(channels.begin(), channels.end(), [&](const Channel& c) {
                               return c.kind == Kind::counter && c.device == channel.device;
                             });
      if (channel.refresh_ns > 0 && (channel.kind == Kind::counter || stands_in)) {
        edges_.push_back({.channel = i, .phase = PhaseTracker(channel.refresh_ns)});
        all_counters_ = all_counters_ && !stands_in;
      }
    }
  }

  // What a sweep between two times has read.
  void see(std::span<const std::uint64_t> readings, std::int64_t begin_ns,
           std::int64_t end_ns) noexcept {
    for (Edge& edge : edges_) {
      const std::uint64_t value = readings[edge.channel];
      if (read_ns_ != 0 && value != edge.value) {
        edge.phase.see(read_ns_, end_ns);
      }
      edge.value = value;
    }
    share_periods(edges_, [](Edge& edge) { return &edge.phase; });
    read_ns_ = begin_ns;
  }

  // Whether a reading at this time may stand beside an update.
  bool due(std::int64_t t_ns) const noexcept {
    return edges_.empty() || std::any_of(edges_.begin(), edges_.end(), [&](const Edge& edge) {
             const auto update = edge.phase.nearest(t_ns);
             return !update || (t_ns >= update->earliest_ns - period_ns_ &&
                                t_ns <= update->latest_ns + period_ns_);
           });
  }

  // Whether close readings are needed now to learn when updates come, or not to forget it.
  bool any_fading(std::int64_t t_ns) const noexcept {
    return std::any_of(edges_.begin(), edges_.end(),
                       [&](const Edge& edge) { return edge.phase.is_fading(t_ns); });
  }

  // Whether all updates are known well enough for one reading to date each; a power needs more.
  bool all_known(std::int64_t t_ns) const noexcept {
    return !edges_.empty() && all_counters_ &&
           std::all_of(edges_.begin(), edges_.end(),
                       [&](const Edge& edge) { return edge.phase.nearest(t_ns).has_value(); });
  }

 private:
  struct Edge {
    std::size_t channel;
    PhaseTracker phase;
    std::uint64_t value = 0;
  };
  std::int64_t period_ns_;
  std::vector<Edge> edges_;
  bool all_counters_ = true;
  std::int64_t read_ns_ = 0;
};

}  // namespace wattring
