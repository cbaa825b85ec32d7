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
// Percent of a refresh: readings that far apart see updates from different sides; or hardly more
// than once each, which is enough where it is known when they come.
constexpr std::int64_t several = 43;
constexpr std::int64_t once = 70;
constexpr int to_learn = 24;
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

std::int64_t slowest_ns(std::span<const Channel> channels) {
  std::int64_t slowest = 0;
  for (const Channel& channel : channels) {
    slowest = std::max(slowest, channel.refresh_ns);
  }
  return slowest;
}

// 0: unknown.
std::int64_t refresh_of(const ObservedRefresh& found, std::int64_t published_ns,
                        std::int64_t period_ns) {
  if (found.evidence == Evidence::slow_polls && found.changes > 0) {
    // Its changes cannot be told apart by the polls, but counted: it is as quick as that at least,
    // and polls that are far apart say nothing.
    const std::int64_t counted_ns =
        std::max(period_ns, found.observed_ns / static_cast<std::int64_t>(found.changes));
    return counted_ns < published_ns ? counted_ns : 0;
  }
  return found.period_ns;
}

}  // namespace

Pacing::Pacing(std::span<const Channel> published, double share, std::int64_t period_ns)
    : published_(published.begin(), published.end()),
      period_ns_(period_ns),
      slowest_ns_(slowest_ns(published)),
      budget_(share, period_ns),
      edges_(published, period_ns) {}

bool Pacing::may_read(std::int64_t now_ns, bool urgent, const Ring& ring) noexcept {
  if (correct_at_ns_ == 0) {
    correct_at_ns_ = slowest_ns_ > 0 ? now_ns + refreshes_to_tell * slowest_ns_ : never;
  }
  if (now_ns >= correct_at_ns_) {
    correct(now_ns, ring);
  }
  if (is_told_ && !edges_.due(now_ns)) {
    return false;
  }
  const bool close = learns(now_ns) || urgent;
  return budget_.allows(now_ns, close ? std::optional(close_ns(now_ns)) : std::nullopt);
}

// A few readings would teach nothing: they begin once many are saved up.
bool Pacing::learns(std::int64_t now_ns) noexcept {
  may_learn_ = budget_.can_afford(may_learn_ ? 1 : to_learn);
  return may_learn_ && edges_.any_fading(now_ns);
}

std::int64_t Pacing::close_ns(std::int64_t now_ns) const noexcept {
  return slowest_ns_ * (edges_.all_known(now_ns) ? once : several) / 100;
}

void Pacing::see(std::span<const std::uint64_t> readings, std::int64_t begin_ns,
                 std::int64_t end_ns) noexcept {
  budget_.spend(begin_ns, end_ns);
  edges_.see(readings, begin_ns, end_ns);
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
      const std::int64_t refresh_ns = refresh_of(found[i], channel.refresh_ns, period_ns_);
      if (refresh_ns == 0) {
        correct_at_ns_ = now_ns + refreshes_to_tell * slowest_ns_;
        return;
      }
      if (std::abs(refresh_ns - channel.refresh_ns) > channel.refresh_ns / 10) {
        channel.refresh_ns = refresh_ns;
        differs = true;
      }
    }
    if (differs) {
      edges_ = Edges(observed_, period_ns_);
    }
  } catch (const std::bad_alloc&) {
    return;
  }
  is_told_ = true;
  if (differs) {
    channels_.store(&observed_, std::memory_order_release);
  }
}

}  // namespace wattring
