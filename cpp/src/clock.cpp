// SPDX-License-Identifier: Apache-2.0
#include "clock.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace wattring {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t),
              "a futex needs the bare 32-bit word");

std::int64_t cpu_time_ns(clockid_t clock) noexcept {
  timespec t;
  return clock_gettime(clock, &t) == 0 ? t.tv_sec * ns_per_s + t.tv_nsec : 0;
}

void Alarm::sleep_until(std::int64_t deadline_ns) noexcept {
  timespec t;
  t.tv_sec = deadline_ns / ns_per_s;
  t.tv_nsec = deadline_ns % ns_per_s;
  // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, FUTEX_WAIT a relative one.
  syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET_PRIVATE, 0U, &t, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void Alarm::ring() noexcept {
  word_.store(1, std::memory_order_release);
  syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void sleep_until(std::int64_t deadline_ns) noexcept {
  timespec t;
  t.tv_sec = deadline_ns / ns_per_s;
  t.tv_nsec = deadline_ns % ns_per_s;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
  }
}

void sleep_for(std::int64_t duration_ns) noexcept {
  timespec t;
  t.tv_sec = duration_ns / ns_per_s;
  t.tv_nsec = duration_ns % ns_per_s;
  while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) != 0) {
  }
}

}  // namespace wattring
