// SPDX-License-Identifier: Apache-2.0
#include "ledger.hpp"

#include <algorithm>

namespace wattring {
namespace {

// `added_upper_j` is what the window adds to the bound of all. `nested` is nullptr when nothing was
// inside.
void book(ChannelTotals& totals, const ChannelEnergy& energy, double added_upper_j,
          const BoundedSum* nested) {
  totals.inclusive.add(energy.lower_j, energy.value_j, added_upper_j);
  if (nested == nullptr) {
    totals.exclusive.add(energy.lower_j, energy.value_j, added_upper_j);
  } else {
    const double lower = std::max(0.0, energy.lower_j - nested->upper_j.get());
    // The parts cannot be more than the whole, whatever each may be by itself.
    const double upper = std::max(lower, energy.upper_j - nested->lower_j.get());
    const double value = energy.value_j - nested->value_j.get();
    totals.exclusive.add(lower, std::clamp(value, lower, upper), upper);
  }
  totals.min_j = std::min(totals.min_j, energy.value_j);
  totals.max_j = std::max(totals.max_j, energy.value_j);
  totals.unbounded += std::isinf(energy.upper_j) ? 1 : 0;
  totals.still += energy.still ? 1 : 0;
  totals.failed += energy.failed;
  totals.ambiguous += energy.ambiguous;
  totals.reset += energy.reset;
}

}  // namespace

LedgerEntry& Ledger::add_name(std::size_t name, const std::string& text, std::size_t channels) {
  entries_.resize(std::max(entries_.size(), name + 1));
  entries_[name].name = text;
  entries_[name].channels.resize(channels);
  return entries_[name];
}

void Ledger::add(LedgerEntry& entry, const Mark& from, const Mark& to, const Nested& nested,
                 Nested* outer) {
  const std::int64_t ns = to.t_ns - from.t_ns;
  const bool folds = ++entry.count % Sum::terms_per_fold == 0;
  entry.ns += ns;
  entry.exclusive_ns += ns - nested.ns;
  entry.min_ns = std::min(entry.min_ns, ns);
  entry.max_ns = std::max(entry.max_ns, ns);
  // One that overlaps another of its name stands by itself.
  const bool is_apart = from.t_ns >= entry.last_end_ns;
  if (is_apart) {
    entry.last_end_ns = to.t_ns;
  }
  if (outer != nullptr) {
    outer->ns += ns;
    ++outer->count;
  }
  std::size_t channel = 0;
  for (std::size_t s = 0; s < from.sources.size(); ++s) {
    const Mark::PerSource& a = from.sources[s];
    const Mark::PerSource& b = to.sources[s];
    for (std::size_t i = 0; i < a.standings.size(); ++i, ++channel) {
      WindowMarks marks;
      for (std::size_t k = 0; k < marks.readings.size(); ++k) {
        marks.readings[k] = b.counts.through.readings[i][k] - a.counts.before.readings[i][k];
      }
      const ChannelEnergy energy = energy_between(a.standings[i], b.standings[i], marks);
      ChannelTotals& totals = entry.channels[channel];
      const double added_upper_j =
          is_apart ? totals.chain.add(energy, b.standings[i]) : energy.upper_j;
      book(totals, energy, added_upper_j, nested.count > 0 ? &nested.channels[channel] : nullptr);
      if (folds) {
        totals.inclusive.fold();
        totals.exclusive.fold();
      }
      if (outer != nullptr) {
        BoundedSum& inside = outer->channels[channel];
        inside.add(energy.lower_j, energy.value_j,
                   outer->chains[channel].add(energy, b.standings[i]));
        if (outer->count % Sum::terms_per_fold == 0) {
          inside.fold();
        }
      }
    }
  }
}

}  // namespace wattring
