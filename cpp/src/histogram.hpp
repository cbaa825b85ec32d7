// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <bit>
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

// Durations in fixed buckets on a log scale, eight to an octave: a percentile is right to 6 %.
class Histogram {
 public:
  void add(std::int64_t duration_ns) noexcept {
    const auto ns = static_cast<std::uint64_t>(duration_ns < 0 ? 0 : duration_ns);
    buckets_[bucket_of(ns)].add(1);
    sum_.add(ns);
    if (ns > max_.load(std::memory_order_relaxed)) {
      max_.store(ns, std::memory_order_relaxed);
    }
  }

  std::uint64_t sum_ns() const noexcept { return sum_.get(); }
  std::uint64_t max_ns() const noexcept { return max_.load(std::memory_order_relaxed); }

  // The duration below which the given fraction of all lies; 0 when empty.
  double percentile_ns(double fraction) const noexcept {
    std::uint64_t total = 0;
    for (const Tally& bucket : buckets_) {
      total += bucket.get();
    }
    if (total == 0) {
      return 0;
    }
    const double wanted = fraction * static_cast<double>(total);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i].get();
      if (static_cast<double>(seen) >= wanted) {
        return middle_of(i);
      }
    }
    return static_cast<double>(max_ns());
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
