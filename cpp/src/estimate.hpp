// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "channel.hpp"
#include "ring.hpp"
#include "row.hpp"

namespace wattring {

// Rows in memory, one after the other.
class Rows {
 public:
  Rows(std::span<const std::uint64_t> words, std::size_t words_per_row) noexcept
      : words_(words), width_(words_per_row) {}
  std::size_t size() const noexcept { return words_.size() / width_; }
  std::int64_t t_begin(std::size_t i) const noexcept {
    return static_cast<std::int64_t>(words_[i * width_ + row::t_begin_word]);
  }
  std::int64_t t_end(std::size_t i) const noexcept {
    return static_cast<std::int64_t>(words_[i * width_ + row::t_end_word]);
  }
  std::uint64_t reading(std::size_t i, std::size_t channel) const noexcept {
    return words_[i * width_ + row::first_reading + channel];
  }
  std::uint64_t marks(std::size_t i, std::size_t channel) const noexcept {
    return row::marks_of(words_[i * width_ + row::status_word], channel);
  }

 private:
  std::span<const std::uint64_t> words_;
  std::size_t width_;
};

// Where the cumulative energy E(t) of a counter stood at one time, in joules since its first
// reading.
struct Standing {
  double lower_j = 0;
  double value_j = 0;
  double upper_j = 0;  // infinite where no later row proves one
  bool still =
      false;  // upper_j rests on the counter having stood still for longer than its refresh
};

// The bounds are proofs from the rows, for a counter that is right and monotone, with q its unit:
//   a row proves E(t) ≥ its value for every t ≥ its t_end;
//   two readings in a row that differ prove an update after the first one's t_begin, hence
//   E(t) < second value + q for every t ≤ that t_begin.
// The value between them interpolates linearly between update instants.
Standing stand(const Rows& rows, std::size_t index, const Channel& channel, std::int64_t t_ns);

// stand() for every counter of a source, from the rows in its ring around t_ns.
// Throws Error(state) when t_ns lies before the oldest row.
std::vector<Standing> stand(const Ring& ring, std::span<const Channel> channels, std::int64_t t_ns);

// Whether later rows say all that they can about t_ns: a quick row saw each counter move since, or
// each had the time to.
bool covered(const Ring& ring, std::span<const Channel> channels, std::int64_t t_ns);

// The first row that ended after t_ns (head() if none).
std::uint64_t row_after(const Ring& ring, std::int64_t t_ns) noexcept;

// A reading whose two time stamps lie far apart (the sampler was interrupted in between) says
// little about when an update was.
bool is_quick(std::int64_t sweep_ns, const Channel& channel) noexcept;

// A counter is held to stand still when this much time brought no update.
std::int64_t patience_ns(const Channel& channel) noexcept;

}  // namespace wattring
