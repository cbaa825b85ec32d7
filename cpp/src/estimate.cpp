// SPDX-License-Identifier: Apache-2.0
#include "estimate.hpp"

#include <algorithm>
#include <string>

#include "clock.hpp"
#include "error.hpp"

namespace wattring {

Standing stand(const Rows& rows, std::size_t index, const Channel& channel, std::int64_t t_ns,
               KnownClock* known) {
  const std::uint64_t quantum = quantum_of(rows, index, channel);
  KnownClock* const clock = channel.kind == Kind::counter ? known : nullptr;
  const Curve curve(rows, index, channel, quantum, date_rows(rows, index, channel, quantum, clock));
  return curve.at(t_ns, rows.after(t_ns, 0, rows.size()));
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
      slowest_ns = std::max(slowest_ns, patience_ns(channels[i]) + channels[i].lag_ns());
      if (known != nullptr && channels[i].kind == Kind::counter && !channels[i].is_slow()) {
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
      if (known != nullptr) {
        follow_phases(rows, channels, *known);
      }
      for (std::size_t i = 0; i < channels.size(); ++i) {
        standings.push_back(
            channels[i].has_energy()
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
  const auto saw_updates = [&](std::size_t channel) {
    const std::size_t word = row::first_reading + channel;
    int missing = updates_after(channels[channel]);
    std::uint64_t after = 0;
    std::uint64_t end = 0;
    ring.peek(head - 1, word, after);
    for (std::uint64_t k = head - 1; k > first; --k) {
      std::uint64_t before = 0;
      if (!ring.peek(k - 1, word, before) || !ring.peek(k, row::t_begin_word, begin) ||
          !ring.peek(k, row::t_end_word, end)) {
        return true;  // the ring has gone round: there is nothing left to wait for
      }
      if (before != after && is_quick(static_cast<std::int64_t>(end - begin), channels[channel]) &&
          --missing == 0) {
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
    if (!channels[i].has_energy()) {
      continue;
    }
    const bool had_time = has_pair && since_ns > patience_ns(channels[i]) + channels[i].lag_ns();
    const bool came_as_far = channels[i].kind == Kind::counter || since_ns >= reach_ns(channels[i]);
    if (!had_time && !(came_as_far && saw_updates(i))) {
      return false;
    }
  }
  return true;
}

}  // namespace wattring
