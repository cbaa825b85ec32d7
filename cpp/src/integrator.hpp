// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "channel.hpp"
#include "row.hpp"

namespace wattring {

// The energy of a power that a sensor publishes now and then, as a counter would show it: each
// update adds the energy of the time since the one before. Readings are in ticks per second.
//
// A reading that stands still for a refresh was published again. A mean over several refreshes is
// taken apart: what the newest of them must have used follows from the mean and from what the
// others used, none of which is below zero; the oldest is added when it leaves the mean.
class Integrator {
 public:
  explicit Integrator(const Channel& channel) noexcept
      : refresh_ns_(static_cast<double>(channel.refresh_ns > 0 ? channel.refresh_ns : usual_ns)),
        unseen_ns_(channel.averaging_ns > 0
                       ? std::max(0.0, refresh_ns_ - static_cast<double>(channel.averaging_ns))
                       : 0),
        parts_(channel.is_averaged()
                   ? std::clamp<std::size_t>(
                         static_cast<std::size_t>(
                             std::llround(static_cast<double>(channel.averaging_ns) / refresh_ns_)),
                         2, most_parts)
                   : 0) {}

  // Feeds one reading taken between the two times; returns its marks.
  std::uint64_t advance(std::uint64_t raw, std::int64_t t_begin_ns,
                        std::int64_t t_end_ns) noexcept {
    const std::int64_t t_ns = t_begin_ns + (t_end_ns - t_begin_ns) / 2;
    const auto power = static_cast<double>(raw);
    if (!started_) {
      started_ = true;
      updated_ns_ = t_ns;
      parts_j_.fill({power * refresh_ns_, refresh_ns_});
    } else if (power != power_) {
      const std::int64_t earliest =
          std::max(read_ns_, t_ns - static_cast<std::int64_t>(refresh_ns_));
      const std::int64_t update_ns = earliest + (t_ns - earliest) / 2;
      if (update_ns > updated_ns_) {
        add(static_cast<double>(update_ns - updated_ns_), power);
        updated_ns_ = update_ns;
      }
    } else if (const double still_ns = static_cast<double>(t_ns - updated_ns_);
               still_ns > 1.5 * refresh_ns_) {
      // Half a refresh late, however long ago the poll before was: where a time is told is then all
      // that the row's date leaves open.
      const double added_ns = std::floor(still_ns / refresh_ns_ - 0.5) * refresh_ns_;
      add(added_ns, power);
      updated_ns_ += static_cast<std::int64_t>(added_ns);
    }
    const bool stalled = read_ns_ != 0 && t_ns - read_ns_ > longest_bridge_ns;
    power_ = power;
    read_ns_ = t_ns;
    return stalled ? row::ambiguous : 0;
  }

  // Ticks since the first reading.
  std::uint64_t value() const noexcept { return static_cast<std::uint64_t>(ticks_); }
  // A change of power came at some moment that the sensor did not see: of the energy that this
  // leaves open, the variance so far if all moments are equally likely, in millions of squared
  // ticks.
  std::uint64_t variance() const noexcept { return static_cast<std::uint64_t>(variance_ * 1e-6); }

 private:
  static constexpr std::int64_t usual_ns = 100'000'000;
  // Over a longer time than this nothing is known from the readings at its ends.
  static constexpr std::int64_t longest_bridge_ns = 2'000'000'000;
  static constexpr std::size_t most_parts = 128;
  static constexpr double s_per_ns = 1e-9;

  // One refresh of those that a mean is over.
  struct Part {
    double energy;  // ticks per second × ns, like all energies here
    double ns;
  };

  // An update to this power, so long after the one before.
  void add(double ns, double power) noexcept {
    // Updates in between that nobody saw: as if it had gone along a line.
    const double missed_ns = ns > 1.5 * refresh_ns_ ? ns - refresh_ns_ : 0;
    const double open = std::abs(power - power_) * (missed_ns + unseen_ns_) * s_per_ns;
    variance_ += open * open / 12;
    if (parts_ == 0) {
      ticks_ += (power * (ns - missed_ns) + (power_ + power) / 2 * missed_ns) * s_per_ns;
      return;
    }
    const double updates = std::max(1.0, std::round(ns / refresh_ns_));
    const auto steps = static_cast<std::size_t>(std::min(updates, 2.0 * most_parts));
    ticks_ += (updates - static_cast<double>(steps)) / updates * ns * power_ * s_per_ns;
    for (std::size_t i = 1; i <= steps; ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(steps);
      take_apart(ns / updates, power_ + share * (power - power_));
    }
  }

  void take_apart(double ns, double mean) noexcept {
    Part& oldest = parts_j_[at_];
    ticks_ += oldest.energy * s_per_ns;
    oldest = {0, ns};
    double others = 0;
    double all_ns = 0;
    for (std::size_t i = 0; i < parts_; ++i) {
      others += parts_j_[i].energy;
      all_ns += parts_j_[i].ns;
    }
    const double newest = mean * all_ns - others;
    if (newest < 0 && others > 0) {
      // They cannot have used so much: a share of each is taken back.
      for (std::size_t i = 0; i < parts_; ++i) {
        parts_j_[i].energy *= mean * all_ns / others;
      }
    }
    oldest.energy = std::max(0.0, newest);
    at_ = (at_ + 1) % parts_;
  }

  double refresh_ns_;
  double unseen_ns_;   // of each refresh
  std::size_t parts_;  // refreshes that the mean is over; 0: one, or less
  bool started_ = false;
  double power_ = 0;
  std::int64_t read_ns_ = 0;
  std::int64_t updated_ns_ = 0;
  double ticks_ = 0;
  double variance_ = 0;
  std::array<Part, most_parts> parts_j_{};
  std::size_t at_ = 0;  // the oldest of them
};

}  // namespace wattring
