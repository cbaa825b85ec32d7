// SPDX-License-Identifier: Apache-2.0
#include "row_index.hpp"

#include <algorithm>

namespace wattring {

RowIndex::RowIndex(const Rows& rows) : rows_(rows) {
  const std::size_t n = rows_.size();
  const std::size_t parts = n / 2 + 1;
  if (n > 0) {
    begin_ns_ = rows_.t_end(0);
    const std::int64_t span_ns = rows_.t_end(n - 1) - begin_ns_;
    parts_per_ns_ = static_cast<double>(parts) / static_cast<double>(span_ns + 1);
  }
  firsts_.assign(parts + 1, static_cast<std::uint32_t>(n));
  for (std::size_t i = n; i-- > 0;) {
    firsts_[part_of(rows_.t_end(i))] = static_cast<std::uint32_t>(i);
  }
  for (std::size_t part = parts; part-- > 0;) {
    firsts_[part] = std::min(firsts_[part], firsts_[part + 1]);
  }
}

std::size_t RowIndex::part_of(std::int64_t t_ns) const noexcept {
  const double part = static_cast<double>(t_ns - begin_ns_) * parts_per_ns_;
  const auto last = static_cast<double>(firsts_.size() - 2);
  return static_cast<std::size_t>(std::clamp(part, 0.0, last));
}

std::size_t RowIndex::after(std::int64_t t_ns) const noexcept {
  const std::size_t part = part_of(t_ns);
  return rows_.after(t_ns, firsts_[part], firsts_[part + 1]);
}

}  // namespace wattring
