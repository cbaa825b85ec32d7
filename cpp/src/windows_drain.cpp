// SPDX-License-Identifier: Apache-2.0
// What is done to marks once rows cover them. All of it with working_ held.
#include <algorithm>
#include <limits>

#include "clock.hpp"
#include "windows.hpp"

namespace wattring {
namespace {

// So few marks at once are worked out one by one.
constexpr std::uint64_t exact_marks = 16;
// Producers are told of progress after so many marks, not after each: it costs them a cache miss.
constexpr std::uint64_t stride = 256;

}  // namespace

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

bool Windows::settle(std::int64_t t_ns, bool exact, Mark& to) {
  to.t_ns = t_ns;
  bool settled = true;
  for (std::size_t s = 0; s < settlings_.size(); ++s) {
    settled = settlings_[s].settle(t_ns, exact, to.sources[s]) && settled;
  }
  return settled;
}

void Windows::begin_record(const QueuedMark& mark, std::uint64_t ticket, bool exact) {
  Record& record = take_record();
  const std::uint32_t name = slot_at(mark.slot()).name;
  ledger_.begin(name, mark.t_ns);
  record.nested.clear(name, channels_);
  record.state = State::open;
  record.slot = mark.slot();
  record.ticket = ticket;
  record.thread = mark.thread();
  record.begin_lost = !settle(mark.t_ns, exact, record.from);
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
  const bool settled = settle(t_ns, exact, record.to) && !record.begin_lost;
  record.state = settled ? state : State::lost;
  Slot& slot = slot_at(record.slot);
  LedgerEntry& entry = entry_of(slot);
  if (record.state == State::settled) {
    // Inside means: begun and ended while that one was the innermost of its thread.
    const bool is_inside = record.outer != nullptr && record.outer->ticket == record.outer_ticket;
    ledger_.add(entry, record.from, record.to, record.nested,
                is_inside ? &record.outer->nested : nullptr);
    log_.add({record.from.t_ns, t_ns, slot.name});
  } else {
    ledger_.cancel(slot.name, record.from.t_ns);
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
