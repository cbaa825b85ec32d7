// SPDX-License-Identifier: Apache-2.0
#include "pacing.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>

#include "refresh.hpp"

namespace wattring {
namespace {

// So many refreshes tell their pace, also of a load that leaves some of the changes out.
constexpr std::int64_t refreshes_to_tell = 40;
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

std::int64_t slowest_ns(std::span<const Channel> channels) {
  std::int64_t slowest = 0;
  for (const Channel& channel : channels) {
    slowest = std::max(slowest, channel.refresh_ns);
  }
  return slowest;
}

// 0: unknown.
std::int64_t refresh_of(const ObservedRefresh& found, std::int64_t period_ns) {
  if (found.evidence == Evidence::slow_polls && found.changes > 0) {
    // Too quick for its changes to be told apart by the polls, but not to be counted.
    return std::max(period_ns, found.observed_ns / static_cast<std::int64_t>(found.changes));
  }
  return found.period_ns;
}

}  // namespace

Pacing::Pacing(std::span<const Channel> published, double share, std::int64_t period_ns)
    : published_(published.begin(), published.end()),
      period_ns_(period_ns),
      slowest_ns_(slowest_ns(published)),
      budget_(share, period_ns, slowest_ns_) {}

bool Pacing::may_read(std::int64_t now_ns, bool urgent, const Ring& ring) noexcept {
  if (correct_at_ns_ == 0) {
    correct_at_ns_ = slowest_ns_ > 0 ? now_ns + refreshes_to_tell * slowest_ns_ : never;
  }
  if (now_ns >= correct_at_ns_) {
    correct(now_ns, ring);
  }
  return (!edges_ || edges_->due(now_ns)) && budget_.allows(now_ns, urgent);
}

void Pacing::see(std::span<const std::uint64_t> readings, std::int64_t begin_ns,
                 std::int64_t end_ns) noexcept {
  budget_.spend(begin_ns, end_ns);
  if (edges_) {
    edges_->see(readings, begin_ns, end_ns);
  }
}

void Pacing::correct(std::int64_t now_ns, const Ring& ring) noexcept {
  correct_at_ns_ = never;
  bool differs = false;
  try {
    // Those of as many refreshes again: where they don't tell, this is done over and over.
    const std::int64_t rows = 2 * refreshes_to_tell * slowest_ns_ / period_ns_ + 1;
    const std::vector<ObservedRefresh> found =
        observe_refresh(ring, published_, static_cast<std::size_t>(rows));
    observed_ = published_;
    for (std::size_t i = 0; i < found.size(); ++i) {
      Channel& channel = observed_[i];
      // A power that stays the same shows the load's pace, not the sensor's: counters only.
      if (channel.kind != Kind::counter || !channel.is_slow()) {
        continue;
      }
      const std::int64_t refresh_ns = refresh_of(found[i], period_ns_);
      if (refresh_ns == 0) {
        correct_at_ns_ = now_ns + refreshes_to_tell * slowest_ns_;
        return;
      }
      if (std::abs(refresh_ns - channel.refresh_ns) > channel.refresh_ns / 10) {
        channel.refresh_ns = refresh_ns;
        differs = true;
      }
    }
    edges_.emplace(observed_, period_ns_);
  } catch (const std::bad_alloc&) {
    return;
  }
  if (differs) {
    channels_.store(&observed_, std::memory_order_release);
  }
}

}  // namespace wattring
