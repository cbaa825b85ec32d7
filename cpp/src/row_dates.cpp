// SPDX-License-Identifier: Apache-2.0
#include "row_dates.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>

namespace wattring {
namespace {

// An update, and the two times between which it was.
struct Seen {
  std::size_t row;
  std::int64_t earliest_ns;
  std::int64_t latest_ns;
  std::int64_t width_ns() const noexcept { return latest_ns - earliest_ns; }
  std::int64_t middle_ns() const noexcept { return earliest_ns + (latest_ns - earliest_ns) / 2; }
};

// Between the reading before and the one that saw the update, and no longer ago than one refresh.
Seen see(const Rows& rows, const Channel& channel, Pair pair) {
  std::int64_t earliest = rows.t_begin(pair.first);
  if (channel.refresh_ns > 0) {
    earliest = std::max(earliest, rows.t_begin(pair.second) - channel.refresh_ns);
  }
  return {pair.second, earliest, rows.t_end(pair.second)};
}

// Dates the updates of a slow sensor also by those around them: they come about a refresh apart,
// and polls at another pace see each of them from other sides. Long before there are rows enough
// for a clock. Where a neighbour contradicts, the sensor has a pace of its own: those further away
// would be wrong by more, and close ones as well.
void date_by_neighbours(const Rows& rows, const Channel& channel, const std::vector<Seen>& seen,
                        std::vector<RowDate>& dates) {
  constexpr std::size_t most_neighbours = 8;  // on either side
  constexpr std::size_t close = 2;
  // Of its refresh: as much may a sensor's pace differ from what is published (SC'24 finds 99 to
  // 104 ms of 100), or from update to update.
  constexpr std::int64_t parts_off = 100;
  const std::int64_t refresh_ns = channel.refresh_ns;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    Seen found = seen[i];
    // Returns whether it contradicts.
    const auto look_at = [&](const Seen& other, std::size_t distance) {
      const std::int64_t apart_ns = other.middle_ns() - seen[i].middle_ns();
      // After a stall an integral goes on at times of its own making.
      if (channel.kind != Kind::counter &&
          std::abs(apart_ns) > (static_cast<std::int64_t>(distance) + 1) * refresh_ns) {
        return false;
      }
      const std::int64_t refreshes =
          std::llround(static_cast<double>(apart_ns) / static_cast<double>(refresh_ns));
      const std::int64_t shift_ns = refreshes * refresh_ns;
      const std::int64_t doubt_ns = std::abs(shift_ns) / parts_off;
      const std::int64_t earliest =
          std::max(found.earliest_ns, other.earliest_ns - shift_ns - doubt_ns);
      const std::int64_t latest = std::min(found.latest_ns, other.latest_ns - shift_ns + doubt_ns);
      if (refreshes != 0 && earliest < latest) {
        found.earliest_ns = earliest;
        found.latest_ns = latest;
      }
      // Seen so well that it is certain how many refreshes lie between; and no integral, of which
      // an update that changed nothing is told late (integrator.hpp).
      const bool tells = (seen[i].width_ns() + other.width_ns()) / 2 + doubt_ns < refresh_ns / 2 &&
                         channel.kind == Kind::counter;
      return refreshes != 0 && earliest >= latest && tells;
    };
    bool contradicted = false;
    for (std::size_t d = 1; d <= most_neighbours && !contradicted; ++d) {
      contradicted =
          (i >= d && look_at(seen[i - d], d)) || (i + d < seen.size() && look_at(seen[i + d], d));
      if (contradicted && d <= close) {
        found = seen[i];
      }
    }
    dates[found.row] = {rows.t_begin(found.row) - found.middle_ns(), false};
  }
}

// Of a slow counter: the last update that a row shows, by the phase of all. A row at the very time
// of an update does not tell which; the next one does, if it shows the same, or one more.
std::optional<std::int64_t> update_by_phase(const Rows& rows, std::size_t index,
                                            const PhaseTracker& phase, Pair pair) {
  const std::size_t row = pair.second;
  const auto own = phase.last_before(rows.t_begin(pair.first), rows.t_begin(row), rows.t_end(row));
  std::size_t next = row + 1;
  while (next < rows.size() && (rows.marks(next, index) & row::failed) != 0) {
    ++next;
  }
  if (own || next == rows.size() || rows.t_end(next) - rows.t_begin(row) > phase.refresh_ns()) {
    return own ? std::optional(own->middle_ns()) : std::nullopt;
  }
  const bool same = rows.reading(next, index) == rows.reading(row, index);
  const auto later = phase.last_before(rows.t_begin(same ? pair.first : row), rows.t_begin(next),
                                       rows.t_end(next));
  if (!later) {
    return std::nullopt;
  }
  return std::clamp(later->middle_ns() - (same ? 0 : phase.refresh_ns()), rows.t_begin(pair.first),
                    rows.t_end(row));
}

// Dates what the phase of a slow counter's updates places, from the first row on by what is known
// of it there; and then, by what is known at the end, those that came too early.
void date_by_phase(const Rows& rows, std::size_t index, const Channel& channel, KnownClock& known,
                   std::vector<RowDate>& dates) {
  const auto for_changes = [&](auto&& each) {
    for_pairs(rows, index, [&](Pair pair) {
      if (rows.reading(pair.second, index) != rows.reading(pair.first, index)) {
        each(pair);
      }
    });
  };
  const auto date = [&](Pair pair) {
    const std::size_t row = pair.second;
    if (dates[row].is_by_clock() || !known.phase) {
      return;
    }
    if (const auto t_ns = update_by_phase(rows, index, *known.phase, pair)) {
      dates[row] = {rows.t_begin(row) - *t_ns, true};
    }
  };
  for_changes([&](Pair pair) {
    known.see_change(channel, rows, pair);
    date(pair);
  });
  for_changes(date);
}

// Puts the clock's dates in the place of the others, as far as they reach.
void date_by_clock(const Rows& rows, std::size_t index, const std::vector<DatedValue>& updates,
                   std::vector<RowDate>& dates) {
  if (updates.empty()) {
    return;
  }
  const std::int64_t origin_ns = rows.t_begin(0);
  const auto instant = [&](const DatedValue& update) {
    return origin_ns + static_cast<std::int64_t>(std::llround(update.t_ns));
  };
  const DatedValue& first = updates.front();
  const DatedValue& last = updates.back();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t t_ns = rows.t_begin(i) - dates[i].age_ns();
    const bool stays =
        i < first.row ? t_ns < instant(first)
                      : i > last.row && t_ns > instant(last) && rows.reading(i, index) > last.value;
    if (!stays) {
      dates[i] = {};
    }
  }
  for (const DatedValue& update : updates) {
    dates[update.row] = {rows.t_begin(update.row) - instant(update), true};
  }
}

}  // namespace

bool is_quick(std::int64_t sweep_ns, const Channel& channel) noexcept {
  return sweep_ns <= (channel.refresh_ns > 0 ? channel.refresh_ns : 1'000'000) / 4;
}

std::uint64_t quantum_of(const Rows& rows, std::size_t index, const Channel& channel) {
  std::uint64_t step_divisor = 0;
  for_pairs(rows, index, [&](Pair pair) {
    const std::uint64_t step = rows.reading(pair.second, index) - rows.reading(pair.first, index);
    // Mostly it divides; a division is a fifth of a gcd.
    if (step_divisor == 0 || step % step_divisor != 0) {
      step_divisor = std::gcd(step_divisor, step);
    }
  });
  return step_divisor > 0 ? std::min(step_divisor, channel.quantum) : channel.quantum;
}

std::vector<RowDate> date_rows(const Rows& rows, std::size_t index, const Channel& channel,
                               std::uint64_t quantum, KnownClock* known) {
  std::vector<RowDate> dates(rows.size());
  if (dates.empty()) {
    return dates;
  }
  // Dates that an interrupted sweep gives are left out, but for those with no good one behind them:
  // which ones are used does not depend on the time asked for, so that energy never runs backwards.
  std::vector<std::size_t> slow;
  std::vector<Seen> seen;
  for_pairs(rows, index, [&](Pair pair) {
    if (rows.reading(pair.second, index) == rows.reading(pair.first, index)) {
      return;
    }
    const Seen update = see(rows, channel, pair);
    dates[pair.second] = {rows.t_begin(pair.second) - update.middle_ns(), false};
    if (!is_quick(rows.t_end(pair.second) - rows.t_begin(pair.second), channel)) {
      slow.push_back(pair.second);
      return;
    }
    for (const std::size_t row : slow) {
      dates[row] = {};
    }
    slow.clear();
    if (channel.is_slow()) {
      seen.push_back(update);
    }
  });
  date_by_neighbours(rows, channel, seen, dates);
  dates[0] = {(rows.t_begin(0) - rows.t_end(0)) / 2, false};
  if (known != nullptr && channel.is_slow()) {
    date_by_phase(rows, index, channel, *known, dates);
  } else if (known != nullptr && known->look(rows, index, channel, quantum)) {
    date_by_clock(rows, index, date_updates(rows, index, quantum, *known->clock), dates);
  }
  return dates;
}

}  // namespace wattring
