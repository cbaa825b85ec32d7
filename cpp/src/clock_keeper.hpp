// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "estimate.hpp"
#include "sampler.hpp"

namespace wattring {

// The clocks of the updates of a sampler's counters, for whoever may not spend milliseconds at a
// time on finding them: they are searched for in slices, and those of slow counters followed from
// row to row. One thread at a time.
class ClockKeeper {
 public:
  explicit ClockKeeper(const Sampler& sampler);

  // Looks at the rows that are new, and does a slice of some ten microseconds if there is something
  // to search for; to be called about once a row.
  void work();

  std::vector<KnownClock>& clocks() noexcept { return clocks_; }

 private:
  void ask();
  void follow();
  void begin();

  const Sampler& sampler_;
  std::vector<KnownClock> clocks_;
  std::optional<ClockFinder> finder_;  // of the channel below
  std::size_t channel_ = 0;
  std::int64_t newest_ns_ = 0;  // of the rows that it searches in
  bool any_slow_ = false;
  std::uint64_t row_ = 0;  // the next to be looked at
};

}  // namespace wattring
