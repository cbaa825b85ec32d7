// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ring.hpp"
#include "row.hpp"

namespace wattring {

// Readings marked failed, ambiguous, reset (row.hpp).
using MarkCounts = std::array<std::uint64_t, 3>;

// What the first rows of a ring said had gone wrong.
struct RowCounts {
  std::vector<MarkCounts> readings;  // per channel
  std::uint64_t gaps = 0;            // rows behind missed deadlines

  void add(std::uint64_t status) noexcept { add(status, 1); }
  void take(std::uint64_t status) noexcept { add(status, ~std::uint64_t{0}); }
  bool any_readings() const noexcept {
    return std::any_of(readings.begin(), readings.end(),
                       [](const MarkCounts& counts) { return counts != MarkCounts{}; });
  }

 private:
  void add(std::uint64_t status, std::uint64_t n) noexcept {
    gaps += (status & row::gap) != 0 ? n : 0;
    if ((status & row::channel_marks) == 0) {
      return;
    }
    for (std::size_t i = 0; i < readings.size(); ++i) {
      const std::uint64_t marks = row::marks_of(status, i);
      readings[i][0] += (marks & row::failed) != 0 ? n : 0;
      readings[i][1] += (marks & row::ambiguous) != 0 ? n : 0;
      readings[i][2] += (marks & row::reset) != 0 ? n : 0;
    }
  }
};

// The same on both sides of one row.
struct CountsAround {
  RowCounts before;
  RowCounts through;  // and with it

  // From what the first `rows` rows said: those behind `at` are taken off. False when one is gone.
  bool set(const Ring& ring, std::uint64_t at, const RowCounts& counted, std::uint64_t rows) {
    before = counted;
    through = counted;
    for (std::uint64_t k = at; k < rows; ++k) {
      std::uint64_t status = 0;
      if (!ring.peek(k, row::status_word, status)) {
        return false;
      }
      before.take(status);
      if (k > at) {
        through.take(status);
      }
    }
    return true;
  }
};

}  // namespace wattring
