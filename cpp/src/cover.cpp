// SPDX-License-Identifier: Apache-2.0
#include "cover.hpp"

#include <algorithm>
#include <utility>

namespace wattring {
namespace {

// `more`, but no more than what takes `now` to `most`.
double up_to(double most, double now, double more) {
  const double rest = std::min(more, most - now);
  return rest > 0 ? rest : 0;  // also where both are infinite
}

}  // namespace

void Cover::Start::hand_down(Start& lower) noexcept {
  if (!lower.before) {
    lower.before = std::move(before);
  }
}

std::size_t Cover::start_of(std::int64_t t_ns) const noexcept {
  // Whoever looks further down mostly swallows what lies above.
  std::size_t i = starts_.size();
  while (i > 0 && starts_[i - 1].t_ns > t_ns) {
    --i;
  }
  return i - 1;  // wraps where there is none
}

void Cover::begin_among_others(std::int64_t t_ns) {
  const std::size_t i = start_of(t_ns);
  if (i < starts_.size() && std::max(starts_[i].t_ns, starts_[i].until_ns) >= t_ns) {
    ++starts_[i].open;
    return;
  }
  starts_.emplace_back(t_ns);
  if (i + 2 < starts_.size()) {
    std::rotate(starts_.begin() + static_cast<std::ptrdiff_t>(i + 1), starts_.end() - 1,
                starts_.end());
  }
}

void Cover::cancel(std::int64_t t_ns) {
  --open_;
  const std::size_t i = start_of(t_ns);
  --starts_[i].open;
  leave(i);
}

Cover::Span Cover::end_among_others(const Mark& from, const Mark& to, Covered& covered) {
  --open_;
  const std::size_t i = start_of(from.t_ns);
  Start& start = starts_[i];
  --start.open;
  Span span;
  if (to.t_ns > start.until_ns) {
    swallow(i, to.t_ns);
    if (to.t_ns < reached_ns_) {
      end_late(i, from, to, covered);
    } else {
      span.is_window = !start.at;
      span.to = &to.sources;
      const std::int64_t before_ns = covered.ns;
      go_back(i, covered);
      covered.ns += to.t_ns - start.t_ns;
      span.is_apart = covered.ns - before_ns == to.t_ns - from.t_ns;
      if (start.at && start.open == 0) {
        from_.swap(*start.at);
      }
      span.from = !start.at ? &from.sources : start.open > 0 ? start.at.get() : &from_;
      reached_ns_ = to.t_ns;
      reached_ = to.sources;
    }
    start.until_ns = to.t_ns;
    if (!start.at && start.open > 0) {
      start.at = std::make_unique<std::vector<Mark::PerSource>>(from.sources);
    }
  }
  leave(i);
  return span;
}

// What ended meanwhile is covered already. How much of it lies in this window is not known, only
// that all of it lies between the start and the latest end.
void Cover::end_late(std::size_t i, const Mark& from, const Mark& to, Covered& covered) {
  const std::vector<Mark::PerSource>& at = starts_[i].at ? *starts_[i].at : from.sources;
  const auto first = starts_.begin() + static_cast<std::ptrdiff_t>(i);
  const auto kept = std::find_if(first, starts_.end(),
                                 [](const Start& start) { return start.before != nullptr; });
  const Covered before = kept != starts_.end() ? *kept->before : covered;
  const auto add_to = [&](Covered& sums) {
    sums.ns += std::clamp<std::int64_t>(before.ns + reached_ns_ - first->t_ns - sums.ns, 0,
                                        to.t_ns - from.t_ns);
    std::size_t channel = 0;
    for (std::size_t s = 0; s < at.size(); ++s) {
      for (std::size_t k = 0; k < at[s].standings.size(); ++k, ++channel) {
        const ChannelEnergy own = energy_between(from.sources[s], to.sources[s], k);
        const ChannelEnergy least = energy_between(at[s], to.sources[s], k);
        const ChannelEnergy most = energy_between(at[s], reached_[s], k);
        const ChainedSum& until = before.channels[channel];
        ChainedSum& sum = sums.channels[channel];
        sum.add(std::max(0.0, until.lower_j.get() + least.lower_j - sum.lower_j.get()),
                up_to(until.value_j.get() + most.value_j, sum.value_j.get(), own.value_j),
                up_to(until.upper_j.get() + most.upper_j, sum.upper_j.get(), own.upper_j));
      }
    }
  };
  add_to(covered);
  for (auto above = first + 1; above != starts_.end(); ++above) {
    if (above->before) {
      add_to(*above->before);
    }
  }
  if (first->open > 0) {
    first->before = std::make_unique<Covered>(before);
  } else if (i > 0 && !starts_[i - 1].before) {
    starts_[i - 1].before = std::make_unique<Covered>(before);
  }
}

void Cover::swallow(std::size_t i, std::int64_t end_ns) {
  if (i + 1 == starts_.size()) {
    return;
  }
  const auto next = starts_.begin() + static_cast<std::ptrdiff_t>(i + 1);
  auto last = next;
  for (; last != starts_.end() && last->t_ns <= end_ns; ++last) {
    starts_[i].open += last->open;
    last->hand_down(starts_[i]);
  }
  starts_.erase(next, last);
}

void Cover::go_back(std::size_t i, Covered& covered) {
  Start& start = starts_[i];
  Start* keeper = nullptr;
  if (start.open > 0) {
    keeper = &start;
  } else if (i > 0 && !starts_[i - 1].before) {
    keeper = &starts_[i - 1];
  }
  if (start.before) {
    std::swap(covered, *start.before);
  } else if (keeper != nullptr) {
    covered.fold();  // it may be gone back to any number of times
  }
  if (keeper == nullptr) {
    return;
  }
  start.hand_down(*keeper);  // for its memory
  if (keeper->before) {
    *keeper->before = covered;
  } else {
    keeper->before = std::make_unique<Covered>(covered);
  }
}

void Cover::leave(std::size_t i) {
  if (open_ == 0) {
    reached_ns_ = never;
  }
  if (starts_[i].open > 0) {
    return;
  }
  if (i > 0) {
    starts_[i].hand_down(starts_[i - 1]);
  }
  if (i + 1 < starts_.size()) {
    starts_.erase(starts_.begin() + static_cast<std::ptrdiff_t>(i));
  } else {
    starts_.pop_back();
  }
}

}  // namespace wattring
