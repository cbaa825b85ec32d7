// SPDX-License-Identifier: Apache-2.0
#include "timeline.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "error.hpp"

namespace wattring {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
// Windows are worked on in batches of so many standings, which the processor's cache holds.
constexpr std::size_t most_standings = 1 << 20;
// Parts of the rows that it holds as well.
constexpr std::size_t parts_together = 1 << 4;
// Memory is asked for so many times before it is needed.
constexpr std::size_t ahead = 6;

// Dates all rows, block by block: each is looked at with some rows around it, and the clock found
// in one is followed into the next. `phase`: of a slow counter, as all rows together tell it; the
// period goes for all, the phase may drift.
std::vector<RowDate> date_blocks(const Rows& rows, std::size_t index, const Channel& channel,
                                 std::uint64_t quantum, const std::optional<PhaseTracker>& phase) {
  constexpr std::size_t margin = 64;
  constexpr std::size_t fewest = 256;
  const std::size_t n = rows.size();
  std::vector<RowDate> dates(n);
  if (n == 0) {
    return dates;
  }
  const std::int64_t mean_ns = std::max<std::int64_t>(
      1, (rows.t_end(n - 1) - rows.t_begin(0)) / static_cast<std::int64_t>(n));
  // A counter's updates, some hundred of them, and what is waited for one that stands still.
  const auto beside = std::clamp<std::size_t>(
      static_cast<std::size_t>(4 * patience_ns(channel) / mean_ns), margin, 65'536);
  const std::size_t block = std::max(fewest, 4 * beside);
  KnownClock known;
  if (phase) {
    known.phase.emplace(channel.refresh_ns).know_period(phase->periods());
  }
  for (std::size_t first = 0; first < n; first += block) {
    const std::size_t last = std::min(n, first + block);
    // As many rows as a search takes, while the clock is unknown.
    const bool searches = channel.kind == Kind::counter && !channel.is_slow() &&
                          known.may_search(rows.t_end(last - 1));
    const std::size_t wanted = searches ? ClockFinder::most_rows : 0;
    const std::size_t around =
        std::max(beside, wanted > last - first ? (wanted - (last - first)) / 2 : 0);
    const std::size_t from = first - std::min(first, around);
    const std::size_t to = std::min(n, last + around);
    const std::vector<RowDate> some = date_rows(rows.part(from, to - from), index, channel, quantum,
                                                channel.kind == Kind::counter ? &known : nullptr);
    std::copy(some.begin() + static_cast<std::ptrdiff_t>(first - from),
              some.begin() + static_cast<std::ptrdiff_t>(last - from),
              dates.begin() + static_cast<std::ptrdiff_t>(first));
  }
  return dates;
}

}  // namespace

Timeline::Timeline(const Rows& rows, std::vector<Channel> channels)
    : rows_(rows), channels_(std::move(channels)), index_(rows_) {
  check(rows_, channels_);
  spoiled_.resize(channels_.size());
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    for (std::size_t c = 0; c < channels_.size(); ++c) {
      if ((rows_.marks(i, c) & (row::reset | row::ambiguous)) != 0) {
        spoiled_[c].push_back(static_cast<std::uint32_t>(i));
      }
    }
  }
  std::vector<KnownClock> clocks(channels_.size());
  follow_phases(rows_, channels_, clocks);
  for (std::size_t c = 0; c < channels_.size(); ++c) {
    curves_.emplace_back();
    if (channels_[c].has_energy()) {
      const std::uint64_t quantum = quantum_of(rows_, c, channels_[c]);
      curves_[c].emplace(rows_, c, channels_[c], quantum,
                         date_blocks(rows_, c, channels_[c], quantum, clocks[c].phase));
    }
  }
}

void Timeline::check(const Rows& rows, std::span<const Channel> channels) {
  const auto refuse = [](const std::string& why) {
    throw Error(Errc::invalid, "these are no samples: " + why, "give rows as a session wrote them");
  };
  for (std::size_t c = 0; c < channels.size(); ++c) {
    if (channels[c].kind == Kind::integral &&
        (c + 1 == channels.size() || channels[c + 1].kind != Kind::variance)) {
      refuse(channels[c].name + " is an integral without its variance");
    }
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows.t_end(i) < rows.t_begin(i) || (i > 0 && rows.t_begin(i) < rows.t_end(i - 1))) {
      refuse("the times of row " + std::to_string(i) + " are out of order");
    }
    for (std::size_t c = 0; i > 0 && c < channels.size(); ++c) {
      if (channels[c].kind != Kind::gauge && rows.reading(i, c) < rows.reading(i - 1, c)) {
        refuse(channels[c].name + " falls in row " + std::to_string(i));
      }
    }
  }
  if (rows.size() >= std::numeric_limits<std::uint32_t>::max()) {
    refuse("there are 2^32 of them or more");
  }
}

bool Timeline::is_spoiled(std::size_t channel, std::size_t first, std::size_t last) const noexcept {
  const auto& rows = spoiled_[channel];
  const auto found = std::lower_bound(rows.begin(), rows.end(), first);
  return found != rows.end() && *found <= last;
}

// The times roughly in their order: random ones would wait for memory a dozen times each.
std::vector<Timeline::Asked> Timeline::in_order(std::span<const std::int64_t> begins_ns,
                                                std::span<const std::int64_t> ends_ns) const {
  std::vector<std::uint32_t> places(index_.parts() / parts_together + 2);
  for (const auto& times : {begins_ns, ends_ns}) {
    for (const std::int64_t t_ns : times) {
      ++places[index_.part_of(t_ns) / parts_together + 1];
    }
  }
  std::partial_sum(places.begin(), places.end(), places.begin());
  std::vector<Asked> asked(begins_ns.size() + ends_ns.size());
  std::uint32_t number = 0;
  for (const auto& times : {begins_ns, ends_ns}) {
    for (const std::int64_t t_ns : times) {
      asked[places[index_.part_of(t_ns) / parts_together]++] = {t_ns, number++};
    }
  }
  return asked;
}

void Timeline::fetch(std::size_t row) const noexcept {
  row -= std::min<std::size_t>(row, 1);
  constexpr std::size_t line = 64;
  const auto* const begin = reinterpret_cast<const char*>(rows_.address(row));
  for (std::size_t offset = 0; offset < 5 * rows_.row_bytes(); offset += line) {
    __builtin_prefetch(begin + offset);
  }
  for (const std::optional<Curve>& curve : curves_) {
    if (curve) {
      curve->fetch(row);
    }
  }
}

void Timeline::between(std::span<const std::int64_t> t0_ns, std::span<const std::int64_t> t1_ns,
                       const Energies& to) const {
  const std::size_t windows = t0_ns.size();
  const std::size_t channels = channels_.size();
  const std::size_t batch = most_standings / 2 / std::max<std::size_t>(1, channels);
  std::vector<Standing> standings;  // of a batch's begins, then of its ends
  std::vector<std::uint32_t> after;
  for (std::size_t first = 0; first < windows; first += batch) {
    const std::size_t count = std::min(batch, windows - first);
    const std::vector<Asked> asked =
        in_order(t0_ns.subspan(first, count), t1_ns.subspan(first, count));
    standings.resize(asked.size() * channels);
    after.resize(asked.size());
    for (std::size_t k = 0; k < asked.size(); ++k) {
      if (k + ahead < asked.size()) {
        fetch(index_.near(asked[k + ahead].t_ns));
      }
      const Asked& mark = asked[k];
      const std::size_t row = index_.after(mark.t_ns);
      after[mark.number] = static_cast<std::uint32_t>(row);
      if (row == 0 || row == rows_.size()) {
        continue;
      }
      for (std::size_t c = 0; c < channels; ++c) {
        if (curves_[c]) {
          standings[mark.number * channels + c] = curves_[c]->at(mark.t_ns, row);
        }
      }
    }
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t a = after[i];
        const std::size_t b = after[count + i];
        ChannelEnergy energy{.value_j = no_number, .upper_j = infinite};
        if (curves_[c] && a > 0 && b < rows_.size() && t1_ns[first + i] >= t0_ns[first + i]) {
          WindowMarks found;
          found.readings[1] = is_spoiled(c, a, b) ? 1 : 0;
          energy = energy_between(standings[i * channels + c],
                                  standings[(count + i) * channels + c], found);
        }
        const std::size_t place = c * windows + first + i;
        to.lower_j[place] = energy.lower_j;
        to.value_j[place] = energy.value_j;
        to.upper_j[place] = energy.upper_j;
      }
    }
  }
}

std::vector<ChannelEnergy> Timeline::energy(std::int64_t t0_ns, std::int64_t t1_ns) const {
  const std::size_t first = index_.after(t0_ns);
  const std::size_t last = index_.after(t1_ns);
  if (first == 0) {
    throw Error(Errc::invalid, "time stamp " + std::to_string(t0_ns) + " lies before this trace",
                rows_.size() == 0 ? "it has no samples"
                                  : "ask for times from " + std::to_string(rows_.t_end(0)) + " on");
  }
  RowCounts counts;
  counts.readings.resize(channels_.size());
  for (std::size_t i = first; i <= last && i < rows_.size(); ++i) {
    counts.add(rows_.status(i));
  }
  std::vector<ChannelEnergy> energies;
  for (std::size_t c = 0; c < channels_.size(); ++c) {
    energies.push_back(
        curves_[c] ? energy_between(curves_[c]->at(t0_ns, first), curves_[c]->at(t1_ns, last),
                                    {.readings = counts.readings[c], .gap = counts.gaps})
                   : ChannelEnergy{});
  }
  return energies;
}

}  // namespace wattring
