// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <csignal>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "clock.hpp"
#include "sampler.hpp"

namespace wattring {

// What a test tells an Obedient source to do, and what it saw on the sampler's thread.
struct Orders {
  std::atomic<ReadStatus> answer{ReadStatus::ok};
  std::atomic<std::int64_t> delay_once_ns{0};
  std::atomic<std::int64_t> delay_ns{0};
  std::atomic<std::int64_t> refresh_ns{0};  // move with the clock; 0: by one at every read

  std::atomic<int> thread_id{0};
  std::atomic<bool> signals_blocked{false};
  std::atomic<int> timer_slack_ns{0};
};

// One counter of 2^-14 J that does as it is told.
class Obedient final : public Source {
 public:
  explicit Obedient(Orders& orders) : orders_(orders) {
    channel_.name = "package-0";
    channel_.scale = 1.0 / 16384;
    channel_.refresh_ns = orders.refresh_ns > 0 ? orders.refresh_ns.load() : 1'000'000;
  }

  std::span<const Channel> channels() const noexcept override { return {&channel_, 1}; }

  ReadStatus read(Sweep& sweep) noexcept override {
    if (orders_.thread_id == 0) {
      look_around();
    }
    const std::int64_t delay_ns = orders_.delay_once_ns.exchange(0) + orders_.delay_ns;
    if (delay_ns > 0) {
      sleep_for(delay_ns);
    }
    switch (orders_.answer.load()) {
      case ReadStatus::failed:
        sweep.fail(0, EIO);
        break;
      case ReadStatus::gone:
        sweep.fail(0, ENODEV);
        break;
      case ReadStatus::retry:
        return ReadStatus::retry;
      case ReadStatus::ok:
        sweep.set(0, orders_.refresh_ns > 0
                         ? static_cast<std::uint64_t>(now_ns() / orders_.refresh_ns)
                         : ++ticks_);
        break;
    }
    return sweep.outcome();
  }

 private:
  void look_around() noexcept {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    bool all = true;
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1, SIGALRM, SIGPROF}) {
      all = all && sigismember(&blocked, signal) == 1;
    }
    orders_.signals_blocked = all;
    orders_.timer_slack_ns = prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
    orders_.thread_id = gettid();
  }

  Orders& orders_;
  Channel channel_;
  std::uint64_t ticks_ = 0;
};

struct SampledRow {
  std::int64_t t_begin_ns;
  std::int64_t t_end_ns;
  std::uint64_t status;
  std::uint64_t value;
};

inline std::vector<SampledRow> rows_of(const Ring& ring) {
  std::vector<std::uint64_t> words(ring.rows() * 4);
  std::uint64_t cursor = 0;
  const Ring::Copied copied = ring.read(cursor, words);
  std::vector<SampledRow> rows;
  for (std::size_t i = 0; i < copied.rows * 4; i += 4) {
    rows.push_back({static_cast<std::int64_t>(words[i]), static_cast<std::int64_t>(words[i + 1]),
                    words[i + 2], words[i + 3]});
  }
  return rows;
}

// Waits for something that another thread brings about; the test's own limit ends what never comes.
template <typename F>
void wait_until(F f) {
  while (!f()) {
    sleep_for(200'000);
  }
}

inline void wait_samples(const Sampler& sampler, std::uint64_t n) {
  const std::uint64_t wanted = sampler.stats().samples + n;
  wait_until([&] { return sampler.stats().samples >= wanted || !sampler.running(); });
}

}  // namespace wattring
