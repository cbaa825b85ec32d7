// SPDX-License-Identifier: Apache-2.0
// The quick rows at a start and a stop, which give every window an update on either side.
#include <algorithm>

#include "estimate.hpp"
#include "sampler.hpp"

namespace wattring {
namespace {

constexpr std::int64_t longest_settle_ns = 250'000'000;

}  // namespace

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

}  // namespace wattring
