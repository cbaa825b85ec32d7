// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "mark.hpp"
#include "sum.hpp"

namespace wattring {

// Time and energy of spans that follow one another.
struct Covered {
  std::int64_t ns = 0;
  std::vector<ChainedSum> channels;  // of all sources, one after the other

  void fold() noexcept {
    for (ChainedSum& channel : channels) {
      channel.fold();
    }
  }
};

// The time that windows cover together: what several of them share counts once. Each end closes a
// span, which takes the place of those that it reaches back over; so what was covered before a span
// is kept for as long as a window is open that may still do that. Memory grows with the windows
// that are open at once.
//
// Begins and ends are told in the order of the queue: a begin always comes before an end that is
// later than it, while an end may come behind later ones.
class Cover {
 public:
  void begin(std::int64_t t_ns) {
    most_open_ = std::max(most_open_, ++open_);
    if (open_ > 1) {
      begin_among_others(t_ns);
    } else {
      starts_.emplace_back(t_ns);
    }
  }
  // The window that began then does not count after all.
  void cancel(std::int64_t t_ns);

  struct Span {
    // The marks at its ends, until the next call; nullptr: there is nothing to add.
    const std::vector<Mark::PerSource>* from = nullptr;
    const std::vector<Mark::PerSource>* to = nullptr;
    bool is_window = false;  // from the window's own begin to its own end
    bool is_apart = false;   // and none of that time was covered already
  };
  // The span that this window's end closes. Takes from `covered` what it reaches back over and adds
  // its time; the caller adds its energy.
  Span end(const Mark& from, const Mark& to, Covered& covered) {
    if (open_ > 1 || starts_[0].at || starts_[0].before) {
      return end_among_others(from, to, covered);
    }
    // Mostly a window meets no other of its name.
    open_ = 0;
    reached_ns_ = never;
    starts_.pop_back();
    covered.ns += to.t_ns - from.t_ns;
    return {&from.sources, &to.sources, true, true};
  }

  // So many windows were open at once, at most.
  std::uint64_t most_open() const noexcept { return most_open_; }

 private:
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min();

  // Where spans may begin that are not closed yet, in order.
  struct Start {
    explicit Start(std::int64_t t) : t_ns(t) {}
    std::int64_t t_ns;
    std::uint64_t open = 1;  // windows that began here, or in the span from here
    // The span from here as far as it goes: until the end of the windows that have ended.
    std::int64_t until_ns = never;  // none has
    std::unique_ptr<std::vector<Mark::PerSource>> at;
    // What is covered up to here; if null, what is up to the next start, or now if none keeps any.
    std::unique_ptr<Covered> before;

    // Before this start is given up.
    void hand_down(Start& lower) noexcept;
  };

  void begin_among_others(std::int64_t t_ns);
  Span end_among_others(const Mark& from, const Mark& to, Covered& covered);
  // Of a window whose thread was held up between the clock and the queue.
  void end_late(std::size_t start, const Mark& from, const Mark& to, Covered& covered);
  std::size_t start_of(std::int64_t t_ns) const noexcept;
  // What began in a span that goes on until then is part of it.
  void swallow(std::size_t start, std::int64_t end_ns);
  // To what was covered before a start, which is kept for whoever may still need it.
  void go_back(std::size_t start, Covered& covered);
  // After one of its windows has ended: nobody may need it any more.
  void leave(std::size_t start);

  std::vector<Start> starts_;
  std::uint64_t open_ = 0;
  std::uint64_t most_open_ = 0;
  std::int64_t reached_ns_ = never;  // the latest end while others are open, and the mark at it
  std::vector<Mark::PerSource> reached_;
  std::vector<Mark::PerSource> from_;
};

}  // namespace wattring
