// SPDX-License-Identifier: Apache-2.0
#include "windows.hpp"

#include <unistd.h>

#include <algorithm>

#include "clock.hpp"
#include "error.hpp"

namespace wattring {
namespace {

constexpr const char* not_counted =
    "report() says how many came when the queue was full (dropped) or after the stop (late)";

}  // namespace

Windows::Windows(std::shared_ptr<const char> session)
    : session_(std::move(session)), owner_(getpid()) {}

void Windows::attach(const Sampler& sampler) {
  samplers_.push_back(&sampler);
  settlings_.emplace_back(sampler);
  channels_ += sampler.channels().size();
}

Windows::SlotId Windows::open_slot(std::string_view name) {
  const std::lock_guard lock(naming_);
  if (!queue_) {
    log_.open();
    queue_ = std::make_unique<MarkQueue>();
    if (accepting_) {
      queue_->open();
    }
    active_.store(true, std::memory_order_release);
  }
  const auto [found, is_new] =
      names_.try_emplace(std::string(name), static_cast<std::uint32_t>(texts_.size()));
  if (is_new) {
    texts_.emplace_back(name);
  }
  SlotId slot = next_slot_;
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else if (slot < chunks * chunk) {
    if (!chunks_[slot / chunk]) {
      chunks_[slot / chunk] = std::make_unique<Chunk>();
    }
    ++next_slot_;
  } else {
    throw Error(Errc::invalid, std::to_string(slot) + " windows are kept at once, no more can be",
                "let go of those that were read");
  }
  slot_at(slot).name = found->second;
  return slot;
}

void Windows::close_slot(SlotId slot) noexcept {
  if (getpid() != owner_) {
    return;
  }
  const std::lock_guard lock(naming_);
  retired_.push_back({slot, queue_->pushed()});
}

void Windows::expect() noexcept { expected_.store(true, std::memory_order_relaxed); }

void Windows::accept() {
  const std::lock_guard lock(naming_);
  accepting_ = true;
  if (queue_) {
    queue_->open();
  }
}

void Windows::refuse() noexcept {
  const std::lock_guard lock(naming_);
  if (!accepting_) {
    return;
  }
  accepting_ = false;
  stopped_ns_.store(now_ns(), std::memory_order_relaxed);
  stopped_.store(true, std::memory_order_release);
  if (queue_) {
    queue_->close();
  }
}

void Windows::finish() noexcept {
  const std::lock_guard lock(working_);
  finished_ = true;
  if (active_.load(std::memory_order_acquire)) {
    drain(0);
  }
}

std::uint64_t Windows::refuse_one(bool was_begun) noexcept {
  // Not counted in a child of fork nor before the start: that session says what it is when asked.
  if (getpid() != owner_ || !expected_.load(std::memory_order_relaxed)) {
    return refused;
  }
  if (!stopped_.load(std::memory_order_acquire)) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
  } else if (!was_begun) {  // else the stop cut it off, and counts it as that
    late_.fetch_add(1, std::memory_order_relaxed);
  }
  return refused;
}

void Windows::after_row() noexcept {
  if (!active_.load(std::memory_order_acquire)) {
    return;
  }
  const std::unique_lock lock(working_, std::try_to_lock);
  if (lock.owns_lock()) {
    drain(std::max<std::int64_t>(samplers_.front()->period_ns() / 2, 100'000));
  }
}

std::int64_t Windows::slice_ns() const noexcept {
  return std::clamp<std::int64_t>(samplers_.front()->period_ns() / 2, 50'000, 10'000'000);
}

std::int64_t Windows::waits_until(std::int64_t since_ns) const noexcept {
  std::int64_t until_ns = since_ns;
  for (const Settling& settling : settlings_) {
    until_ns = std::max(until_ns, settling.waits_until(since_ns));
  }
  return until_ns + ns_per_s;
}

Settled Windows::wait(SlotId slot, std::uint64_t ticket, std::uint64_t place) {
  if (ticket == refused || (place == refused && !stopped_.load(std::memory_order_acquire))) {
    throw Error(Errc::state, "this window was not counted", not_counted);
  }
  const std::int64_t since_ns = now_ns();
  for (;;) {
    {
      const std::lock_guard lock(working_);
      drain(slice_ns());
      const Record* result = slot_at(slot).result;
      if (result != nullptr &&
          (result->ticket == ticket || (place != refused && result->place >= place))) {
        return {result->from, result->to, result->state == State::cut_off,
                result->state == State::lost};
      }
      if (finished_ && place_ == queue_->pushed()) {
        throw Error(Errc::state, "this window was not counted", not_counted);
      }
    }
    if (now_ns() > waits_until(since_ns)) {
      throw Error(Errc::state, "this window could not be settled: no sample came",
                  "see the session's stats");
    }
    sleep_for(slice_ns());
  }
}

std::vector<Windows::Ended> Windows::ended(std::uint64_t& cursor, std::uint64_t& lost) {
  std::vector<WindowLog::Entry> entries;
  {
    const std::lock_guard lock(working_);
    entries = log_.read(cursor, lost);
  }
  std::vector<Ended> found;
  found.reserve(entries.size());
  const std::lock_guard lock(naming_);
  for (const WindowLog::Entry& entry : entries) {
    found.push_back({texts_[entry.name], entry.t_begin_ns, entry.t_end_ns});
  }
  return found;
}

WindowReport Windows::report() {
  WindowReport report;
  if (!active_.load(std::memory_order_acquire)) {
    return report;
  }
  const std::uint64_t wanted = queue_->pushed();
  const std::int64_t since_ns = now_ns();
  for (;;) {
    {
      const std::lock_guard lock(working_);
      drain(slice_ns());
      if (place_ >= wanted || now_ns() > waits_until(since_ns)) {
        for (const LedgerEntry& entry : ledger_.entries()) {
          if (!entry.channels.empty()) {
            report.names.push_back(entry);
          }
        }
        report.open = open_;
        report.pending = wanted > place_ ? wanted - place_ : 0;
        report.dropped = dropped();
        report.late = late_.load(std::memory_order_relaxed);
        return report;
      }
    }
    sleep_for(slice_ns());
  }
}

}  // namespace wattring
