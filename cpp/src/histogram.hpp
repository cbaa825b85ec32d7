// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace wattring {

// A number that one thread writes and others may read at any time; what that thread wrote before is
// there as well (on x86-64 both are plain moves).
class Tally {
 public:
  void add(std::uint64_t n) noexcept {
    // No read-modify-write instruction: there is one writer.
    n_.store(n_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  std::uint64_t get() const noexcept { return n_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> n_{0};
};

// Durations in fixed buckets on a log scale, eight to an octave: a percentile is right to 6.25 %,
// half a bucket's width by its lower end.
class Histogram {
 public:
  void add(std::int64_t duration_ns) noexcept {
    const auto ns = static_cast<std::uint64_t>(duration_ns < 0 ? 0 : duration_ns);
    if (ns > max_.load(std::memory_order_relaxed)) {
      max_.store(ns, std::memory_order_relaxed);  // first: whoever sees it counted sees this too
    }
    buckets_[bucket_of(ns)].add(1);
    sum_.add(ns);
  }

  std::uint64_t sum_ns() const noexcept { return sum_.get(); }
  std::uint64_t max_ns() const noexcept { return max_.load(std::memory_order_relaxed); }

  // The least duration that the given fraction of all does not exceed, for each of several
  // fractions in rising order, from one look at the buckets; 0 when empty.
  template <std::size_t N>
  std::array<double, N> percentiles_ns(const std::array<double, N>& fractions) const noexcept {
    std::array<std::uint64_t, count> counts;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < count; ++i) {
      counts[i] = buckets_[i].get();
      total += counts[i];
    }
    std::array<double, N> found{};
    std::size_t bucket = 0;
    std::uint64_t seen = counts[0];
    for (std::size_t i = 0; i < N && total > 0; ++i) {
      while (static_cast<double>(seen) < fractions[i] * static_cast<double>(total)) {
        seen += counts[++bucket];
      }
      // Of the bucket with the longest, the middle may lie above it.
      found[i] = std::min(middle_of(bucket), static_cast<double>(max_ns()));
    }
    return found;
  }

 private:
  static constexpr int bits = 3;
  static constexpr std::size_t per_octave = std::size_t{1} << bits;
  static constexpr std::size_t count = (64 - bits + 1) * per_octave;

  static std::size_t bucket_of(std::uint64_t ns) noexcept {
    if (ns < per_octave) {
      return ns;
    }
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - bits - 1;
    return (shift + 1) * per_octave + ((ns >> shift) - per_octave);
  }

  static double middle_of(std::size_t bucket) noexcept {
    if (bucket < per_octave) {
      return static_cast<double>(bucket);
    }
    const std::size_t shift = bucket / per_octave - 1;
    const auto width = static_cast<double>(std::uint64_t{1} << shift);
    return (static_cast<double>(per_octave + bucket % per_octave) + 0.5) * width;
  }

  std::array<Tally, count> buckets_{};
  Tally sum_;
  std::atomic<std::uint64_t> max_{0};
};

}  // namespace wattring
