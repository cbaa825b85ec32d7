// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "environment.hpp"
#include "estimate.hpp"
#include "registry.hpp"
#include "sampler.hpp"

namespace wattring {

// How much energy one counter saw between two times.
struct ChannelEnergy {
  double lower_j = 0;
  double value_j = 0;
  double upper_j = 0;        // infinite where nothing proves one
  bool still = false;        // the counter stood still at one end: "moved by less than its unit"
  std::uint64_t failed = 0;  // readings in between with these marks (row.hpp)
  std::uint64_t ambiguous = 0;
  std::uint64_t reset = 0;
  // Of the whole source: rows behind missed deadlines, and rows of the window that have left the
  // ring. Once rows are lost, `gap` rests on the count of missed deadlines.
  std::uint64_t gap = 0;
  std::uint64_t lost = 0;
};

// Where every counter of a session stood at one time. Two of them make a window, however long: they
// outlive the rows that they came from.
struct Mark {
  struct PerSource {
    std::vector<Standing> standings;
    std::vector<std::array<std::uint64_t, 3>> tallies;  // failed, ambiguous, reset so far
    std::uint64_t missed = 0;                           // deadlines without a row so far
    std::uint64_t row = 0;                              // first row after the mark
    // Per channel: marks (and gaps) of rows after the mark that may be in the tallies already,
    // because the mark was settled later.
    std::vector<std::array<std::uint64_t, 4>> since;
  };
  std::int64_t t_ns = 0;
  std::vector<PerSource> sources;
  std::shared_ptr<const char> session;  // whose mark it is; only compared
};

// The samplers of one process under one start and stop and one clock.
class Session {
 public:
  // Opens the sources; refuses a period that they cannot be sampled at. Throws Error.
  Session(const Environment& env, const std::vector<std::string>& sources,
          const SamplerOptions& options);

  void start();          // Throws Error(state) when it was started before.
  void stop() noexcept;  // Idempotent; the rows stay readable.

  bool running() const noexcept;
  // In a child of fork the samplers do not exist and the rings are the parent's: throws
  // Error(state).
  void require_own_process() const;

  const std::vector<std::unique_ptr<Sampler>>& samplers() const noexcept { return samplers_; }
  const std::vector<Skipped>& skipped() const noexcept { return skipped_; }

  // Settles a time stamp of the past. Waits until later rows cover it: at most four refreshes,
  // mostly one. Throws Error (invalid, state).
  Mark mark(std::int64_t t_ns) const;
  // Energy per source and channel between two marks of this session.
  std::vector<std::vector<ChannelEnergy>> between(const Mark& from, const Mark& to) const;

 private:
  void check_period(const OpenedSource& opened) const;
  std::vector<Standing> settle(std::size_t source, std::int64_t t_ns) const;

  SamplerOptions options_;
  std::shared_ptr<const char> identity_ = std::make_shared<const char>();
  std::vector<std::unique_ptr<Sampler>> samplers_;
  std::vector<Skipped> skipped_;
  mutable std::mutex clocks_mutex_;
  mutable std::vector<std::vector<KnownClock>> clocks_;  // per source and channel
  pid_t owner_ = 0;
  std::atomic<bool> started_{false};
  std::mutex starting_;  // start() and stop() may be called from any thread
};

}  // namespace wattring
