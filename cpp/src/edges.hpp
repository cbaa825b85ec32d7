// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "channel.hpp"

namespace wattring {

// When the sensors of a source are about to publish, by when they did before: a reading at another
// time tells nothing new. What is not known yet, or no more (a counter of an idle device shows no
// update), may be about to at any time. One thread.
//
// Of each device its counters decide, or, where it has none, the powers that stand in for them.
class Edges {
 public:
  // Readings come `period_ns` apart.
  Edges(std::span<const Channel> channels, std::int64_t period_ns)
      : period_ns_(static_cast<double>(period_ns)) {
    const auto publishes = [](const Channel& channel) {
      return channel.refresh_ns > 0 && (channel.kind == Kind::counter ||
                                        (channel.kind == Kind::gauge && channel.unit == "W"));
    };
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const bool has_counter =
          std::any_of(channels.begin(), channels.end(), [&](const Channel& other) {
            return other.kind == Kind::counter && other.device == channels[i].device;
          });
      if (publishes(channels[i]) && (channels[i].kind == Kind::counter || !has_counter)) {
        edges_.push_back({.channel = i, .refresh_ns = static_cast<double>(channels[i].refresh_ns)});
      }
    }
  }

  // What a sweep between two times has read.
  void see(std::span<const std::uint64_t> readings, std::int64_t begin_ns,
           std::int64_t end_ns) noexcept {
    for (Edge& edge : edges_) {
      const std::uint64_t value = readings[edge.channel];
      const double width_ns = static_cast<double>(end_ns - read_ns_);
      if (read_ns_ != 0 && value != edge.value && width_ns <= edge.refresh_ns / 2) {
        edge.t_ns = read_ns_ + (end_ns - read_ns_) / 2;
        edge.doubt_ns = width_ns / 2;
      }
      edge.value = value;
    }
    read_ns_ = begin_ns;
  }

  // Whether a reading at this time may stand beside an update.
  bool due(std::int64_t t_ns) const noexcept {
    return edges_.empty() || std::any_of(edges_.begin(), edges_.end(), [&](const Edge& edge) {
             const auto since_ns = static_cast<double>(t_ns - edge.t_ns);
             const double refreshes = std::round(since_ns / edge.refresh_ns);
             const double doubt_ns = edge.doubt_ns + refreshes * edge.refresh_ns / parts_off;
             return edge.t_ns == 0 || doubt_ns > edge.refresh_ns / 4 ||
                    std::abs(since_ns - refreshes * edge.refresh_ns) <= period_ns_ + doubt_ns;
           });
  }

 private:
  // As much of its refresh may a sensor's pace be off (99 to 101 ms of 100 on an H100: the table in
  // nvml_model.cpp).
  static constexpr double parts_off = 100;

  struct Edge {
    std::size_t channel;
    double refresh_ns;
    std::uint64_t value = 0;
    std::int64_t t_ns = 0;  // of the last one that was seen well; 0: none
    double doubt_ns = 0;
  };
  double period_ns_;
  std::vector<Edge> edges_;
  std::int64_t read_ns_ = 0;
};

}  // namespace wattring
