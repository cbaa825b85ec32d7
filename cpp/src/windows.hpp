// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ledger.hpp"
#include "mark_queue.hpp"
#include "settling.hpp"
#include "window_log.hpp"

namespace wattring {

// What became of one window.
struct Settled {
  Mark from;
  Mark to;
  bool cut_off = false;  // the session stopped before it ended; `to` is the stop
  bool lost = false;     // the samples around one of its ends were gone
};

struct WindowReport {
  std::vector<LedgerEntry> names;
  std::uint64_t open = 0;     // begun, not ended
  std::uint64_t pending = 0;  // marks that are not settled yet
  std::uint64_t dropped = 0;  // windows not counted because the queue of marks was full
  std::uint64_t late = 0;     // windows not counted because the session had stopped
};

// The windows of a session: begun and ended by any thread with two pushes into a queue, settled by
// whichever sampler has taken a row that covers them, booked in a ledger.
class Windows final : public RowFollower {
 public:
  // A window that can be begun any number of times, also while it is open. It keeps the result of
  // the last one that was settled.
  using SlotId = std::uint32_t;
  static constexpr std::uint64_t refused = MarkQueue::refused;

  explicit Windows(std::shared_ptr<const char> session);
  void attach(const Sampler& sampler);  // All of them before the first slot is opened.

  // Life cycle, by the session.
  void expect() noexcept;  // What is refused from now on is counted, as `dropped`.
  void accept();           // Throws Error(io).
  void refuse() noexcept;  // What begins from now on is `late`; what is open will be cut off.
  void finish() noexcept;  // After the samplers have ended: settles what is left.
  void after_row() noexcept override;
  bool waits() const noexcept override {
    return active_.load(std::memory_order_acquire) && queue_->pushed() != queue_->consumed();
  }

  // Any thread; not for each window but for each place in the code. Throws Error (io, invalid).
  SlotId open_slot(std::string_view name);
  void close_slot(SlotId slot) noexcept;

  // Any thread, the measured program's own path. `refused` when it is not counted, which is.
  std::uint64_t begin(SlotId slot) noexcept {
    const std::uint64_t ticket = queue_->push_begin(slot);
    return ticket != refused ? ticket : refuse_one(false);
  }
  // The place of the end. One begun window is ended once; that of `refused` is not counted again.
  std::uint64_t end(std::uint64_t ticket) noexcept {
    if (ticket == refused) {
      return refused;
    }
    const std::uint64_t place = queue_->push_end(ticket);
    return place != refused ? place : refuse_one(true);
  }

  // What became of the window of this ticket, or of a later one of this slot, that ended at this
  // place (`refused`: it did not, the session has stopped). Waits until it is settled. Throws
  // Error(state) if it never will be.
  Settled wait(SlotId slot, std::uint64_t ticket, std::uint64_t place);
  // Everything that ended before this call, which waits until it is settled.
  WindowReport report();

  // A window that ended, in the order in which they were settled.
  struct Ended {
    std::string name;
    std::int64_t t_begin_ns;
    std::int64_t t_end_ns;
  };
  // Those from `cursor` on that there still are; how many had been overwritten is added to `lost`.
  std::vector<Ended> ended(std::uint64_t& cursor, std::uint64_t& lost);

  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  enum class State : std::uint8_t { free, open, settled, cut_off, lost };
  // One begun window; the windows of a thread that are open at once are linked.
  struct Record {
    State state = State::free;
    bool begin_lost = false;
    SlotId slot = 0;
    std::uint64_t ticket = 0;
    std::uint64_t place = 0;  // of its end
    std::uint64_t thread = 0;
    std::uint64_t outer_ticket = refused;  // of the window around it when it began
    Record* outer = nullptr;
    Record* inner = nullptr;
    Mark from;
    Mark to;
    Nested nested;
  };
  struct Slot {
    std::uint32_t name = 0;  // written before its first mark is pushed
    std::uint32_t open = 0;  // these two are the settling thread's
    Record* result = nullptr;
  };
  struct Retired {
    SlotId slot;
    std::uint64_t place;  // no mark of it lies behind this
  };
  static constexpr std::size_t chunk = 1024;
  using Chunk = std::array<Slot, chunk>;
  static constexpr std::size_t chunks = (std::size_t{1} << QueuedMark::slot_bits) / chunk;
  static constexpr std::size_t recent = 4096;

  Slot& slot_at(SlotId slot) noexcept { return (*chunks_[slot / chunk])[slot % chunk]; }
  std::uint64_t refuse_one(bool was_begun) noexcept;

  // All below: with working_ held.
  // Settles what rows cover, for about this time unless the queue fills up; 0: everything.
  void drain(std::int64_t budget_ns);
  void process(const QueuedMark& mark, std::uint64_t place, bool exact);
  void begin_record(const QueuedMark& mark, std::uint64_t ticket, bool exact);
  void end_record(Record& record, std::int64_t t_ns, bool exact, State state);
  bool settle(std::int64_t t_ns, bool exact, Mark& to);
  void cut_open();
  void recycle();
  Record& take_record();
  Record* find(std::uint64_t ticket);
  Record*& innermost(std::uint64_t thread);
  LedgerEntry& entry_of(const Slot& slot);
  std::int64_t slice_ns() const noexcept;
  // When whoever waits since then gives up.
  std::int64_t waits_until(std::int64_t since_ns) const noexcept;

  const std::shared_ptr<const char> session_;
  const pid_t owner_;
  std::vector<const Sampler*> samplers_;
  std::size_t channels_ = 0;
  std::unique_ptr<MarkQueue> queue_;  // there before the first slot is
  std::atomic<bool> active_{false};   // there is a queue
  std::atomic<bool> expected_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<std::int64_t> stopped_ns_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> late_{0};

  std::mutex naming_;  // names and slots; held for moments
  bool accepting_ = false;
  std::unordered_map<std::string, std::uint32_t> names_;
  std::vector<std::string> texts_;
  std::array<std::unique_ptr<Chunk>, chunks> chunks_;
  SlotId next_slot_ = 0;
  std::vector<SlotId> free_slots_;
  std::vector<Retired> retired_;

  std::mutex working_;  // whoever settles; samplers only try
  bool finished_ = false;
  std::uint64_t place_ = 0;  // of the next mark to settle
  std::vector<Settling> settlings_;
  Ledger ledger_;
  WindowLog log_;
  std::deque<Record> records_;
  std::vector<Record*> free_records_;
  std::uint64_t open_ = 0;
  std::array<Record*, recent> recent_{};  // open windows by the low bits of their tickets
  std::unordered_map<std::uint64_t, Record*> long_open_;  // those that a later one pushed out
  std::unordered_map<std::uint64_t, Record*> innermost_;  // open window per thread
  std::uint64_t cached_thread_ = 0;
  Record* cached_innermost_ = nullptr;
};

}  // namespace wattring
