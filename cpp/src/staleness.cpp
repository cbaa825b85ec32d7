// SPDX-License-Identifier: Apache-2.0
#include "staleness.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "estimate.hpp"
#include "stretches.hpp"

namespace wattring {
namespace {

// Fewer units than these may come at once from a load of single units.
constexpr double few_units = 16;

class Examination {
 public:
  Examination(const Rows& rows, std::span<const Channel> channels, std::size_t index,
              std::int64_t refresh_ns)
      : rows_(rows),
        channels_(channels),
        index_(index),
        stretches_(stretches_of(rows, index)),
        distance_ns_(usual_distance_ns(rows, index)),
        unit_(static_cast<double>(quantum_of(rows, index, channels[index]))) {
    Channel known = channels[index];
    known.refresh_ns = refresh_ns;
    patience_ns_ = wattring::patience_ns(known);
    for (std::size_t i = 0; i < channels.size(); ++i) {
      if (channels[i].kind == Kind::counter && channels[i].parent == known.name) {
        inner_.push_back({i, joules_of_unit(i)});
      }
    }
  }

  Staleness result() const {
    Staleness found;
    for (std::size_t k = 0; k < stretches_.size(); ++k) {
      const Stretch& stretch = stretches_[k];
      if (watched(stretch.first, stretch.last) <= patience_ns_) {
        continue;
      }
      const std::optional<std::size_t> since =
          makes_up_for(k) ? stretch.first : contained_moved_in(stretch);
      if (since) {
        found.ns += watched(*since, stretch.last);
        ++found.times;
        found.now = k + 1 == stretches_.size();
      }
    }
    return found;
  }

 private:
  static constexpr std::size_t most_neighbours = 16;
  static constexpr std::size_t fewest_neighbours = 8;

  // A channel that this one contains.
  struct Inner {
    std::size_t index;
    double unit_j;
  };

  double joules_of_unit(std::size_t index) const {
    return static_cast<double>(quantum_of(rows_, index, channels_[index])) * channels_[index].scale;
  }

  std::int64_t watched(std::size_t from, std::size_t to) const {
    return watched_ns(rows_, index_, from, to, distance_ns_);
  }
  double refresh_ns() const { return static_cast<double>(patience_ns_) / 4; }
  Change change_after(std::size_t k) const {
    return change_between(rows_, index_, stretches_[k], stretches_[k + 1]);
  }

  // The row since which a channel inside this one went on without it.
  std::optional<std::size_t> contained_moved_in(const Stretch& stretch) const {
    for (const Inner& inner : inner_) {
      // What it had used until its first reading here is less than a unit above the value that its
      // next change shows; and what it used in the last refresh may yet come out.
      const auto until_ns =
          rows_.t_begin(stretch.last) - static_cast<std::int64_t>(std::ceil(refresh_ns()));
      std::optional<std::uint64_t> first;
      std::optional<std::size_t> since;
      std::uint64_t newest = 0;
      for (std::size_t k = stretch.first; k <= stretch.last && rows_.t_end(k) <= until_ns; ++k) {
        if ((rows_.marks(k, inner.index) & row::failed) == 0) {
          newest = rows_.reading(k, inner.index);
          first = first.value_or(newest);
          since = !since && newest != *first ? k : since;
        }
      }
      if (since && static_cast<double>(newest - rows_.reading(*since, inner.index)) *
                           channels_[inner.index].scale >
                       2 * (unit_ * channels_[index_].scale + inner.unit_j)) {
        return since;
      }
    }
    return std::nullopt;
  }

  // The changes from one to another, as far as they tell the power around a stretch.
  struct Side {
    double power = 0;    // ticks/ns
    double largest = 0;  // step, over the time that it may have taken
  };
  std::optional<Side> side(std::size_t first, std::size_t end) const {
    if (end < first + fewest_neighbours + 1) {
      return std::nullopt;
    }
    Side found;
    double energy = 0;
    for (std::size_t k = first + 1; k < end; ++k) {
      const Change change = change_after(k);
      energy += change.step;
      found.largest = std::max(found.largest, change.step / (change.width_ns + refresh_ns()));
    }
    const double length_ns = change_after(end - 1).t_ns - change_after(first).t_ns;
    const auto changes = static_cast<double>(end - first - 1);
    found.power = energy / length_ns;
    // A counter that often stood still there as well has a load that comes in bursts.
    const bool steady = length_ns <= 2 * changes * std::max(refresh_ns(), distance_ns_);
    return steady ? std::optional(found) : std::nullopt;
  }

  // Whether the step after stretch k is the energy of the whole of it, at the power around it,
  // and more than any other step there.
  bool makes_up_for(std::size_t k) const {
    if (k == 0 || k + 1 >= stretches_.size()) {
      return false;
    }
    const std::size_t changes = stretches_.size() - 1;
    const auto before = side(k - std::min(k, most_neighbours + 1), k);
    const auto after = side(k, std::min(changes, k + most_neighbours + 1));
    if (!before && !after) {
      return false;
    }
    const Side& one = before ? *before : *after;
    const Side& other = after ? *after : *before;
    const Change change = change_after(k);
    const double length_ns = change.t_ns - change_after(k - 1).t_ns;
    const double usual = std::max(one.largest, other.largest) * (change.width_ns + refresh_ns());
    return change.step >= few_units * unit_ && change.step > 2 * usual &&
           change.step > 0.5 * std::min(one.power, other.power) * length_ns &&
           change.step < 2 * std::max(one.power, other.power) * length_ns;
  }

  Rows rows_;
  std::span<const Channel> channels_;
  std::size_t index_;
  std::vector<Stretch> stretches_;
  double distance_ns_;
  double unit_;
  std::int64_t patience_ns_ = 0;
  std::vector<Inner> inner_;
};

}  // namespace

Staleness staleness_of(const Rows& rows, std::span<const Channel> channels, std::size_t index,
                       std::int64_t refresh_ns) {
  if (channels[index].kind != Kind::counter) {
    return {};
  }
  return Examination(rows, channels, index, refresh_ns).result();
}

}  // namespace wattring
