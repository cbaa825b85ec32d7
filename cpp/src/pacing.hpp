// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "budget.hpp"
#include "channel.hpp"
#include "edges.hpp"
#include "ring.hpp"

namespace wattring {

// When a source is read whose reading holds up the measured program: within a budget, and, once its
// first seconds have shown how often the slow counters publish, where an update may be due. One
// thread, but for channels().
class Pacing {
 public:
  // `share` of the time; readings come `period_ns` apart at least.
  Pacing(std::span<const Channel> published, double share, std::int64_t period_ns);

  // Whether to read now; `urgent`: somebody waits for it. `ring` has the rows so far.
  bool may_read(std::int64_t now_ns, bool urgent, const Ring& ring) noexcept;
  // What a sweep between two times has read.
  void see(std::span<const std::uint64_t> readings, std::int64_t begin_ns,
           std::int64_t end_ns) noexcept;

  // The published ones, with what a slow counter's refresh turned out to be in the place of what it
  // says. Any thread.
  std::span<const Channel> channels() const noexcept {
    return *channels_.load(std::memory_order_acquire);
  }

 private:
  // Whether readings are to be made to learn when updates come.
  bool learns(std::int64_t now_ns) noexcept;
  // How far apart readings are to be that somebody waits for.
  std::int64_t close_ns(std::int64_t now_ns) const noexcept;
  // Does both of that; later once more if the rows don't tell.
  void correct(std::int64_t now_ns, const Ring& ring) noexcept;

  std::vector<Channel> published_;
  std::vector<Channel> observed_;  // written before channels_ points to it
  std::atomic<const std::vector<Channel>*> channels_{&published_};
  std::int64_t period_ns_;
  std::int64_t slowest_ns_;  // refresh
  std::int64_t correct_at_ns_ = 0;
  Budget budget_;
  Edges edges_;
  bool may_learn_ = false;
  bool is_told_ = false;  // how often the counters publish
};

}  // namespace wattring
