// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "channel.hpp"
#include "known_clock.hpp"
#include "rows.hpp"

namespace wattring {

// When the update was published that brought what a row shows, as a time before the row's t_begin;
// nothing for a row that shows no update, or does not tell when it was.
class RowDate {
 public:
  constexpr RowDate() = default;
  // An update more than a second old is dated a second back.
  RowDate(std::int64_t age_ns, bool by_clock) noexcept
      : word_(static_cast<std::int32_t>(
            std::clamp<std::int64_t>(age_ns, -longest_ns, longest_ns) * 2 + (by_clock ? 1 : 0))) {}

  bool is_known() const noexcept { return word_ != none; }
  bool is_by_clock() const noexcept { return (word_ & 1) != 0; }
  std::int64_t age_ns() const noexcept { return word_ >> 1; }

 private:
  static constexpr std::int32_t none = std::numeric_limits<std::int32_t>::min();
  static constexpr std::int64_t longest_ns = (std::int64_t{1} << 30) - 1;
  std::int32_t word_ = none;
};

// Dates the rows of one channel, by the clock of its updates where that is known or can be found
// (null: not at all), else by the two readings between which an update was seen. The first row is
// always dated. `quantum` is the counter's unit in ticks.
std::vector<RowDate> date_rows(const Rows& rows, std::size_t index, const Channel& channel,
                               std::uint64_t quantum, KnownClock* known);

// The counter's unit in ticks, or a multiple: at most what the channel says, and what all steps in
// these rows are multiples of.
std::uint64_t quantum_of(const Rows& rows, std::size_t index, const Channel& channel);

// A reading whose two time stamps lie far apart (the sampler was interrupted in between) says
// little about when an update was.
bool is_quick(std::int64_t sweep_ns, const Channel& channel) noexcept;

}  // namespace wattring
