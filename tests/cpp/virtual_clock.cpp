// SPDX-License-Identifier: Apache-2.0
// In the place of clock.cpp and of libc's clock_gettime.
#include "virtual_clock.hpp"

#include <sys/syscall.h>
#include <unistd.h>
#include <ctime>

namespace {

std::atomic<std::int64_t> now{wattring::virtual_clock::began_ns};
thread_local const bool is_main = gettid() == getpid();

void pause_really() noexcept {
  const timespec t{.tv_sec = 0, .tv_nsec = 50'000};
  nanosleep(&t, nullptr);
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* to) noexcept {
  if (clock != CLOCK_MONOTONIC) {
    return static_cast<int>(syscall(SYS_clock_gettime, clock, to));
  }
  const std::int64_t t_ns = now.load(std::memory_order_relaxed);
  if (!is_main) {
    now.store(t_ns + wattring::virtual_clock::tick_ns, std::memory_order_relaxed);
  }
  to->tv_sec = t_ns / wattring::ns_per_s;
  to->tv_nsec = t_ns % wattring::ns_per_s;
  return 0;
}

namespace wattring {

std::int64_t (*virtual_clock::on_sleep)(std::int64_t deadline_ns) noexcept = nullptr;

std::int64_t cpu_time_ns(clockid_t clock) noexcept {
  timespec t;
  return clock_gettime(clock, &t) == 0 ? t.tv_sec * ns_per_s + t.tv_nsec : 0;
}

void Alarm::sleep_until(std::int64_t deadline_ns) noexcept { wattring::sleep_until(deadline_ns); }

void sleep_until(std::int64_t deadline_ns) noexcept {
  if (is_main) {
    pause_really();
  } else {
    now.store(virtual_clock::on_sleep(deadline_ns), std::memory_order_relaxed);
  }
}

void Alarm::ring() noexcept { word_.store(1, std::memory_order_release); }

void sleep_for(std::int64_t duration_ns) noexcept {
  if (is_main) {
    pause_really();
  } else {
    now.fetch_add(duration_ns, std::memory_order_relaxed);
  }
}

}  // namespace wattring
