// SPDX-License-Identifier: Apache-2.0
#include "adaptive.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace wattring {
namespace {

constexpr std::int64_t default_ns = 1'000'000;
constexpr double learned_for = 72;   // refreshes
constexpr double least_fixed = 512;  // refreshes; then it learns again, soon at first
constexpr double most_fixed = 8192;  // and then for 2 % more readings
constexpr double lively = 0.6;       // moves in so many of its refreshes, or is idle
constexpr double crowded = 0.6;      // of the polls see an update: it is quicker than the guess
constexpr double scarce = 0.8;       // of its refreshes show one: it is slower
constexpr int least_changes = 9;     // to make a guess of
constexpr int slots_a_review = 256;
constexpr int most_late = slots_a_review / 8;  // by a quarter of a refresh
constexpr int most_odd = slots_a_review / 20;  // of a counter
constexpr int most_guesses = 3;
constexpr int most_strikes = 3;
constexpr double same_period = 1.1;

}  // namespace

std::int64_t Adaptive::published_ns(std::span<const Channel> channels) noexcept {
  std::int64_t shortest_ns = 0;
  for (const Channel& channel : channels) {
    if (channel.kind == Kind::counter && channel.refresh_ns > 0 &&
        (shortest_ns == 0 || channel.refresh_ns < shortest_ns)) {
      shortest_ns = channel.refresh_ns;
    }
  }
  return shortest_ns > 0 ? shortest_ns : default_ns;
}

Adaptive::Adaptive(std::span<const Channel> channels)
    : published_ns_(static_cast<double>(published_ns(channels))),
      told_(channels.size()),
      period_ns_(published_ns(channels)),
      guess_ns_(published_ns_),
      fixed_for_(least_fixed) {
  for (std::size_t i = 0; i < channels.size(); ++i) {
    if (channels[i].kind == Kind::counter &&
        static_cast<double>(channels[i].refresh_ns) == published_ns_) {
      watched_.push_back({.channel = i});
    }
  }
  phases_.resize(watched_.size());
  if (watched_.empty()) {
    fall_back(0, Reason::unknown);
    until_ns_ = std::numeric_limits<std::int64_t>::max();
  }
}

void Adaptive::set(State state, Reason reason, double period_ns) noexcept {
  reason_.store(reason, std::memory_order_relaxed);
  period_ns_.store(std::llround(period_ns), std::memory_order_relaxed);
  state_.store(state, std::memory_order_relaxed);
  at_edge_ = false;
  for (const Watched& counter : watched_) {
    tell(counter);
  }
}

void Adaptive::tell(const Watched& counter) noexcept {
  const bool is_known =
      counter.followed && state_.load(std::memory_order_relaxed) == State::following;
  Told& told = told_[counter.channel];
  told.edge_ns.store(counter.lock.edge_ns(), std::memory_order_relaxed);
  told.period_ns.store(is_known ? counter.lock.period_ns() : 0, std::memory_order_release);
}

std::optional<UpdateClock> Adaptive::clock_of(std::size_t channel) const noexcept {
  const double period_ns = told_[channel].period_ns.load(std::memory_order_acquire);
  if (period_ns == 0) {
    return std::nullopt;
  }
  return UpdateClock{period_ns, told_[channel].edge_ns.load(std::memory_order_relaxed)};
}

void Adaptive::fall_back(std::int64_t t_ns, Reason reason) noexcept {
  set(State::fixed, reason, published_ns_);
  until_ns_ = t_ns + std::llround(fixed_for_ * published_ns_);
  fixed_for_ = std::min(2 * fixed_for_, most_fixed);
  strikes_ = 0;
}

// The reason of an earlier fall-back stands until it has learned better.
void Adaptive::learn(std::int64_t t_ns, double guess_ns, int guesses) noexcept {
  set(State::learning, reason_.load(std::memory_order_relaxed), published_ns_);
  guess_ns_ = guess_ns;
  until_ns_ = t_ns + std::llround(learned_for * guess_ns);
  polls_ = 0;
  guesses_ = guesses;
  for (Watched& counter : watched_) {
    counter.lock.restart(guess_ns);
    counter.changes = 0;
  }
}

// What the polls of one guess showed.
void Adaptive::decide(std::int64_t t_ns) noexcept {
  int most = 0;
  bool any_lively = false;
  std::size_t followed = 0;
  for (Watched& counter : watched_) {
    most = std::max(most, counter.changes);
    const bool is_lively = counter.changes > lively * learned_for;
    any_lively = any_lively || is_lively;
    counter.followed = is_lively && counter.lock.is_steady();
    followed += counter.followed ? 1 : 0;
  }
  const bool may_guess = guesses_ < most_guesses;
  if (may_guess && most > crowded * polls_) {
    learn(t_ns, guess_ns_ / 2, guesses_ + 1);
  } else if (followed > 0) {
    follow();
  } else if (may_guess && most > least_changes && most < scarce * learned_for) {
    learn(t_ns, learned_for * guess_ns_ / most, guesses_ + 1);
  } else {
    fall_back(t_ns, any_lively ? Reason::unsteady : Reason::idle);
  }
}

void Adaptive::follow() noexcept {
  lead_ = watched_.size();
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    if (watched_[i].followed &&
        (lead_ == watched_.size() || watched_[i].lock.period_ns() < lead().period_ns())) {
      lead_ = i;
    }
  }
  for (Watched& counter : watched_) {
    // Slower ones are seen anyway.
    counter.followed =
        counter.followed && counter.lock.period_ns() < same_period * lead().period_ns();
    counter.changes_in_slot = 0;
    counter.odd = 0;
  }
  set(State::following, Reason::none, lead().period_ns());
  offset_ns_ = 0;
  choose_offset();
  since_probe_ = 0;
  slots_ = 0;
  late_ = 0;
  slot_begin_ns_ = 0;
}

void Adaptive::see(std::span<const std::uint64_t> readings, std::int64_t begin_ns,
                   std::int64_t end_ns) noexcept {
  const State state = state_.load(std::memory_order_relaxed);
  const std::int64_t last_ns = last_begin_ns_;
  last_begin_ns_ = begin_ns;
  const bool is_first = last_ns == 0;
  const bool is_close = static_cast<double>(end_ns - last_ns) < 0.75 * guess_ns_;
  for (Watched& counter : watched_) {
    const std::uint64_t value = readings[counter.channel];
    const bool changed = value != counter.value && !is_first;
    counter.value = value;
    if (!changed) {
      continue;
    }
    ++counter.changes;
    ++counter.changes_in_slot;
    if (state == State::learning && is_close) {
      counter.lock.learn(last_ns, end_ns);
    } else if (state == State::following && counter.followed) {
      counter.lock.follow(last_ns, end_ns);
      tell(counter);
    }
  }
  if (state == State::following) {
    reads_.add(1);
    if (begin_ns - last_ns > slots_a_review * period_ns()) {
      learn(begin_ns, published_ns_);  // the machine was held up: who knows where the phase is
    } else if (!was_at_edge_) {
      end_slot(begin_ns);
    }
    return;
  }
  ++polls_;
  if (state == State::learning && is_first) {
    learn(begin_ns, published_ns_);
  } else if (begin_ns >= until_ns_) {
    state == State::fixed ? learn(begin_ns, published_ns_) : decide(begin_ns);
  }
}

void Adaptive::end_slot(std::int64_t begin_ns) noexcept {
  const bool is_first = slot_begin_ns_ == 0;
  const std::int64_t due =
      std::llround(static_cast<double>(begin_ns - slot_begin_ns_) / lead().period_ns());
  slot_begin_ns_ = begin_ns;
  int fewest = std::numeric_limits<int>::max();
  for (Watched& counter : watched_) {
    if (counter.followed) {
      fewest = std::min(fewest, counter.changes_in_slot);
      // Two updates show only where an edge was read between.
      counter.odd += counter.changes_in_slot == 0  ? 1
                     : counter.changes_in_slot > 1 ? slots_a_probe
                                                   : 0;
    }
    counter.changes_in_slot = 0;
  }
  if (is_first) {
    return;
  }
  due_.add(static_cast<std::uint64_t>(due));
  seen_.add(static_cast<std::uint64_t>(fewest));
  if (++slots_ == slots_a_review) {
    review(begin_ns);
  }
}

void Adaptive::review(std::int64_t t_ns) noexcept {
  const bool is_late = late_ > most_late;
  const bool is_lost = std::any_of(watched_.begin(), watched_.end(), [](const Watched& counter) {
    return counter.followed && counter.odd > most_odd;
  });
  slots_ = 0;
  late_ = 0;
  for (Watched& counter : watched_) {
    counter.odd = 0;
  }
  if (is_late) {
    fall_back(t_ns, Reason::late);
  } else if (is_lost && ++strikes_ == most_strikes) {
    fall_back(t_ns, Reason::unsteady);
  } else if (is_lost) {
    learn(t_ns, published_ns_);
  } else {
    strikes_ = 0;
    fixed_for_ = least_fixed;
    period_ns_.store(std::llround(lead().period_ns()), std::memory_order_relaxed);
    choose_offset();
  }
}

Adaptive::Stats Adaptive::stats() const noexcept {
  Stats stats;
  stats.state = state_.load(std::memory_order_relaxed);
  stats.reason = reason_.load(std::memory_order_relaxed);
  stats.period_ns = period_ns();
  stats.due = due_.get();
  stats.seen = seen_.get();
  stats.reads = reads_.get();
  return stats;
}

}  // namespace wattring
