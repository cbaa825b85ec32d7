// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "row.hpp"

namespace wattring {

// Rows in memory, one after the other.
class Rows {
 public:
  Rows(std::span<const std::uint64_t> words, std::size_t words_per_row) noexcept
      : words_(words), width_(words_per_row) {}
  std::size_t size() const noexcept { return words_.size() / width_; }
  // Some of them.
  Rows part(std::size_t first, std::size_t count) const noexcept {
    return {words_.subspan(first * width_, count * width_), width_};
  }
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
    return row::marks_of(status(i), channel);
  }
  std::uint64_t status(std::size_t i) const noexcept {
    return words_[i * width_ + row::status_word];
  }
  const std::uint64_t* address(std::size_t i) const noexcept { return words_.data() + i * width_; }
  std::size_t row_bytes() const noexcept { return width_ * sizeof(std::uint64_t); }
  // The first row from `low` on that ended after t; `high` if none before that.
  std::size_t after(std::int64_t t_ns, std::size_t low, std::size_t high) const noexcept {
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (t_end(middle) <= t_ns) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

 private:
  std::span<const std::uint64_t> words_;
  std::size_t width_;
};

// Two readings of one channel, the second the next good one after the first.
struct Pair {
  std::size_t first;
  std::size_t second;
};

// Calls f(pair) for each pair of successive good readings.
template <typename F>
void for_pairs(const Rows& rows, std::size_t index, F f) {
  std::size_t last = rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows.marks(i, index) & row::failed) {
      continue;
    }
    if (last < rows.size()) {
      f(Pair{last, i});
    }
    last = i;
  }
}

}  // namespace wattring
