// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adaptive.hpp"
#include "clock.hpp"
#include "counter.hpp"
#include "histogram.hpp"
#include "integrator.hpp"
#include "pacing.hpp"
#include "ring.hpp"
#include "row.hpp"
#include "row_counts.hpp"
#include "source.hpp"

namespace wattring {

struct SamplerOptions {
  std::int64_t period_ns = 1'000'000;  // 0: without pause, for benchmarks
  std::size_t rows = 65'536;
  int cpu = -1;      // run on this CPU; -1: anywhere. Asked for, never required
  int priority = 0;  // SCHED_FIFO priority; 0: the ordinary scheduler. Asked for, never required
  // Follow the updates of a source that holds up nothing, in place of the period.
  bool adaptive = false;
  // The last part of each wait is spent awake, so that nothing is late by a wake-up. 0: none. Not
  // for sources that hold up the measured program.
  std::int64_t spin_ns = 0;
  // The share of the time that reading may take of a source that holds up the measured program; 1:
  // all of it, at the period asked for.
  double budget = 0.005;

  bool is_paced(const Source& source) const noexcept {
    return source.least_period_ns() > 0 && budget < 1;
  }
  std::int64_t period_of(const Source& source) const noexcept {
    if (is_paced(source)) {
      return std::max(period_ns, source.least_period_ns());
    }
    return adaptive ? Adaptive::published_ns(source.channels()) : period_ns;
  }
};

// How often each mark was set on a channel.
struct ChannelTallies {
  Tally failed;
  Tally ambiguous;
  Tally reset;

  void add(std::uint64_t marks) noexcept {
    failed.add((marks & row::failed) != 0 ? 1 : 0);
    ambiguous.add((marks & row::ambiguous) != 0 ? 1 : 0);
    reset.add((marks & row::reset) != 0 ? 1 : 0);
  }
  MarkCounts snapshot() const noexcept { return {failed.get(), ambiguous.get(), reset.get()}; }
};

struct SamplerStats {
  std::uint64_t samples = 0;
  std::uint64_t missed = 0;   // deadlines that passed without a sample
  std::uint64_t spared = 0;   // samples left out: nothing new was due, or for the budget
  std::uint64_t retries = 0;  // sweeps that the source could not do and will do again
  std::uint64_t failed = 0;   // sweeps in which no channel could be read
  int last_errno = 0;
  bool running = false;
  bool gone = false;            // the device vanished
  std::uint64_t ambiguous = 0;  // readings with these marks (row.hpp), of all channels
  std::uint64_t resets = 0;
  std::array<double, 5> lateness_ns = {};   // p50, p90, p99, p99.9, max
  std::array<double, 5> read_ns = {};       // likewise
  double read_s = 0;                        // time spent on reading
  double cpu_s = 0;                         // CPU time of the sampling thread
  std::optional<Adaptive::Stats> adaptive;  // of one that follows the updates
  std::string refused;                      // an affinity or priority that was not granted, and why
};

// Told of each row by the thread that took it, which has nothing else to do until the next; and
// once more when it has taken its last because the device is gone.
class RowFollower {
 public:
  virtual void after_row() noexcept = 0;
  // Whether something waits for the next.
  virtual bool waits() const noexcept = 0;

 protected:
  RowFollower() = default;
  ~RowFollower() = default;
};

// One thread that reads one source into one ring on an absolute grid. A missed deadline is counted
// and skipped, never caught up in a burst.
class Sampler {
 public:
  Sampler(std::string name, std::unique_ptr<Source> source, const SamplerOptions& options);
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  // Before start(). The follower outlives the thread.
  void follow_with(RowFollower& follower) noexcept { follower_ = &follower; }
  // Returns once the first rows are there and every counter has moved (or had the time to), so that
  // whatever begins now has an update before it. Throws Error.
  void start();
  // Takes a last few rows, so that whatever ended before now has an update after it. Idempotent. In
  // a child of fork, where the thread does not exist, it does nothing.
  void stop() noexcept;

  const std::string& name() const noexcept { return name_; }
  const Source& source() const noexcept { return *source_; }
  // The source's, with what a slow counter's refresh turns out to be in the place of what it says.
  std::span<const Channel> channels() const noexcept {
    return pacing_ ? pacing_->channels() : source_->channels();
  }
  const Ring& ring() const noexcept { return ring_; }
  // When a counter publishes, if its updates are followed.
  std::optional<UpdateClock> clock_of(std::size_t channel) const noexcept {
    return adaptive_ ? adaptive_->clock_of(channel) : std::nullopt;
  }
  // The one asked for, or the least that the source allows.
  std::int64_t period_ns() const noexcept {
    return adaptive_ ? adaptive_->period_ns() : options_.period_ns;
  }
  // Somebody waits for rows (+1), or does no more (-1).
  void wait_for_rows(int change) const noexcept {
    waiting_.fetch_add(change, std::memory_order_relaxed);
  }
  bool running() const noexcept { return running_.load(std::memory_order_acquire); }
  // When a row was last left out on purpose; 0: never.
  std::int64_t spared_ns() const noexcept { return spared_ns_.load(std::memory_order_relaxed); }
  SamplerStats stats() const;
  // What all rows so far said, and how many those are. May wait for a row that is just being made.
  std::uint64_t count_rows(RowCounts& counts) const;

 private:
  static void* enter(void* self) noexcept;
  void run() noexcept;
  void prepare_thread() noexcept;
  void loop() noexcept;
  // Sleeps, then spins as far as asked for, until the deadline or a stop; sets t_begin_.
  void wait_until(std::int64_t deadline_ns) noexcept;
  // Polls quickly until every counter has moved since the first of these rows (at the end, as often
  // as an estimate needs), and every integral has come as far.
  void settle(bool at_end) noexcept;
  // Whether to take a row at t_begin_, of a source that is read with restraint.
  bool may_read() noexcept;
  // One row, now; false when the device is gone.
  bool take() noexcept;
  // One sweep, begun at t_begin_, into one row.
  bool sweep(std::uint64_t status) noexcept;
  bool push(ReadStatus outcome, std::uint64_t status) noexcept;
  // Takes in what a channel that has an integrator has read; returns its marks.
  std::uint64_t integrate(std::size_t channel) noexcept;

  std::string name_;
  std::unique_ptr<Source> source_;
  SamplerOptions options_;
  RowFollower* follower_ = nullptr;
  std::optional<Pacing> pacing_;  // of a source that holds up the measured program
  std::optional<Adaptive> adaptive_;
  mutable std::atomic<int> waiting_{0};
  Ring ring_;
  Sweep sweep_;
  std::vector<Counter> counters_;        // of the channels that are no integrals
  std::vector<Integrator> integrators_;  // of those that are, in their order
  std::vector<int> integrator_of_;       // of each channel; -1: it has none
  std::vector<ChannelTallies> tallies_;
  std::vector<std::uint64_t> row_;
  std::int64_t t_begin_ = 0;
  std::int64_t t_end_ = 0;

  pthread_t thread_{};
  pid_t owner_ = 0;
  bool joinable_ = false;
  Alarm stop_;
  Alarm ready_;
  std::atomic<bool> running_{false};
  std::atomic<bool> gone_{false};
  std::atomic<int> last_errno_{0};
  std::atomic<std::int64_t> spared_ns_{0};
  std::atomic<std::int64_t> cpu_ns_{0};  // set when the thread ends
  std::string refused_;                  // this and the clock are written before ready_ rings
  clockid_t cpu_clock_{};
  Tally samples_;
  Tally missed_;
  Tally spared_;
  Tally retries_;
  Tally failed_;
  Tally gaps_;
  Histogram lateness_;
  Histogram read_time_;
};

}  // namespace wattring
