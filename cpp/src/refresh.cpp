// SPDX-License-Identifier: Apache-2.0
#include "refresh.hpp"

#include <algorithm>
#include <cmath>

#include "estimate.hpp"
#include "stretches.hpp"
#include "update_clock.hpp"

namespace wattring {
namespace {

constexpr std::size_t fewest_intervals = 10;
// Under a steady load no refresh can have come between two changes by more than a unit.
constexpr double fewest_units = 3;
constexpr std::size_t around = 4;  // changes on either side

double quantile(std::vector<double>& values, double share) {
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// Times between changes that tell of the sensor.
struct Intervals {
  std::vector<double> ns;
  std::size_t idle = 0;  // left out: a counter that creeps on shows a unit when it is due
};

Intervals intervals_of(const Rows& rows, std::size_t index, const Channel& channel,
                       const std::vector<Stretch>& stretches, double distance_ns) {
  const double least_step =
      channel.kind == Kind::counter
          ? fewest_units * static_cast<double>(quantum_of(rows, index, channel))
          : 0;
  std::vector<Change> changes;
  for (std::size_t k = 1; k < stretches.size(); ++k) {
    changes.push_back(change_between(rows, index, stretches[k - 1], stretches[k]));
  }
  Intervals found;
  std::vector<double> steps;
  for (std::size_t k = 1; k < changes.size(); ++k) {
    // By the steps around: to leave out the small ones alone would leave out the early ones.
    steps.clear();
    for (std::size_t i = k - std::min(k, around); i < std::min(k + around + 1, changes.size());
         ++i) {
      steps.push_back(std::abs(changes[i].step));
    }
    const double interval_ns = changes[k].t_ns - changes[k - 1].t_ns;
    if (quantile(steps, 0.5) < least_step) {
      ++found.idle;
    } else if (std::max(changes[k - 1].width_ns, changes[k].width_ns) <=
               std::max(2 * distance_ns, 0.25 * interval_ns)) {
      found.ns.push_back(interval_ns);
    }
  }
  return found;
}

// Finds the period that the intervals agree on, from one that is about it. An idle load leaves
// changes out, so that many intervals may be multiples of the period, and jitter makes a few too
// short: neither the least of them nor the mean will do.
void agree(const std::vector<double>& intervals, double period_ns, double distance_ns,
           ObservedRefresh& found) {
  std::size_t single = 0;
  std::size_t shorter = 0;
  for (int round = 0; round < 4; ++round) {
    const double within_ns = std::min(0.25 * period_ns + distance_ns, 0.5 * period_ns);
    double sum_ns = 0;
    single = 0;
    shorter = 0;
    for (const double interval_ns : intervals) {
      if (std::abs(interval_ns - period_ns) <= within_ns) {
        sum_ns += interval_ns;
        ++single;
      } else if (interval_ns < period_ns) {
        ++shorter;
      }
    }
    period_ns = single > 0 ? sum_ns / static_cast<double>(single) : period_ns;
  }
  if (5 * single < 2 * intervals.size() || 10 * shorter > intervals.size()) {
    found.evidence = Evidence::unsteady;
  } else if (single >= fewest_intervals) {
    found.evidence = Evidence::enough;
    found.period_ns = std::lround(period_ns);
  }
}

// Where a change comes with nearly every poll, only the vernier tells, and only whether the refresh
// is about what the channel says.
void ask_the_vernier(const Rows& rows, std::size_t index, const Channel& channel,
                     ObservedRefresh& found) {
  constexpr int places = 3;
  found.evidence = Evidence::slow_polls;
  const std::uint64_t quantum = quantum_of(rows, index, channel);
  std::size_t end = rows.size();
  for (int i = 0; i < places && end >= ClockFinder::fewest_rows; ++i) {
    const std::size_t count = std::min(end, ClockFinder::most_rows);
    ClockFinder finder(rows.part(end - count, count), index, channel, quantum);
    while (finder.step()) {
    }
    if (const auto clock = finder.result()) {
      found.evidence = Evidence::enough;
      found.period_ns = std::lround(clock->period_ns);
      return;
    }
    end -= count;
  }
}

void find_period(const Rows& rows, std::size_t index, const Channel& channel,
                 ObservedRefresh& found) {
  // Two changes are placed to one poll's distance each.
  constexpr double fewest_polls = 2.5;
  const std::vector<Stretch> stretches = stretches_of(rows, index);
  found.changes = stretches.empty() ? 0 : stretches.size() - 1;
  const double distance_ns = usual_distance_ns(rows, index);
  Intervals intervals = intervals_of(rows, index, channel, stretches, distance_ns);
  if (intervals.ns.size() < fewest_intervals) {
    found.evidence = intervals.idle >= fewest_intervals ? Evidence::idle : Evidence::few_changes;
    return;
  }
  // Amid the single ones, if a tenth at most is shorter and two fifths are single.
  const double start_ns = quantile(intervals.ns, 0.3);
  if (start_ns >= fewest_polls * distance_ns) {
    agree(intervals.ns, start_ns, distance_ns, found);
  } else if (channel.kind == Kind::counter) {
    ask_the_vernier(rows, index, channel, found);
  } else {
    found.evidence = Evidence::slow_polls;
  }
}

}  // namespace

ObservedRefresh observe_refresh(const Rows& rows, std::span<const Channel> channels,
                                std::size_t index) {
  ObservedRefresh found;
  if (rows.size() > 0) {
    found.observed_ns = rows.t_end(rows.size() - 1) - rows.t_begin(0);
    find_period(rows, index, channels[index], found);
    found.staleness = staleness_of(
        rows, channels, index, found.period_ns > 0 ? found.period_ns : channels[index].refresh_ns);
  }
  return found;
}

std::vector<ObservedRefresh> observe_refresh(const Ring& ring, std::span<const Channel> channels,
                                             std::size_t most_rows) {
  const std::uint64_t head = ring.head();
  std::uint64_t cursor = std::max(ring.oldest(), head - std::min<std::uint64_t>(head, most_rows));
  std::vector<std::uint64_t> words((head - cursor) * ring.words_per_row());
  const Ring::Copied copied = ring.read(cursor, words);
  const Rows rows({words.data(), copied.rows * ring.words_per_row()}, ring.words_per_row());
  std::vector<ObservedRefresh> found;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    found.push_back(observe_refresh(rows, channels, i));
  }
  return found;
}

}  // namespace wattring
