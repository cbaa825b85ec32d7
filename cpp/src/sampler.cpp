// SPDX-License-Identifier: Apache-2.0
#include "sampler.hpp"

namespace wattring {
namespace {

// So long may stop() wait for a sleep to end, which is shorter than its own last rows take.
constexpr std::int64_t longest_blind_sleep_ns = 2'000'000;

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
  if (options_.is_paced(*source_)) {
    pacing_.emplace(source_->channels(), options_.budget, options_.period_ns);
    options_.spin_ns = 0;
  } else if (options_.adaptive) {
    adaptive_.emplace(source_->channels());
  }
  for (const Channel& channel : source_->channels()) {
    counters_.emplace_back(channel);
    if (channel.kind == Kind::integral) {
      integrators_.emplace_back(channel);
    }
    const bool integrated = channel.kind == Kind::integral || channel.kind == Kind::variance;
    integrator_of_.push_back(integrated ? static_cast<int>(integrators_.size()) - 1 : -1);
  }
}

Sampler::~Sampler() { stop(); }

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
    if (adaptive_) {
      const std::uint64_t skipped = adaptive_->skip(deadline_ns, t_ns);
      missed_.add(skipped);
      return skipped > 0 ? row::gap : 0;
    }
    const std::int64_t skipped = (t_ns - deadline_ns) / period_ns + 1;
    missed_.add(static_cast<std::uint64_t>(skipped));
    deadline_ns += skipped * period_ns;
    return row::gap;
  };
  std::uint64_t status = 0;
  while (!stop_.rung()) {
    wait_until(deadline_ns);
    lateness_.add(t_begin_ - deadline_ns);
    deadline_ns = adaptive_ ? adaptive_->next(deadline_ns, t_begin_) : deadline_ns + period_ns;
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

void Sampler::wait_until(std::int64_t deadline_ns) noexcept {
  const std::int64_t wake_ns = deadline_ns - options_.spin_ns;
  if (t_end_ < wake_ns - longest_blind_sleep_ns) {
    stop_.sleep_until(wake_ns);
  } else if (t_end_ < wake_ns) {
    sleep_until(wake_ns);
  }
  t_begin_ = now_ns();
  if (options_.spin_ns > 0) {
    while (t_begin_ < deadline_ns && !stop_.rung()) {
      t_begin_ = now_ns();
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
  if (!may) {
    spared_.add(1);
    spared_ns_.store(t_begin_, std::memory_order_relaxed);
  }
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
  const std::span<const std::uint64_t> raw = sweep_.raw();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    std::uint64_t marks = row::failed;
    if (sweep_.failed(i)) {
      // The last value stands.
    } else if (integrator_of_[i] >= 0) {
      marks = integrate(i);
    } else {
      Counter& counter = counters_[i];
      marks = counter.advance(raw[i], t_begin_, t_end_);
      row_[row::first_reading + i] = counter.value();
    }
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
  if (adaptive_) {
    adaptive_->see(std::span(row_).subspan(row::first_reading), t_begin_, t_end_);
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

std::uint64_t Sampler::integrate(std::size_t channel) noexcept {
  Integrator& integrator = integrators_[static_cast<std::size_t>(integrator_of_[channel])];
  std::uint64_t& reading = row_[row::first_reading + channel];
  if (source_->channels()[channel].kind == Kind::variance) {
    reading = integrator.variance();
    return 0;
  }
  const std::uint64_t marks = integrator.advance(sweep_.raw()[channel], t_begin_, t_end_);
  reading = integrator.value();
  return marks;
}

}  // namespace wattring
