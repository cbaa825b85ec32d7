// SPDX-License-Identifier: Apache-2.0
#include "sampler.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>

#include "error.hpp"
#include "estimate.hpp"

namespace wattring {
namespace {

constexpr std::int64_t longest_settle_ns = 250'000'000;

std::int64_t thread_cpu_ns(clockid_t clock) noexcept {
  timespec t;
  return clock_gettime(clock, &t) == 0 ? t.tv_sec * ns_per_s + t.tv_nsec : 0;
}

}  // namespace

Sampler::Sampler(std::string name, std::unique_ptr<Source> source, const SamplerOptions& options)
    : name_(std::move(name)),
      source_(std::move(source)),
      options_(options),
      ring_(row::first_reading + source_->channels().size(), options.rows),
      sweep_(source_->channels().size()),
      tallies_(source_->channels().size()),
      row_(row::first_reading + source_->channels().size()) {
  options_.period_ns = options_.period_of(*source_);
  if (source_->least_period_ns() > 0 && options_.budget < 1) {
    pacing_.emplace(source_->channels(), options_.budget, options_.period_ns);
  }
  for (const Channel& channel : source_->channels()) {
    counters_.emplace_back(channel);
    if (channel.kind == Kind::integral) {
      integrators_.emplace_back(channel);
    }
    integrator_of_.push_back(integrators_.size() - 1);
  }
}

Sampler::~Sampler() { stop(); }

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
  cpu_ns_.store(thread_cpu_ns(CLOCK_THREAD_CPUTIME_ID), std::memory_order_relaxed);
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

void Sampler::loop() noexcept {
  const std::int64_t period_ns = options_.period_ns;
  std::int64_t deadline_ns = now_ns() + period_ns;
  // Deadlines that lie in the past are counted and left out; the row behind them says so.
  const auto skip_until = [&](std::int64_t t_ns) -> std::uint64_t {
    if (period_ns == 0) {
      deadline_ns = t_ns;
      return 0;
    }
    if (t_ns < deadline_ns) {
      return 0;
    }
    const std::int64_t skipped = (t_ns - deadline_ns) / period_ns + 1;
    missed_.add(static_cast<std::uint64_t>(skipped));
    deadline_ns += skipped * period_ns;
    return row::gap;
  };
  std::uint64_t status = 0;
  while (!stop_.rung()) {
    if (t_end_ < deadline_ns) {
      stop_.sleep_until(deadline_ns);
    }
    t_begin_ = now_ns();
    lateness_.add(t_begin_ - deadline_ns);
    deadline_ns += period_ns;
    status |= skip_until(t_begin_);
    if (!may_read()) {
      t_end_ = t_begin_;
      continue;
    }
    const std::uint64_t before = samples_.get();
    if (!sweep(status)) {
      return;
    }
    if (follower_ != nullptr) {
      follower_->after_row();
    }
    // A sweep that has yet to be done again leaves a hole as well.
    status = (samples_.get() == before ? row::gap : 0) | skip_until(t_end_);
  }
  settle(true);
}

void Sampler::settle(bool at_end) noexcept {
  std::int64_t slowest_ns = 0;
  std::int64_t lag_ns = 0;
  std::int64_t fastest_ns = longest_settle_ns;
  for (const Channel& channel : channels()) {
    if (channel.kind == Kind::counter) {
      const std::int64_t refresh_ns = channel.refresh_ns > 0 ? channel.refresh_ns : 1'000'000;
      slowest_ns = std::max(slowest_ns, refresh_ns);
      fastest_ns = std::min(fastest_ns, refresh_ns);
    } else if (channel.kind == Kind::integral && channel.refresh_ns > 0 && at_end) {
      lag_ns = std::max(lag_ns, reach_ns(channel));
      fastest_ns = std::min(fastest_ns, channel.refresh_ns);
    }
  }
  const std::int64_t patience_ns = std::min(4 * slowest_ns, longest_settle_ns);
  if ((slowest_ns == 0 && lag_ns == 0) || !take()) {
    return;
  }
  const std::int64_t until_ns = t_begin_ + std::min(4 * patience_ns, longest_settle_ns);
  const std::int64_t lagged_ns = t_begin_ + lag_ns;
  std::int64_t began_ns = t_begin_;
  const std::vector<Counter>& now = counters_;
  std::vector<std::uint64_t> last;
  for (const Counter& counter : now) {
    last.push_back(counter.value());
  }
  std::vector<int> dated(now.size());  // moved, in a sweep that tells when
  const auto waits_for_more = [&] {
    bool all_dated = true;
    for (std::size_t i = 0; i < now.size(); ++i) {
      const bool quick = is_quick(t_end_ - t_begin_, channels()[i]);
      if (!quick) {
        began_ns = t_end_;  // an interruption takes nothing from the time that a counter has
      }
      if (channels()[i].kind == Kind::counter) {
        dated[i] += now[i].value() != last[i] && quick ? 1 : 0;
        last[i] = now[i].value();
        all_dated = all_dated && dated[i] >= (at_end ? updates_after(channels()[i]) : 1);
      }
    }
    return (!all_dated && t_end_ < std::min(began_ns + patience_ns, until_ns)) ||
           t_end_ < lagged_ns;
  };
  while (waits_for_more()) {
    sleep_for(fastest_ns / 4);
    if (!take()) {
      return;
    }
  }
}

bool Sampler::may_read() noexcept {
  if (!pacing_) {
    return true;
  }
  const bool urgent =
      waiting_.load(std::memory_order_relaxed) > 0 || (follower_ != nullptr && follower_->waits());
  const bool may = pacing_->may_read(t_begin_, urgent, ring_);
  spared_.add(may ? 0 : 1);
  return may;
}

bool Sampler::take() noexcept {
  t_begin_ = now_ns();
  return sweep(0);
}

bool Sampler::sweep(std::uint64_t status) noexcept {
  sweep_.clear();
  const ReadStatus outcome = source_->read(sweep_);
  t_end_ = now_ns();
  read_time_.add(t_end_ - t_begin_);
  return push(outcome, status);
}

bool Sampler::push(ReadStatus outcome, std::uint64_t status) noexcept {
  if (outcome == ReadStatus::retry) {
    retries_.add(1);
    return true;
  }
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const std::uint64_t marks = sweep_.failed(i) ? row::failed : advance(i);
    if (marks != 0) {
      status |= marks | row::channel_bit(i);
    }
  }
  row_[row::t_begin_word] = static_cast<std::uint64_t>(t_begin_);
  row_[row::t_end_word] = static_cast<std::uint64_t>(t_end_);
  row_[row::status_word] = status;
  if (pacing_) {
    pacing_->see(std::span(row_).subspan(row::first_reading), t_begin_, t_end_);
  }
  ring_.push(row_);
  if ((status & row::channel_marks) != 0) {
    for (std::size_t i = 0; i < tallies_.size(); ++i) {
      tallies_[i].add(row::marks_of(status, i));
    }
  }
  if ((status & row::gap) != 0) {
    gaps_.add(1);
  }
  samples_.add(1);
  if (outcome == ReadStatus::failed || outcome == ReadStatus::gone) {
    failed_.add(1);
  }
  if (status & row::failed) {
    last_errno_.store(sweep_.error_number(), std::memory_order_relaxed);
  }
  if (outcome == ReadStatus::gone) {
    gone_.store(true, std::memory_order_release);
    return false;
  }
  return true;
}

std::uint64_t Sampler::advance(std::size_t channel) noexcept {
  const std::uint64_t raw = sweep_.raw()[channel];
  std::uint64_t& reading = row_[row::first_reading + channel];
  const Kind kind = source_->channels()[channel].kind;
  if (kind == Kind::variance) {
    reading = integrators_[integrator_of_[channel]].variance();
    return 0;
  }
  if (kind == Kind::integral) {
    Integrator& integrator = integrators_[integrator_of_[channel]];
    const std::uint64_t marks = integrator.advance(raw, t_begin_, t_end_);
    reading = integrator.value();
    return marks;
  }
  const std::uint64_t marks = counters_[channel].advance(raw, t_begin_, t_end_);
  reading = counters_[channel].value();
  return marks;
}

std::uint64_t Sampler::count_rows(RowCounts& counts) const {
  for (;;) {
    // These lag behind the ring while a row is made, and are of more rows if one came meanwhile.
    const std::uint64_t rows = samples_.get();
    counts.readings.clear();
    for (const ChannelTallies& tallies : tallies_) {
      counts.readings.push_back(tallies.snapshot());
    }
    counts.gaps = gaps_.get();
    if (ring_.head() == rows) {
      return rows;
    }
    sleep_for(20'000);
  }
}

SamplerStats Sampler::stats() const {
  SamplerStats stats;
  stats.samples = samples_.get();
  stats.missed = missed_.get();
  stats.spared = spared_.get();
  stats.retries = retries_.get();
  stats.failed = failed_.get();
  stats.last_errno = last_errno_.load(std::memory_order_relaxed);
  stats.running = running();
  stats.gone = gone_.load(std::memory_order_acquire);
  const auto fill = [](const Histogram& histogram, double (&to)[3]) {
    to[0] = histogram.percentile_ns(0.50);
    to[1] = histogram.percentile_ns(0.99);
    to[2] = static_cast<double>(histogram.max_ns());
  };
  fill(lateness_, stats.lateness_ns);
  fill(read_time_, stats.read_ns);
  stats.read_s = static_cast<double>(read_time_.sum_ns()) * 1e-9;
  if (!ready_.rung()) {
    return stats;
  }
  std::int64_t cpu_ns = cpu_ns_.load(std::memory_order_relaxed);
  if (cpu_ns == 0) {
    // The clock of a thread that has ended meanwhile reads 0, and so does another process's.
    cpu_ns = thread_cpu_ns(cpu_clock_);
  }
  if (cpu_ns == 0) {
    cpu_ns = cpu_ns_.load(std::memory_order_relaxed);
  }
  stats.cpu_s = static_cast<double>(cpu_ns) * 1e-9;
  stats.refused = refused_;
  return stats;
}

}  // namespace wattring
