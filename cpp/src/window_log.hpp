// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace wattring {

// The windows that ended last, for whoever keeps a record of them: a fixed number, numbered from 0
// in the order in which they were settled. One thread at a time.
class WindowLog {
 public:
  static constexpr std::size_t capacity = std::size_t{1} << 16;
  struct Entry {
    std::int64_t t_begin_ns;
    std::int64_t t_end_ns;
    std::uint32_t name;
  };

  // Memory is taken up once, before the first entry.
  void open() { entries_.resize(capacity); }
  void add(const Entry& entry) noexcept { entries_[count_++ % capacity] = entry; }

  // Those from `cursor` on, which moves behind them; how many had been overwritten is added to
  // `lost`.
  std::vector<Entry> read(std::uint64_t& cursor, std::uint64_t& lost) const {
    const std::uint64_t oldest = count_ > capacity ? count_ - capacity : 0;
    const std::uint64_t first = std::clamp(cursor, oldest, count_);
    lost += first - std::min(cursor, first);
    std::vector<Entry> found;
    found.reserve(count_ - first);
    for (cursor = first; cursor < count_; ++cursor) {
      found.push_back(entries_[cursor % capacity]);
    }
    return found;
  }

 private:
  std::vector<Entry> entries_;
  std::uint64_t count_ = 0;
};

}  // namespace wattring
