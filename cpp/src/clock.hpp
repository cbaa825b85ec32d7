// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>

#include <atomic>
#include <cstdint>

namespace wattring {

inline constexpr std::int64_t ns_per_s = 1'000'000'000;

// CLOCK_MONOTONIC: the clock of Python's time.monotonic_ns() and time.perf_counter_ns() on Linux.
inline std::int64_t now_ns() noexcept {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * ns_per_s + t.tv_nsec;
}

// Of a thread's CPU clock; 0 when the thread has ended.
std::int64_t cpu_time_ns(clockid_t clock) noexcept;

// A sleep to an absolute time that another thread can end at once. One system call, like
// clock_nanosleep, but a stop of a session with a period of minutes need not wait for the deadline.
class Alarm {
 public:
  // Returns at `deadline_ns`, or before it when rung; may also return early for no reason.
  void sleep_until(std::int64_t deadline_ns) noexcept;
  void ring() noexcept;  // any thread; stays rung
  bool rung() const noexcept { return word_.load(std::memory_order_acquire) != 0; }

 private:
  std::atomic<std::uint32_t> word_{0};
};

void sleep_for(std::int64_t duration_ns) noexcept;

// To an absolute time. Nothing ends it, which makes it cheaper than an Alarm's (bench/NOTES.md).
void sleep_until(std::int64_t deadline_ns) noexcept;

}  // namespace wattring
