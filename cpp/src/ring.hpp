// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace wattring {

// A fixed number of rows of 64-bit words. One writer that never waits, any number of readers that
// never slow it down. Rows are numbered from 0 for ever; the ring holds the last `rows()` of them.
//
// The memory is mapped twice in a row, so that every span of rows is contiguous for a reader.
class Ring {
 public:
  // `rows` is rounded up to a power of two that fills whole pages. Throws Error.
  Ring(std::size_t words_per_row, std::size_t rows);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  std::size_t rows() const noexcept { return mask_ + 1; }
  std::size_t words_per_row() const noexcept { return words_; }
  std::uint64_t head() const noexcept { return committed_.load(std::memory_order_acquire); }
  std::uint64_t oldest() const noexcept { return oldest_at(head()); }

  // Writer only.
  void push(std::span<const std::uint64_t> row) noexcept {
    const std::uint64_t k = committed_.load(std::memory_order_relaxed);
    claimed_.store(k + 1, std::memory_order_relaxed);
    std::uint64_t* to = base_ + (k & mask_) * words_;
    for (std::size_t i = 0; i < words_; ++i) {
      // Release, so that whoever sees the new word also sees the claim before it (no fences: the
      // thread sanitizer does not know them; on x86-64 both are plain moves).
      std::atomic_ref(to[i]).store(row[i], std::memory_order_release);
    }
    committed_.store(k + 1, std::memory_order_release);
  }

  struct Copied {
    std::size_t rows;    // rows copied
    std::uint64_t lost;  // rows that were overwritten before they could be copied
  };
  // Copies the rows from `cursor` on, as many as there are and `to` holds, and moves the cursor
  // behind them. Rows that the writer overtook are skipped and counted, never handed out torn.
  Copied read(std::uint64_t& cursor, std::span<std::uint64_t> to) const noexcept;

  // One word of row k; false when the row is gone or not there yet.
  bool peek(std::uint64_t k, std::size_t word, std::uint64_t& value) const noexcept;

  // Address of row k. It stays mapped; its content changes when the writer comes round.
  const std::uint64_t* address(std::uint64_t k) const noexcept {
    return base_ + (k & mask_) * words_;
  }

 private:
  std::uint64_t oldest_at(std::uint64_t end) const noexcept {
    return end > rows() ? end - rows() : 0;
  }

  std::size_t words_;
  std::uint64_t mask_;
  std::size_t bytes_;
  std::uint64_t* base_ = nullptr;
  alignas(128) std::atomic<std::uint64_t> claimed_{0};
  alignas(128) std::atomic<std::uint64_t> committed_{0};
};

}  // namespace wattring
