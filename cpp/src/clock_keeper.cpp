// SPDX-License-Identifier: Apache-2.0
#include "clock_keeper.hpp"

#include <algorithm>

namespace wattring {
namespace {

// Half of what a search can use: less would find a clock earlier, and oftener none.
constexpr std::uint64_t fewest_rows = ClockFinder::most_rows / 2;
// A sampler in more of a hurry has no time for slices, nor as much need of the clock.
constexpr std::int64_t shortest_period_ns = 200'000;

}  // namespace

ClockKeeper::ClockKeeper(const Sampler& sampler)
    : sampler_(sampler), clocks_(sampler.channels().size()) {
  for (KnownClock& clock : clocks_) {
    clock.searched_elsewhere = true;
  }
  for (const Channel& channel : sampler.channels()) {
    any_slow_ = any_slow_ || (channel.kind == Kind::counter && channel.is_slow());
  }
}

void ClockKeeper::work() {
  if (any_slow_) {
    follow();
  }
  ask();
  if (!finder_) {
    begin();
  } else if (!finder_->step()) {
    clocks_[channel_].take(finder_->result(), newest_ns_);
    finder_.reset();
  }
}

// A sampler that follows the updates knows their clock, and takes rows that hardly tell it.
void ClockKeeper::ask() {
  for (std::size_t i = 0; i < clocks_.size(); ++i) {
    if (const auto clock = sampler_.clock_of(i)) {
      clocks_[i].take(clock, clock->phase_ns);
    }
  }
}

void ClockKeeper::follow() {
  const Ring& ring = sampler_.ring();
  const std::uint64_t head = ring.head();
  if (row_ == head) {
    return;
  }
  std::uint64_t cursor =
      row_ - std::min<std::uint64_t>(row_, 1);  // what the first is compared with
  std::vector<std::uint64_t> words((head - std::max(cursor, ring.oldest())) * ring.words_per_row());
  const Ring::Copied copied = ring.read(cursor, words);
  follow_phases({{words.data(), copied.rows * ring.words_per_row()}, ring.words_per_row()},
                sampler_.channels(), clocks_);
  row_ = head;
}

void ClockKeeper::begin() {
  const Ring& ring = sampler_.ring();
  const std::uint64_t head = ring.head();
  std::uint64_t newest = 0;
  if (head < fewest_rows || sampler_.period_ns() < shortest_period_ns ||
      !ring.peek(head - 1, row::t_end_word, newest)) {
    return;
  }
  newest_ns_ = static_cast<std::int64_t>(newest);
  const std::span<const Channel> channels = sampler_.channels();
  const auto wanted = [&](std::size_t i) {
    return channels[i].kind == Kind::counter && !channels[i].is_slow() && !clocks_[i].clock &&
           newest_ns_ >= clocks_[i].search_again_ns;
  };
  channel_ = 0;
  while (channel_ < channels.size() && !wanted(channel_)) {
    ++channel_;
  }
  if (channel_ == channels.size()) {
    return;
  }
  std::uint64_t cursor = head - std::min<std::uint64_t>(head, ClockFinder::most_rows);
  std::vector<std::uint64_t> words((head - cursor) * ring.words_per_row());
  const Ring::Copied copied = ring.read(cursor, words);
  const Rows rows({words.data(), copied.rows * ring.words_per_row()}, ring.words_per_row());
  if (rows.size() > 0) {
    finder_.emplace(rows, channel_, channels[channel_],
                    quantum_of(rows, channel_, channels[channel_]));
  }
}

}  // namespace wattring
