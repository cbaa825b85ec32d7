// SPDX-License-Identifier: Apache-2.0
#include "known_clock.hpp"

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

}  // namespace wattring
