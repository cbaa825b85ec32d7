// SPDX-License-Identifier: Apache-2.0
#include "windows.hpp"

#include <unistd.h>

#include <algorithm>
#include <limits>

#include "clock.hpp"
#include "error.hpp"

namespace wattring {
namespace {

// So few marks at once are worked out one by one.
constexpr std::uint64_t exact_marks = 16;
// Producers are told of progress after so many marks, not after each: it costs them a cache miss.
constexpr std::uint64_t stride = 256;

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

std::uint64_t Windows::refuse_one() noexcept {
  // Not counted in a child of fork, whose session says what it is when asked.
  if (getpid() == owner_) {
    (stopped_.load(std::memory_order_acquire) ? late_ : dropped_)
        .fetch_add(1, std::memory_order_relaxed);
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

std::int64_t Windows::patience_ns() const noexcept {
  std::int64_t longest_ns = 0;
  for (const Settling& settling : settlings_) {
    longest_ns = std::max(longest_ns, settling.patience_ns());
  }
  return longest_ns + ns_per_s;
}

Settled Windows::wait(SlotId slot, std::uint64_t ticket, std::uint64_t place) {
  if (ticket == refused || (place == refused && !stopped_.load(std::memory_order_acquire))) {
    throw Error(Errc::state, "this window was not counted", not_counted);
  }
  const std::int64_t until_ns = now_ns() + patience_ns();
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
    if (now_ns() > until_ns) {
      throw Error(Errc::state, "this window could not be settled: no sample came",
                  "see the session's stats");
    }
    sleep_for(slice_ns());
  }
}

WindowReport Windows::report() {
  WindowReport report;
  if (!active_.load(std::memory_order_acquire)) {
    return report;
  }
  const std::uint64_t wanted = queue_->pushed();
  const std::int64_t until_ns = now_ns() + patience_ns();
  for (;;) {
    {
      const std::lock_guard lock(working_);
      drain(slice_ns());
      if (place_ >= wanted || now_ns() > until_ns) {
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

void Windows::drain(std::int64_t budget_ns) {
  for (Settling& settling : settlings_) {
    settling.follow();
  }
  QueuedMark mark;
  const std::uint64_t waiting = queue_->pushed() - place_;
  if (waiting > 0 && queue_->peek(place_, mark)) {
    const std::int64_t began_ns = now_ns();
    std::int64_t until_ns = std::numeric_limits<std::int64_t>::max();
    for (Settling& settling : settlings_) {
      until_ns = std::min(until_ns, settling.covered_until(mark.t_ns, began_ns));
    }
    const bool exact = waiting <= exact_marks;
    const bool hurried = waiting > MarkQueue::capacity / 2;
    while (queue_->peek(place_, mark) && mark.t_ns <= until_ns) {
      process(mark, place_, exact);
      queue_->clear(place_);
      ++place_;
      if (place_ % stride == 0) {
        queue_->release_until(place_);
        // The sampler has rows to take as well.
        if (budget_ns > 0 && !hurried && now_ns() - began_ns > budget_ns) {
          break;
        }
      }
    }
    queue_->release_until(place_);
  }
  if (finished_) {
    cut_open();
  }
  recycle();
}

void Windows::process(const QueuedMark& mark, std::uint64_t place, bool exact) {
  if (!mark.is_end()) {
    begin_record(mark, place, exact);
  } else if (Record* record = find(mark.ticket())) {
    record->place = place;
    end_record(*record, mark.t_ns, exact, State::settled);
  }
}

bool Windows::settle(std::int64_t t_ns, Settling::Side side, bool exact, Mark& to) {
  to.t_ns = t_ns;
  bool settled = true;
  for (std::size_t s = 0; s < settlings_.size(); ++s) {
    settled = settlings_[s].settle(t_ns, side, exact, to.sources[s]) && settled;
  }
  return settled;
}

void Windows::begin_record(const QueuedMark& mark, std::uint64_t ticket, bool exact) {
  Record& record = take_record();
  record.state = State::open;
  record.slot = mark.slot();
  record.ticket = ticket;
  record.thread = mark.thread();
  record.begin_lost = !settle(mark.t_ns, Settling::Side::begin, exact, record.from);
  Record*& innermost_open = innermost(record.thread);
  record.outer = innermost_open;
  record.inner = nullptr;
  record.outer_ticket = refused;
  if (record.outer != nullptr) {
    record.outer->inner = &record;
    record.outer_ticket = record.outer->ticket;
  }
  innermost_open = &record;
  Record*& place = recent_[ticket % recent];
  if (place != nullptr) {
    long_open_[place->ticket] = place;
  }
  place = &record;
  ++slot_at(record.slot).open;
  ++open_;
}

void Windows::end_record(Record& record, std::int64_t t_ns, bool exact, State state) {
  const bool settled = settle(t_ns, Settling::Side::end, exact, record.to) && !record.begin_lost;
  record.state = settled ? state : State::lost;
  Slot& slot = slot_at(record.slot);
  LedgerEntry& entry = entry_of(slot);
  if (record.state == State::settled) {
    // Inside means: begun and ended while that one was the innermost of its thread.
    const bool is_inside = record.outer != nullptr && record.outer->ticket == record.outer_ticket;
    ledger_.add(entry, record.from, record.to, record.nested,
                is_inside ? &record.outer->nested : nullptr);
  } else {
    ++(record.state == State::lost ? entry.lost : entry.cut_off);
  }
  if (record.inner != nullptr) {
    record.inner->outer = record.outer;
  } else {
    innermost(record.thread) = record.outer;
  }
  if (record.outer != nullptr) {
    record.outer->inner = record.inner;
  }
  if (recent_[record.ticket % recent] == &record) {
    recent_[record.ticket % recent] = nullptr;
  } else {
    long_open_.erase(record.ticket);
  }
  if (slot.result != nullptr) {
    free_records_.push_back(slot.result);
  }
  slot.result = &record;
  --slot.open;
  --open_;
}

void Windows::cut_open() {
  if (open_ == 0) {
    return;
  }
  for (Record& record : records_) {
    if (record.state == State::open) {
      record.place = 0;
      const std::int64_t stop_ns = stopped_ns_.load(std::memory_order_relaxed);
      end_record(record, std::max(stop_ns, record.from.t_ns), true, State::cut_off);
    }
  }
}

void Windows::recycle() {
  const std::unique_lock lock(naming_, std::try_to_lock);
  if (!lock.owns_lock() || retired_.empty()) {
    return;
  }
  std::erase_if(retired_, [&](const Retired& retired) {
    Slot& slot = slot_at(retired.slot);
    if (place_ < retired.place || slot.open > 0) {
      return false;
    }
    if (slot.result != nullptr) {
      slot.result->state = State::free;
      free_records_.push_back(slot.result);
      slot.result = nullptr;
    }
    free_slots_.push_back(retired.slot);
    return true;
  });
}

Windows::Record& Windows::take_record() {
  if (free_records_.empty()) {
    Record& record = records_.emplace_back();
    record.from.session = record.to.session = session_;
    record.from.sources.resize(settlings_.size());
    record.to.sources.resize(settlings_.size());
    free_records_.push_back(&record);
  }
  Record& record = *free_records_.back();
  free_records_.pop_back();
  record.nested.clear(channels_);
  return record;
}

Windows::Record* Windows::find(std::uint64_t ticket) {
  Record* record = recent_[ticket % recent];
  if (record != nullptr && record->ticket == ticket) {
    return record;
  }
  const auto found = long_open_.find(ticket);
  return found != long_open_.end() ? found->second : nullptr;
}

Windows::Record*& Windows::innermost(std::uint64_t thread) {
  if (thread != cached_thread_) {
    innermost_[cached_thread_] = cached_innermost_;
    if (innermost_.size() > recent) {
      std::erase_if(innermost_, [](const auto& entry) { return entry.second == nullptr; });
    }
    cached_thread_ = thread;
    cached_innermost_ = innermost_[thread];
  }
  return cached_innermost_;
}

LedgerEntry& Windows::entry_of(const Slot& slot) {
  if (LedgerEntry* known = ledger_.find(slot.name)) {
    return *known;
  }
  const std::lock_guard lock(naming_);
  return ledger_.add_name(slot.name, texts_[slot.name], channels_);
}

}  // namespace wattring
