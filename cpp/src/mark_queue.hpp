// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "clock.hpp"

namespace wattring {

// The begin or the end of a window, on its way to whoever settles it.
struct QueuedMark {
  static constexpr unsigned slot_bits = 22;
  static constexpr std::uint64_t end_bit = std::uint64_t{1} << 63;

  std::int64_t t_ns = 0;
  // An end: end_bit and the ticket of its begin. A begin: thread and slot.
  std::uint64_t word = 0;

  bool is_end() const noexcept { return (word & end_bit) != 0; }
  std::uint64_t ticket() const noexcept { return word & ~end_bit; }
  std::uint32_t slot() const noexcept { return word & ((std::uint32_t{1} << slot_bits) - 1); }
  std::uint64_t thread() const noexcept { return word >> slot_bits; }

  // glibc's and musl's handle is the address of the thread's own block of far more than 64 bytes,
  // so what is left of it after the shift still tells living threads apart.
  static std::uint64_t begin_word(std::uint32_t slot) noexcept {
    const auto self = reinterpret_cast<std::uintptr_t>(pthread_self());
    return ((static_cast<std::uint64_t>(self) >> 6 << slot_bits) | slot) & ~end_bit;
  }
};

// Marks of any number of threads, in the order of their pushes, for one consumer at a time. A push
// is a clock reading, one compare-and-swap and two stores: it takes no lock, allocates nothing and
// calls nothing but the vDSO's clock. A full queue refuses.
//
// The memory is wiped in a child of fork, where the limits thus read 0 and every push is refused:
// the child's marks go nowhere, and no push has to ask whose process it is in.
class MarkQueue {
 public:
  static constexpr std::uint64_t refused = ~std::uint64_t{0};
  static constexpr std::uint64_t capacity = std::uint64_t{1} << 19;
  // Begins are refused before ends are, so that whatever was let in can be closed.
  static constexpr std::uint64_t kept_for_ends = capacity / 8;

  MarkQueue();  // Throws Error(io). Refuses until open().
  ~MarkQueue();
  MarkQueue(const MarkQueue&) = delete;
  MarkQueue& operator=(const MarkQueue&) = delete;

  void open() noexcept {
    head().begins.store(capacity - kept_for_ends, std::memory_order_release);
    head().ends.store(capacity, std::memory_order_release);
  }
  void close() noexcept {
    head().begins.store(0, std::memory_order_release);
    head().ends.store(0, std::memory_order_release);
  }

  // Any thread. The place in the queue, which is never given twice, or `refused`. The clock is read
  // as late as can be at a begin and as early as can be at an end.
  std::uint64_t push_begin(std::uint32_t slot) noexcept {
    const std::uint64_t at = claim(head().begins);
    if (at != refused) {
      publish(at, now_ns(), QueuedMark::begin_word(slot));
    }
    return at;
  }
  std::uint64_t push_end(std::uint64_t ticket) noexcept {
    const std::int64_t t_ns = now_ns();
    const std::uint64_t at = claim(head().ends);
    if (at != refused) {
      publish(at, t_ns, ticket | QueuedMark::end_bit);
    }
    return at;
  }

  std::uint64_t pushed() const noexcept { return head().tail.load(std::memory_order_acquire); }
  // Places before this one have been consumed.
  std::uint64_t consumed() const noexcept { return head().head.load(std::memory_order_acquire); }

  // The consumer's: the mark at place `at`; false while it is not there yet.
  bool peek(std::uint64_t at, QueuedMark& mark) const noexcept {
    const Cell& cell = cells()[at % capacity];
    mark.t_ns = cell.t_ns.load(std::memory_order_acquire);
    mark.word = cell.word.load(std::memory_order_relaxed);
    return mark.t_ns != 0;
  }
  // The consumer's: done with place `at`. Producers learn of it by release_until().
  void clear(std::uint64_t at) noexcept {
    cells()[at % capacity].t_ns.store(0, std::memory_order_relaxed);
  }
  void release_until(std::uint64_t at) noexcept {
    head().head.store(at, std::memory_order_release);
  }

 private:
  struct Head {
    alignas(128) std::atomic<std::uint64_t> begins;  // how full the queue may be for a begin
    std::atomic<std::uint64_t> ends;                 // and for an end
    alignas(128) std::atomic<std::uint64_t> tail;
    alignas(128) std::atomic<std::uint64_t> head;
  };
  struct Cell {
    std::atomic<std::int64_t> t_ns;  // 0: not there yet
    std::atomic<std::uint64_t> word;
  };
  static constexpr std::size_t bytes = sizeof(Head) + capacity * sizeof(Cell);

  std::uint64_t claim(const std::atomic<std::uint64_t>& limit) noexcept {
    std::uint64_t at = head().tail.load(std::memory_order_relaxed);
    do {
      // Signed: whoever was held up here for long may find the head ahead of the tail that it read,
      // and then the exchange fails.
      const auto waiting =
          static_cast<std::int64_t>(at - head().head.load(std::memory_order_acquire));
      if (waiting >= static_cast<std::int64_t>(limit.load(std::memory_order_relaxed))) {
        return refused;
      }
    } while (!head().tail.compare_exchange_weak(at, at + 1, std::memory_order_relaxed));
    return at;
  }
  void publish(std::uint64_t at, std::int64_t t_ns, std::uint64_t word) noexcept {
    Cell& cell = cells()[at % capacity];
    cell.word.store(word, std::memory_order_relaxed);
    cell.t_ns.store(t_ns, std::memory_order_release);
  }
  Head& head() const noexcept { return *static_cast<Head*>(memory_); }
  Cell* cells() const noexcept { return reinterpret_cast<Cell*>(static_cast<Head*>(memory_) + 1); }

  void* memory_;
};

}  // namespace wattring
