// SPDX-License-Identifier: Apache-2.0
// What other threads ask a sampler about itself.
#include "sampler.hpp"

namespace wattring {

std::uint64_t Sampler::count_rows(RowCounts& counts) const {
  for (;;) {
    // These lag behind the ring while a row is made, and are of more rows if one came meanwhile.
    const std::uint64_t rows = samples_.get();
    counts.readings.clear();
    for (const ChannelTallies& tallies : tallies_) {
      counts.readings.push_back(tallies.snapshot());
    }
    counts.gaps = gaps_.get();
    if (ring_.head() == rows) {
      return rows;
    }
    sleep_for(20'000);
  }
}

SamplerStats Sampler::stats() const {
  SamplerStats stats;
  stats.samples = samples_.get();
  stats.missed = missed_.get();
  stats.spared = spared_.get();
  stats.retries = retries_.get();
  stats.failed = failed_.get();
  stats.last_errno = last_errno_.load(std::memory_order_relaxed);
  stats.running = running();
  stats.gone = gone_.load(std::memory_order_acquire);
  for (const ChannelTallies& tallies : tallies_) {
    stats.ambiguous += tallies.ambiguous.get();
    stats.resets += tallies.reset.get();
  }
  const auto quantiles = [](const Histogram& histogram) {
    const auto p = histogram.percentiles_ns(std::array{0.5, 0.9, 0.99, 0.999});
    return std::array{p[0], p[1], p[2], p[3], static_cast<double>(histogram.max_ns())};
  };
  stats.lateness_ns = quantiles(lateness_);
  stats.read_ns = quantiles(read_time_);
  if (adaptive_) {
    stats.adaptive = adaptive_->stats();
  }
  stats.read_s = static_cast<double>(read_time_.sum_ns()) * 1e-9;
  if (!ready_.rung()) {
    return stats;
  }
  std::int64_t cpu_ns = cpu_ns_.load(std::memory_order_relaxed);
  if (cpu_ns == 0) {
    // The clock of a thread that has ended meanwhile reads 0, and so does another process's.
    cpu_ns = cpu_time_ns(cpu_clock_);
  }
  if (cpu_ns == 0) {
    cpu_ns = cpu_ns_.load(std::memory_order_relaxed);
  }
  stats.cpu_s = static_cast<double>(cpu_ns) * 1e-9;
  stats.refused = refused_;
  return stats;
}

}  // namespace wattring
