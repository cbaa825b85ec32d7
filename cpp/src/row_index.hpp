// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "rows.hpp"

namespace wattring {

// Finds rows by time in about constant time: rows come at a nearly steady rate, so that equal parts
// of the time hold few rows each.
//
// The rows must outlive it, and be fewer than 2^32.
class RowIndex {
 public:
  explicit RowIndex(const Rows& rows);

  // The first row that ended after t (the number of rows if none).
  std::size_t after(std::int64_t t_ns) const noexcept;

  // Which of how many equal parts of the time t lies in, for questions to be put in an order.
  std::size_t part_of(std::int64_t t_ns) const noexcept;
  // The first row of that part, from which on after() will look.
  std::size_t near(std::int64_t t_ns) const noexcept { return firsts_[part_of(t_ns)]; }
  std::size_t parts() const noexcept { return firsts_.size() - 1; }

 private:
  Rows rows_;
  std::int64_t begin_ns_ = 0;
  double parts_per_ns_ = 0;
  std::vector<std::uint32_t> firsts_;  // of each part, the first row that ends in it or later
};

}  // namespace wattring
