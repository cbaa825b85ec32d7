// SPDX-License-Identifier: Apache-2.0
#include "estimate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "clock.hpp"
#include "error.hpp"

namespace wattring {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

// A value that the counter took, and about when.
struct Edge {
  double t_ns;
  std::uint64_t value;
  double prior_seen_ns;  // when a reading last saw the value before
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

// The instant of the last update before a reading that saw a new value: after the reading before
// it, and no longer ago than one refresh.
Edge edge_of(const Rows& rows, std::size_t index, const Channel& channel, Pair pair) {
  const auto latest = static_cast<double>(rows.t_end(pair.second));
  auto earliest = static_cast<double>(rows.t_begin(pair.first));
  if (channel.refresh_ns > 0) {
    earliest = std::max(earliest, static_cast<double>(rows.t_begin(pair.second)) -
                                      static_cast<double>(channel.refresh_ns));
  }
  return {(earliest + latest) / 2, rows.reading(pair.second, index),
          static_cast<double>(rows.t_begin(pair.first))};
}

double line(const Edge& a, const Edge& b, double t_ns) {
  const double step = static_cast<double>(b.value) - static_cast<double>(a.value);
  return static_cast<double>(a.value) + step * (t_ns - a.t_ns) / (b.t_ns - a.t_ns);
}

// Between two updates that changed the value. Where refreshes in between were seen to change
// nothing, the counter had moved by less than its unit until the last of them, whatever it did
// afterwards. What refreshes did while nobody looked (a stalled sampler, a long period) is unknown.
double between(const Edge& a, const Edge& b, double refresh_ns, std::uint64_t quantum,
               double t_ns) {
  if (refresh_ns == 0) {
    return line(a, b, t_ns);
  }
  const double refreshes = std::max(1.0, std::ceil((b.t_ns - b.prior_seen_ns) / refresh_ns));
  const Edge last_still{b.t_ns - refreshes * refresh_ns, std::min(a.value + quantum, b.value), 0};
  if (last_still.t_ns <= a.t_ns + refresh_ns / 2) {
    return line(a, b, t_ns);
  }
  return t_ns < last_still.t_ns ? line(a, last_still, t_ns) : line(last_still, b, t_ns);
}

// Updates in the order of time, to be interpolated between.
class Edges {
 public:
  explicit Edges(const Edge& oldest) { edges_.push_back({oldest, true}); }
  void add(const Edge& edge, bool quick) { edges_.push_back({edge, quick}); }

  // Energy at t in ticks. Edges that are dated badly are left out, but for those with no good one
  // behind them: which ones are used does not depend on t, so that energy never runs backwards.
  double at(double t_ns, double refresh_ns, std::uint64_t quantum) const {
    std::size_t last_quick = edges_.size() - 1;
    while (last_quick > 0 && !edges_[last_quick].quick) {
      --last_quick;
    }
    const Edge* before = &edges_.front().edge;
    bool adjacent = true;
    for (std::size_t i = 1; i < edges_.size(); ++i) {
      const Edge& edge = edges_[i].edge;
      if (!edges_[i].quick && i < last_quick) {
        adjacent = false;
      } else if (edge.t_ns <= t_ns) {
        before = &edge;
        adjacent = true;
      } else if (edge.t_ns > before->t_ns) {
        return between(*before, edge, adjacent ? refresh_ns : 0, quantum, t_ns);
      }
    }
    return static_cast<double>(before->value);
  }

 private:
  struct Dated {
    Edge edge;
    bool quick;
  };
  std::vector<Dated> edges_;
};

// Energy at t in ticks, between dated updates; `plain` where there are none around it.
double by_clock(const std::vector<DatedValue>& updates, double t_ns, double plain) {
  const auto after = std::upper_bound(updates.begin(), updates.end(), t_ns,
                                      [](double t, const DatedValue& u) { return t < u.t_ns; });
  if (updates.empty()) {
    return plain;
  }
  if (after == updates.begin()) {
    return std::min(plain, static_cast<double>(after->value));
  }
  const DatedValue& a = *(after - 1);
  if (after == updates.end()) {
    return std::max(plain, static_cast<double>(a.value));
  }
  return static_cast<double>(a.value) +
         static_cast<double>(after->value - a.value) * (t_ns - a.t_ns) / (after->t_ns - a.t_ns);
}

}  // namespace

bool is_quick(std::int64_t sweep_ns, const Channel& channel) noexcept {
  return sweep_ns <= (channel.refresh_ns > 0 ? channel.refresh_ns : 1'000'000) / 4;
}

std::int64_t patience_ns(const Channel& channel) noexcept {
  return 4 * (channel.refresh_ns > 0 ? channel.refresh_ns : 25'000'000);
}

std::uint64_t quantum_of(const Rows& rows, std::size_t index, const Channel& channel) {
  std::uint64_t step_divisor = 0;
  for_pairs(rows, index, [&](Pair pair) {
    step_divisor =
        std::gcd(step_divisor, rows.reading(pair.second, index) - rows.reading(pair.first, index));
  });
  return step_divisor > 0 ? std::min(step_divisor, channel.quantum) : channel.quantum;
}

Standing stand(const Rows& rows, std::size_t index, const Channel& channel, std::int64_t t_ns,
               KnownClock* known) {
  std::uint64_t lower = 0;
  for (std::size_t i = 0; i < rows.size() && rows.t_end(i) <= t_ns; ++i) {
    lower = rows.reading(i, index);  // of a failed reading: the last good one, which holds as well
  }

  const std::uint64_t quantum = quantum_of(rows, index, channel);
  double upper = infinite;
  std::int64_t still_until_ns = 0;  // newest of the readings after t, as long as none differs
  std::uint64_t still_value = 0;
  bool spoiled = false;  // by a reset, or a stall that may hide a wrap, before anything was proven
  Edges edges(
      {static_cast<double>(rows.t_begin(0) + rows.t_end(0)) / 2, rows.reading(0, index), 0});
  for_pairs(rows, index, [&](Pair pair) {
    if (rows.t_end(pair.second) > t_ns &&
        (rows.marks(pair.second, index) & (row::reset | row::ambiguous)) != 0) {
      spoiled = true;  // from here on readings lack an unknown amount
    }
    const std::uint64_t step = rows.reading(pair.second, index) - rows.reading(pair.first, index);
    if (step == 0) {
      if (!spoiled && rows.t_begin(pair.first) >= t_ns) {
        still_until_ns = rows.t_begin(pair.second);
        still_value = rows.reading(pair.second, index);
      }
      return;
    }
    edges.add(edge_of(rows, index, channel, pair),
              is_quick(rows.t_end(pair.second) - rows.t_begin(pair.second), channel));
    if (!spoiled && upper == infinite && rows.t_begin(pair.first) >= t_ns) {
      upper = static_cast<double>(rows.reading(pair.second, index));
    }
  });
  Standing standing;
  if (upper != infinite) {
    upper += static_cast<double>(quantum);
  } else if (still_until_ns - t_ns > patience_ns(channel)) {
    upper = static_cast<double>(still_value + quantum);
    standing.still = true;
  }

  double value =
      edges.at(static_cast<double>(t_ns), static_cast<double>(channel.refresh_ns), quantum);
  if (known != nullptr && known->look(rows, index, channel, quantum)) {
    value = by_clock(date_updates(rows, index, quantum, *known->clock),
                     static_cast<double>(t_ns - rows.t_begin(0)), value);
  }
  standing.lower_j = static_cast<double>(lower) * channel.scale;
  standing.upper_j = upper * channel.scale;
  standing.value_j = std::clamp(value * channel.scale, standing.lower_j, standing.upper_j);
  return standing;
}

std::uint64_t row_after(const Ring& ring, std::int64_t t_ns) noexcept {
  std::uint64_t low = ring.oldest();
  std::uint64_t high = ring.head();
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    std::uint64_t t_end = 0;
    // A row that was overwritten during the search is older than all that are left.
    if (!ring.peek(middle, row::t_end_word, t_end) || static_cast<std::int64_t>(t_end) <= t_ns) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool KnownClock::look(const Rows& rows, std::size_t index, const Channel& channel,
                      std::uint64_t quantum) {
  const std::int64_t newest_ns = rows.t_end(rows.size() - 1);
  if (is_fresh(newest_ns)) {
    return true;
  }
  if (clock) {
    return take(follow_clock(rows, index, quantum, *clock), newest_ns);
  }
  // A young session has yet to take enough rows: that is no search which failed.
  if (!may_search(newest_ns) || rows.size() < ClockFinder::fewest_rows) {
    return false;
  }
  ClockFinder finder(rows, index, channel, quantum);
  while (finder.step()) {
  }
  return take(finder.result(), newest_ns);
}

bool KnownClock::take(const std::optional<UpdateClock>& found, std::int64_t newest_ns) {
  if (found) {
    clock = found;
    failures = 0;
    found_ns = newest_ns;
  } else if (++failures >= most_failures || !clock) {
    clock.reset();
    search_again_ns = newest_ns + search_pause_ns;
  }
  return found.has_value();
}

std::vector<Standing> stand(const Ring& ring, std::span<const Channel> channels, std::int64_t t_ns,
                            std::vector<KnownClock>* known) {
  // Enough rows for an update on either side, at any ratio of period and refresh; the newer half of
  // the ring tells the period, for its oldest row may go at any moment.
  const std::uint64_t head = ring.head();
  const std::uint64_t half = (head - ring.oldest()) / 2;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  if (head > 0 && ring.peek(head - 1 - half, row::t_end_word, first) &&
      ring.peek(head - 1, row::t_end_word, last)) {
    const std::int64_t mean_ns = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(last - first) / static_cast<std::int64_t>(half + 1));
    std::int64_t slowest_ns = 0;
    std::int64_t fewest = 64;
    for (std::size_t i = 0; i < channels.size(); ++i) {
      slowest_ns = std::max(slowest_ns, patience_ns(channels[i]));
      if (known != nullptr && channels[i].kind == Kind::counter) {
        const KnownClock& clock = (*known)[i];
        if (clock.may_search(static_cast<std::int64_t>(last))) {
          fewest = std::max<std::int64_t>(fewest, ClockFinder::most_rows / 2);
        } else if (!clock.is_fresh(t_ns)) {
          fewest = std::max<std::int64_t>(fewest, 128);
        }
      }
    }
    const auto margin = static_cast<std::uint64_t>(
        std::clamp<std::int64_t>(4 * slowest_ns / mean_ns, fewest, 65'536));
    const std::uint64_t at = row_after(ring, t_ns);
    // Where the rows end short of the margin behind t, more of those before it make up for that.
    const std::uint64_t end = std::min(head, at + margin);
    const std::uint64_t before = std::min(end, 2 * margin);
    std::uint64_t cursor =
        std::max(ring.oldest(), std::min(end - before, at - std::min(at, margin)));
    std::vector<std::uint64_t> words((end - cursor) * ring.words_per_row());
    const Ring::Copied copied = ring.read(cursor, words);
    const Rows rows({words.data(), copied.rows * ring.words_per_row()}, ring.words_per_row());
    if (rows.size() > 0 && rows.t_end(0) <= t_ns) {
      std::vector<Standing> standings;
      for (std::size_t i = 0; i < channels.size(); ++i) {
        standings.push_back(
            channels[i].kind == Kind::counter
                ? stand(rows, i, channels[i], t_ns, known != nullptr ? &(*known)[i] : nullptr)
                : Standing{});
      }
      return standings;
    }
  }
  throw Error(Errc::state, "no sample is as old as time stamp " + std::to_string(t_ns),
              "ask for times after start(), or for a larger ring (rows=…)");
}

bool covered(const Ring& ring, std::span<const Channel> channels, std::int64_t t_ns) {
  const std::uint64_t head = ring.head();
  std::uint64_t newest_begin = 0;
  if (head == 0 || !ring.peek(head - 1, row::t_begin_word, newest_begin)) {
    return false;
  }
  // The first row that began after t, and the changes since then.
  std::uint64_t first = row_after(ring, t_ns);
  std::uint64_t begin = 0;
  while (first < head && ring.peek(first, row::t_begin_word, begin) &&
         static_cast<std::int64_t>(begin) < t_ns) {
    ++first;
  }
  const auto saw_update = [&](std::size_t channel) {
    const std::size_t word = row::first_reading + channel;
    std::uint64_t after = 0;
    std::uint64_t end = 0;
    ring.peek(head - 1, word, after);
    for (std::uint64_t k = head - 1; k > first; --k) {
      std::uint64_t before = 0;
      if (!ring.peek(k - 1, word, before) || !ring.peek(k, row::t_begin_word, begin) ||
          !ring.peek(k, row::t_end_word, end)) {
        return true;  // the ring has gone round: there is nothing left to wait for
      }
      if (before != after && is_quick(static_cast<std::int64_t>(end - begin), channels[channel])) {
        return true;
      }
      after = before;
    }
    return false;
  };
  // One row, however late, proves nothing: a sampler that was held up comes back behind an update.
  const bool has_pair = first + 1 < head;
  const std::int64_t since_ns = static_cast<std::int64_t>(newest_begin) - t_ns;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const bool had_time = has_pair && since_ns > patience_ns(channels[i]);
    if (channels[i].kind == Kind::counter && !had_time && !saw_update(i)) {
      return false;
    }
  }
  return true;
}

}  // namespace wattring
