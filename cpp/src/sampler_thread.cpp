// SPDX-License-Identifier: Apache-2.0
// The life of the sampling thread.
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <csignal>

#include "error.hpp"
#include "sampler.hpp"

namespace wattring {

void Sampler::start() {
  owner_ = getpid();
  running_.store(true, std::memory_order_release);
  // Signals belong to the program's own threads: inherited as blocked, they never interrupt a
  // sweep.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error_number = pthread_create(&thread_, nullptr, enter, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error_number != 0) {
    running_.store(false, std::memory_order_release);
    throw Error(Errc::io, "no thread for sampling: " + errno_text(error_number));
  }
  joinable_ = true;
  while (!ready_.rung()) {
    ready_.sleep_until(now_ns() + ns_per_s);
  }
}

void Sampler::stop() noexcept {
  if (!joinable_ || getpid() != owner_) {
    return;
  }
  stop_.ring();
  pthread_join(thread_, nullptr);
  joinable_ = false;
}

void* Sampler::enter(void* self) noexcept {
  static_cast<Sampler*>(self)->run();
  return nullptr;
}

void Sampler::run() noexcept {
  prepare_thread();
  const bool alive = take();
  if (alive) {
    settle(false);
  }
  ready_.ring();
  if (alive) {
    loop();
  }
  cpu_ns_.store(cpu_time_ns(CLOCK_THREAD_CPUTIME_ID), std::memory_order_relaxed);
  running_.store(false, std::memory_order_release);
  if (follower_ != nullptr && !stop_.rung()) {
    follower_->after_row();
  }
}

void Sampler::prepare_thread() noexcept {
  // At most 15 characters.
  pthread_setname_np(pthread_self(), ("wr-" + name_).substr(0, 15).c_str());
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // nanoseconds; 0 would mean the default of 50 µs
  pthread_getcpuclockid(pthread_self(), &cpu_clock_);
  if (options_.cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<std::size_t>(options_.cpu) % CPU_SETSIZE, &cpus);
    if (const int e = pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus); e != 0) {
      refused_ = "cpu " + std::to_string(options_.cpu) + ": " + errno_text(e);
    }
  }
  if (options_.priority > 0) {
    sched_param parameters{};
    parameters.sched_priority = options_.priority;
    if (const int e = pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters); e != 0) {
      refused_ += (refused_.empty() ? "" : "; ") + std::string("real-time priority ") +
                  std::to_string(options_.priority) + ": " + errno_text(e);
    }
  }
}

}  // namespace wattring
