// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "channel.hpp"
#include "edge_lock.hpp"
#include "histogram.hpp"
#include "update_times.hpp"

namespace wattring {

// When to sweep a source so that each update of its counters is seen once, by the fewest readings:
// once a refresh, as far from all expected updates as can be, and now and then at an expected one,
// to keep the phase. Before that it learns, at three readings a refresh; where there is nothing to
// learn it falls back to the published refresh, says why, and tries again later.
//
// The counters of the shortest refresh decide. One thread, but for stats() and period_ns().
class Adaptive {
 public:
  enum class State : std::uint8_t { learning, following, fixed };
  enum class Reason : std::uint8_t {
    none,
    unknown,   // no counter with a published refresh
    idle,      // no counter moves often enough
    unsteady,  // their updates keep to no beat
    late,      // this machine wakes up too late
  };
  struct Stats {
    State state = State::learning;
    Reason reason = Reason::none;
    std::int64_t period_ns = 0;
    std::uint64_t due = 0;    // refreshes while it followed, by the period that it found
    std::uint64_t seen = 0;   // updates then, of the counter of which the fewest were seen
    std::uint64_t reads = 0;  // sweeps then
  };

  explicit Adaptive(std::span<const Channel> channels);

  // What the counters of the shortest refresh publish; 1 ms where none tells.
  static std::int64_t published_ns(std::span<const Channel> channels) noexcept;

  // The deadline behind the one whose sweep begins now.
  std::int64_t next(std::int64_t deadline_ns, std::int64_t now_ns) noexcept;
  // Leaves out the deadlines that have passed; how many those were.
  std::uint64_t skip(std::int64_t& deadline_ns, std::int64_t now_ns) noexcept;
  // What that sweep has read, between two times.
  void see(std::span<const std::uint64_t> readings, std::int64_t begin_ns,
           std::int64_t end_ns) noexcept;

  // Between sweeps now, but for those that learn or keep the phase. Any thread, as the next two.
  std::int64_t period_ns() const noexcept { return period_ns_.load(std::memory_order_relaxed); }
  Stats stats() const noexcept;
  // When a counter publishes, while its updates are followed.
  std::optional<UpdateClock> clock_of(std::size_t channel) const noexcept;

 private:
  static constexpr int slots_a_probe = 8;

  struct Watched {
    std::size_t channel;
    EdgeLock lock{};
    std::uint64_t value = 0;
    int changes = 0;          // since it began to learn
    int changes_in_slot = 0;  // since the last sweep that was none at an edge
    int odd = 0;              // of these times those without a change, and by weight with two
    bool followed = false;
  };
  // What others may know of a lock.
  struct Told {
    std::atomic<double> period_ns{0};  // 0: nothing
    std::atomic<std::int64_t> edge_ns{0};
  };

  void learn(std::int64_t t_ns, double guess_ns, int guesses = 1) noexcept;
  void decide(std::int64_t t_ns) noexcept;
  void follow() noexcept;
  void tell(const Watched& counter) noexcept;
  void fall_back(std::int64_t t_ns, Reason reason) noexcept;
  void end_slot(std::int64_t begin_ns) noexcept;
  void review(std::int64_t t_ns) noexcept;
  void choose_offset() noexcept;
  std::int64_t plan(std::int64_t deadline_ns) noexcept;
  std::int64_t step_ns() const noexcept;
  const EdgeLock& lead() const noexcept { return watched_[lead_].lock; }
  void set(State state, Reason reason, double period_ns) noexcept;

  double published_ns_;
  std::vector<Watched> watched_;
  std::vector<Told> told_;      // of each channel
  std::vector<double> phases_;  // room for choose_offset()
  std::atomic<State> state_{State::learning};
  std::atomic<Reason> reason_{Reason::none};
  std::atomic<std::int64_t> period_ns_;
  Tally due_;
  Tally seen_;
  Tally reads_;

  double guess_ns_;            // while it learns
  int polls_ = 0;              // likewise
  int guesses_ = 0;            // likewise, in a row
  double fixed_for_;           // refreshes, the next time
  std::int64_t until_ns_ = 0;  // it learns, or is fixed
  std::int64_t last_begin_ns_ = 0;

  std::size_t lead_ = 0;    // by whose edges the slots go
  double offset_ns_ = 0;    // of the slots behind them
  std::size_t probed_ = 0;  // whose edge is read next
  int since_probe_ = 0;
  bool at_edge_ = false;      // of the deadline to come
  bool was_at_edge_ = false;  // of the sweep now made
  std::int64_t slot_ns_ = 0;  // the last one planned
  std::int64_t slot_begin_ns_ = 0;
  int slots_ = 0;           // since the last review
  int late_ = 0;            // of these
  double lateness_ns_ = 0;  // mean of the last ones
  int strikes_ = 0;         // reviews in a row that found the phase lost
};

}  // namespace wattring
