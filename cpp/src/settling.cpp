// SPDX-License-Identifier: Apache-2.0
#include "settling.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "error.hpp"

namespace wattring {
namespace {

// A cell is long enough that working out its ends is a small part of the time that it covers, and
// there are at most so many between two rows.
constexpr std::int64_t shortest_cell_ns = 50'000;
constexpr std::int64_t most_cells = 32;

}  // namespace

Settling::Settling(const Sampler& sampler) : sampler_(sampler), clocks_(sampler) {
  counts_.readings.resize(sampler.channels().size());
}

void Settling::follow() {
  clocks_.work();
  count();
}

void Settling::count() {
  const Ring& ring = sampler_.ring();
  const std::uint64_t head = ring.head();
  while (followed_ < head) {
    std::uint64_t status = 0;
    if (!ring.peek(followed_, row::status_word, status)) {
      followed_ = sampler_.count_rows(counts_);  // overtaken
      any_marked_ = counts_.any_readings();
      continue;
    }
    counts_.add(status);
    any_marked_ = any_marked_ || (status & row::channel_marks) != 0;
    ++followed_;
  }
}

std::int64_t Settling::waits_until(std::int64_t since_ns) const noexcept {
  std::int64_t slowest_ns = 0;
  for (const Channel& channel : sampler_.channels()) {
    slowest_ns = std::max(slowest_ns, patience_ns(channel) + channel.lag_ns());
  }
  return std::max(since_ns, sampler_.spared_ns()) + 4 * (sampler_.period_ns() + slowest_ns) +
         ns_per_s;
}

std::int64_t Settling::covered_until(std::int64_t t_ns, std::int64_t now_ns) {
  constexpr std::int64_t for_ever = std::numeric_limits<std::int64_t>::max();
  if (!sampler_.running()) {
    return for_ever;
  }
  const Ring& ring = sampler_.ring();
  const std::uint64_t head = ring.head();
  covering_ = std::max(covering_, row_after(ring, t_ns));
  std::uint64_t begin = 0;
  while (covering_ < head && ring.peek(covering_, row::t_begin_word, begin) &&
         covered(ring, sampler_.channels(), static_cast<std::int64_t>(begin))) {
    covered_ns_ = static_cast<std::int64_t>(begin);
    ++covering_;
  }
  std::uint64_t newest = 0;
  if (head > 0 && ring.peek(head - 1, row::t_end_word, newest) &&
      now_ns > waits_until(static_cast<std::int64_t>(newest))) {
    return for_ever;  // a device that has not answered for so long is not waited for
  }
  return covered_ns_;
}

std::vector<Standing> Settling::stand_at(std::int64_t t_ns) {
  return stand(sampler_.ring(), sampler_.channels(), t_ns, &clocks_.clocks());
}

bool Settling::load(std::int64_t t_ns, bool exact) {
  const Ring& ring = sampler_.ring();
  const std::uint64_t k = row_after(ring, t_ns);
  std::int64_t t0 = t_ns;
  std::int64_t t1 = t_ns;
  std::uint64_t before = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  if (!exact && k > 0 && ring.peek(k - 1, row::t_end_word, before) &&
      ring.peek(k, row::t_begin_word, begin) && ring.peek(k, row::t_end_word, end)) {
    // The bounds change at the two times of a row. At its begin exactly, what later rows say of its
    // end may not be known yet.
    const bool in_sweep = t_ns > static_cast<std::int64_t>(begin);
    const auto low = static_cast<std::int64_t>(in_sweep ? begin : before);
    const auto high = static_cast<std::int64_t>(in_sweep ? end : begin);
    const std::int64_t width = std::max(shortest_cell_ns, (high - low) / most_cells + 1);
    t0 = low + (t_ns - low) / width * width;
    t1 = std::min(t0 + width, high);
  }
  cell_.row = k;
  count();  // the rows around it may have come since
  bool is_there = cell_.counts.set(ring, k, counts_, followed_);
  try {
    if (cell_.t1 == t0 && cell_.t0 < t0) {
      std::swap(cell_.at0, cell_.at1);
    } else {
      cell_.at0 = stand_at(t0);
    }
    cell_.at1 = t1 == t0 ? cell_.at0 : stand_at(t1);
  } catch (const Error&) {
    is_there = false;
  }
  cell_.t0 = is_there ? t0 : 1;
  cell_.t1 = is_there ? t1 : 0;
  return is_there;
}

bool Settling::settle(std::int64_t t_ns, bool exact, Mark::PerSource& to) {
  const bool single = cell_.t0 == cell_.t1;
  const bool inside = single ? t_ns == cell_.t0 : !exact && t_ns > cell_.t0 && t_ns <= cell_.t1;
  if (!inside && !load(t_ns, exact)) {
    return false;
  }
  const std::size_t channels = counts_.readings.size();
  to.row = cell_.row;
  if (any_marked_ || to.standings.size() != channels) {
    to.standings.resize(channels);
    to.counts = cell_.counts;
  }
  to.counts.before.gaps = cell_.counts.before.gaps;
  to.counts.through.gaps = cell_.counts.through.gaps;
  const double part = cell_.t1 > cell_.t0 ? static_cast<double>(t_ns - cell_.t0) /
                                                static_cast<double>(cell_.t1 - cell_.t0)
                                          : 0;
  for (std::size_t i = 0; i < channels; ++i) {
    const Standing& a = cell_.at0[i];
    const Standing& b = cell_.at1[i];
    to.standings[i] = {.lower_j = a.lower_j,
                       .value_j = a.value_j + part * (b.value_j - a.value_j),
                       .upper_j = b.upper_j,
                       .still = b.still,
                       .variance_j2 = a.variance_j2};
  }
  return true;
}

}  // namespace wattring
