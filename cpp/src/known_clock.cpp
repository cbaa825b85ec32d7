// SPDX-License-Identifier: Apache-2.0
#include "known_clock.hpp"

#include <algorithm>
#include <limits>

namespace wattring {

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

void KnownClock::see_change(const Channel& channel, const Rows& rows, Pair pair) noexcept {
  // A refresh may turn out to be another than was published (Sampler::channels()).
  if (!phase || phase->refresh_ns() != channel.refresh_ns) {
    phase.emplace(channel.refresh_ns);
    phase_ns = 0;
  }
  if (rows.t_end(pair.second) > phase_ns) {
    phase_ns = rows.t_end(pair.second);
    phase->see(rows.t_begin(pair.first), phase_ns);
  }
}

bool KnownClock::take(const std::optional<UpdateClock>& found, std::int64_t newest_ns) {
  if (found) {
    clock = found;
    failures = 0;
    found_ns = newest_ns;
    pause_ns = shortest_pause_ns;
  } else if (++failures >= most_failures || !clock) {
    clock.reset();
    search_again_ns = newest_ns + pause_ns;
    pause_ns = std::min(2 * pause_ns, longest_pause_ns);
  }
  return found.has_value();
}

void follow_phases(const Rows& rows, std::span<const Channel> channels,
                   std::vector<KnownClock>& clocks) {
  std::vector<std::size_t> slow;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    if (channels[i].kind == Kind::counter && channels[i].is_slow()) {
      slow.push_back(i);
    }
  }
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> last(slow.size(), none);  // row with a good reading
  for (std::size_t row = 0; row < rows.size() && !slow.empty(); ++row) {
    for (std::size_t s = 0; s < slow.size(); ++s) {
      const std::size_t i = slow[s];
      if ((rows.marks(row, i) & row::failed) != 0) {
        continue;
      }
      if (last[s] != none && rows.reading(row, i) != rows.reading(last[s], i)) {
        clocks[i].see_change(channels[i], rows, {last[s], row});
      }
      last[s] = row;
    }
    share_periods(clocks, [](KnownClock& clock) { return clock.phase ? &*clock.phase : nullptr; });
  }
}

}  // namespace wattring
