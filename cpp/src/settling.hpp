// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "clock_keeper.hpp"
#include "mark.hpp"
#include "sampler.hpp"

namespace wattring {

// Settles marks against the rows of one sampler, cheaply when there are many. One thread at a time,
// any thread.
//
// Few marks are each worked out by themselves. Of many, only a grid of times is (a cell is a part
// of the time between two rows); inside a cell the energy runs along the line between its ends and
// the bounds are the lower one of its begin and the upper one of its end, which hold for all that
// lies between because energy only grows.
class Settling {
 public:
  explicit Settling(const Sampler& sampler);

  // Counts what new rows say, and works on the clocks; to be called about once a row.
  void follow();

  // Marks up to this time can be settled: later rows say all about them that they will. The latest
  // possible time when no more rows are to be expected. `t_ns` is the oldest mark of interest.
  std::int64_t covered_until(std::int64_t t_ns, std::int64_t now_ns);

  // Where the counters stood at t; false when the rows around it are gone.
  bool settle(std::int64_t t_ns, bool exact, Mark::PerSource& to);

  // When what is waited for since then, or since the sampler last left a row out, can be settled,
  // unless the device or the machine stalls; after that it is settled as well as the rows allow.
  std::int64_t waits_until(std::int64_t since_ns) const noexcept;

 private:
  struct Cell {  // of the times t0 to t1, or t0 alone
    std::int64_t t0 = 1;
    std::int64_t t1 = 0;
    std::uint64_t row = 0;  // first row after it
    std::vector<Standing> at0;
    std::vector<Standing> at1;
    CountsAround counts;  // of that row
  };
  bool load(std::int64_t t_ns, bool exact);
  void count();
  std::vector<Standing> stand_at(std::int64_t t_ns);

  const Sampler& sampler_;
  std::uint64_t followed_ = 0;  // rows that are in counts_
  RowCounts counts_;
  ClockKeeper clocks_;
  bool any_marked_ = false;     // once true always true, so that until then marks hold zeros
  std::uint64_t covering_ = 0;  // rows before this one have a covered begin
  std::int64_t covered_ns_ = 0;
  Cell cell_;
};

}  // namespace wattring
