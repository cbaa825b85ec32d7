// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "curve.hpp"
#include "mark.hpp"
#include "row_index.hpp"

namespace wattring {

// The energy of every counter of one source over rows that have been kept, for questions by the
// million. Immutable once made, so that any thread may ask.
//
// The rows must outlive it; a second is spent on some ten million readings.
class Timeline {
 public:
  // Throws what check() throws.
  Timeline(const Rows& rows, std::vector<Channel> channels);
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  // Throws Error(invalid) for rows that no sampler writes: out of order in time, or with a counter
  // that falls.
  static void check(const Rows& rows, std::span<const Channel> channels);

  const std::vector<Channel>& channels() const noexcept { return channels_; }

  // Energies of windows, channel by channel: of n windows, element c × n + i is channel c's in
  // window i. A window that reaches beyond the rows, or ends before it begins, has the value NaN
  // and the bounds (0, infinite); so has a gauge.
  struct Energies {
    std::span<double> lower_j;
    std::span<double> value_j;
    std::span<double> upper_j;
  };
  void between(std::span<const std::int64_t> t0_ns, std::span<const std::int64_t> t1_ns,
               const Energies& to) const;

  // One window with all that is known of it. The bounds of a window that reaches beyond the rows
  // are what can be said nevertheless. Throws Error(invalid) for one that begins before them.
  std::vector<ChannelEnergy> energy(std::int64_t t0_ns, std::int64_t t1_ns) const;

  // The instants between which the energy of a counter runs along a line.
  std::vector<Knot> knots(std::size_t channel) const { return curves_[channel]->knots(); }

 private:
  struct Asked {
    std::int64_t t_ns;
    std::uint32_t number;
  };
  std::vector<Asked> in_order(std::span<const std::int64_t> begins_ns,
                              std::span<const std::int64_t> ends_ns) const;
  void fetch(std::size_t row) const noexcept;
  bool is_spoiled(std::size_t channel, std::size_t first, std::size_t last) const noexcept;

  Rows rows_;
  std::vector<Channel> channels_;
  RowIndex index_;
  std::vector<std::optional<Curve>> curves_;         // none for a gauge
  std::vector<std::vector<std::uint32_t>> spoiled_;  // rows with a reset or a possible wrap
};

}  // namespace wattring
