// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "environment.hpp"
#include "mark.hpp"
#include "registry.hpp"
#include "sampler.hpp"
#include "windows.hpp"

namespace wattring {

// The samplers of one process under one start and stop and one clock.
class Session {
 public:
  // Opens the sources; refuses a period that they cannot be sampled at. Throws Error.
  Session(const Environment& env, const std::vector<std::string>& sources,
          const SamplerOptions& options);
  // Stops first: each sampler settles windows from the rows of all.
  ~Session() { stop(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start();          // Throws Error(state) when it was started before.
  void stop() noexcept;  // Idempotent; the rows stay readable.

  bool running() const noexcept;
  // In a child of fork the samplers do not exist and the rings are the parent's: throws
  // Error(state).
  void require_own_process() const;
  // Likewise when it was never started.
  void require_started() const;

  const std::vector<std::unique_ptr<Sampler>>& samplers() const noexcept { return samplers_; }
  const std::vector<Skipped>& skipped() const noexcept { return skipped_; }

  // Windows of this session. Throws Error(state) in a child of fork.
  Windows& windows();

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
  Windows windows_{identity_};  // outlives the samplers, which tell it of their rows
  std::vector<std::unique_ptr<Sampler>> samplers_;
  std::vector<Skipped> skipped_;
  mutable std::mutex clocks_mutex_;
  mutable std::vector<std::vector<KnownClock>> clocks_;  // per source and channel
  pid_t owner_ = 0;
  std::atomic<bool> started_{false};
  std::mutex starting_;  // start() and stop() may be called from any thread
};

}  // namespace wattring
