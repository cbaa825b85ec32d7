// SPDX-License-Identifier: Apache-2.0
#include "ledger.hpp"

#include <algorithm>
#include <cmath>

namespace wattring {
namespace {

// `alone_j` is its upper bound where nothing is inside, which `nested` then says with nullptr.
void book(ChannelTotals& totals, const ChannelEnergy& energy, double alone_j,
          const Nested::Inside* nested) {
  if (nested == nullptr) {
    totals.own.add(energy.lower_j, energy.value_j, alone_j);
  } else {
    const BoundedSum& others = nested->others;
    const BoundedSum& same = nested->same;
    const double lower =
        std::max(0.0, energy.lower_j - (others.upper_j.get() + same.upper_j.get()));
    // The parts cannot be more than the whole, whatever each may be by itself.
    const double upper =
        std::max(lower, energy.upper_j - (others.lower_j.get() + same.lower_j.get()));
    const double value = energy.value_j - (others.value_j.get() + same.value_j.get());
    totals.own.add(lower, std::clamp(value, lower, upper), upper);
    totals.others_j.add(others.upper_j.get());
  }
  totals.summed_j.add(energy.value_j);
  totals.min_j = std::min(totals.min_j, energy.value_j);
  totals.max_j = std::max(totals.max_j, energy.value_j);
  totals.unbounded += std::isinf(energy.upper_j) ? 1 : 0;
  totals.still += energy.still ? 1 : 0;
  totals.failed += energy.failed;
  totals.ambiguous += energy.ambiguous;
  totals.reset += energy.reset;
}

Bounded bounded(double lower_j, double value_j, double upper_j) noexcept {
  const double upper = std::max(lower_j, upper_j);
  return {lower_j, std::clamp(value_j, lower_j, upper), upper};
}

}  // namespace

Bounded LedgerEntry::inclusive(std::size_t channel) const noexcept {
  const BoundedSum& all = covered.channels[channel];
  return bounded(all.lower_j.get(), all.value_j.get(), all.upper_j.get());
}

// Where windows overlapped, several may have been innermost at the same time, so that the sum of
// what each had to itself counts that time several times: at most as often as windows were open.
// Nor can it be less than what remains without all that is of another name.
Bounded LedgerEntry::exclusive(std::size_t channel) const noexcept {
  const Bounded whole = inclusive(channel);
  const ChannelTotals& totals = channels[channel];
  double lower = totals.own.lower_j.get();
  if (overlapped > 0) {
    lower = std::max(lower / static_cast<double>(most_open), whole.lower_j - totals.others_j.get());
  }
  return bounded(lower, std::min(totals.own.value_j.get(), whole.value_j),
                 std::min(totals.own.upper_j.get(), whole.upper_j));
}

LedgerEntry& Ledger::add_name(std::size_t name, const std::string& text, std::size_t channels) {
  entries_.resize(std::max(entries_.size(), name + 1));
  LedgerEntry& entry = entries_[name];
  entry.name = text;
  entry.channels.resize(channels);
  entry.covered.channels.resize(channels);
  return entry;
}

void Ledger::begin(std::size_t name, std::int64_t t_ns) {
  if (covers_.size() <= name) {
    covers_.resize(name + 1);
  }
  covers_[name].begin(t_ns);
}

void Ledger::add(LedgerEntry& entry, const Mark& from, const Mark& to, const Nested& nested,
                 Nested* outer) {
  Cover& cover = covers_[nested.name];
  const Cover::Span span = cover.end(from, to, entry.covered);
  const std::int64_t ns = to.t_ns - from.t_ns;
  const bool folds = ++entry.count % Sum::terms_per_fold == 0;
  entry.overlapped += span.is_apart ? 0 : 1;
  entry.most_open = cover.most_open();
  entry.summed_ns += ns;
  entry.own_ns += ns - nested.ns;
  entry.min_ns = std::min(entry.min_ns, ns);
  entry.max_ns = std::max(entry.max_ns, ns);
  if (outer != nullptr) {
    outer->ns += ns;
    ++outer->count;
  }
  std::size_t channel = 0;
  for (std::size_t s = 0; s < from.sources.size(); ++s) {
    const Mark::PerSource& a = from.sources[s];
    const Mark::PerSource& b = to.sources[s];
    for (std::size_t i = 0; i < a.standings.size(); ++i, ++channel) {
      const ChannelEnergy energy = energy_between(a, b, i);
      ChannelTotals& totals = entry.channels[channel];
      ChainedSum& covered = entry.covered.channels[channel];
      double alone_j = energy.upper_j;
      if (span.is_window) {
        const double added_j = covered.add_next(energy, b.standings[i]);
        alone_j = span.is_apart ? added_j : alone_j;
      } else if (span.from != nullptr) {
        const Mark::PerSource& until = (*span.to)[s];
        covered.add_next(energy_between((*span.from)[s], until, i), until.standings[i]);
      }
      book(totals, energy, alone_j, nested.count > 0 ? &nested.channels[channel] : nullptr);
      if (outer != nullptr) {
        Nested::Inside& inside = outer->channels[channel];
        (outer->name == nested.name ? inside.same : inside.others).add_next(energy, b.standings[i]);
        if (outer->count % Sum::terms_per_fold == 0) {
          inside.same.fold();
          inside.others.fold();
        }
      }
      if (folds) {
        totals.own.fold();
        totals.summed_j.fold();
        totals.others_j.fold();
      }
    }
  }
  if (folds) {
    entry.covered.fold();
  }
}

}  // namespace wattring
