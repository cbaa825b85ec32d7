// SPDX-License-Identifier: Apache-2.0
#include "update_clock.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sightings.hpp"

namespace wattring {
namespace {

std::vector<Poll> polls_of(const Rows& rows, std::size_t index) {
  std::vector<Poll> polls;
  polls.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if ((rows.marks(i, index) & row::failed) == 0) {
      const auto begin_ns = static_cast<double>(rows.t_begin(i) - rows.t_begin(0));
      const auto end_ns = static_cast<double>(rows.t_end(i) - rows.t_begin(0));
      polls.push_back({(begin_ns + end_ns) / 2, (end_ns - begin_ns) / 2,
                       static_cast<double>(rows.reading(i, index) - rows.reading(0, index)), i});
    }
  }
  return polls;
}

struct Refined {
  Guess guess;
  int on_both_sides;  // the lesser of the numbers of sightings that did and did not see
  double wrong;       // share of sightings that are off by more than the margin
  double odd;         // share of polls near an update that are no sighting of it
};

// Moves the guess until updates come before the polls that saw them and after those that did not,
// by the least squares of what is violated.
Refined refine(std::span<const Poll> polls, Guess guess, double scale, double quantum,
               double period_error_ns) {
  const Sightings seen(polls, guess, scale, quantum);
  const double reach_ns = 2.5 * seen.margin_ns();
  std::vector<Sighting> sightings;
  int odd = 0;
  for (std::size_t i = 0; i < polls.size(); ++i) {
    if (polls[i].half_ns < seen.margin_ns() && guess.off_ns(polls[i].t_ns) < reach_ns) {
      const auto sighting = seen.of(i);
      if (sighting && sighting->saw != Sighting::Saw::neither) {
        sightings.push_back(*sighting);
      } else if (sighting) {
        ++odd;
      }
    }
  }
  const double gap_ns = 0.01 * guess.period_ns;  // keeps the updates amid what is possible
  const double most_ns = reach_ns;
  const double prior = gap_ns * gap_ns / (period_error_ns * period_error_ns);
  double shift_ns = 0;
  double stretch_ns = 0;
  const double middle = sightings.empty() ? 0 : (sightings.front().k + sightings.back().k) / 2;
  for (int round = 0; round < 12; ++round) {
    double a = 0.1;  // so that nothing moves without a reason
    double b = 0;
    double c = prior;
    double x = 0;
    double y = -prior * stretch_ns;
    for (const Sighting& s : sightings) {
      const double k = s.k - middle;
      const double off_ns = guess.time_of(s.k) + shift_ns + stretch_ns * k - s.t_ns;
      double violation_ns = s.saw == Sighting::Saw::yes ? std::max(0.0, off_ns + gap_ns)
                                                        : std::min(0.0, off_ns - gap_ns);
      violation_ns = std::clamp(violation_ns, -most_ns, most_ns);
      if (violation_ns != 0) {
        a += 1;
        b += k;
        c += k * k;
        x -= violation_ns;
        y -= violation_ns * k;
      }
    }
    const double determinant = a * c - b * b;
    if (!(determinant > 0)) {
      break;
    }
    shift_ns += (x * c - y * b) / determinant;
    stretch_ns += (y * a - x * b) / determinant;
  }
  int saw = 0;
  int wrong = 0;
  for (const Sighting& s : sightings) {
    const double off_ns = guess.time_of(s.k) + shift_ns + stretch_ns * (s.k - middle) - s.t_ns;
    const bool yes = s.saw == Sighting::Saw::yes;
    saw += yes ? 1 : 0;
    wrong += (yes ? off_ns : -off_ns) > seen.margin_ns() ? 1 : 0;
  }
  const int all = static_cast<int>(sightings.size());
  return {{guess.period_ns + stretch_ns, guess.phase_ns + shift_ns - stretch_ns * middle},
          std::min(saw, all - saw),
          static_cast<double>(wrong) / std::max(all, 1),
          static_cast<double>(odd) / std::max(all + odd, 1)};
}

// The guess, refined; nothing when fewer than `enough` sightings on either side speak for it, or
// too many against it.
std::optional<Guess> settle(std::span<const Poll> polls, const Guess& start, double quantum,
                            double period_error_ns, int enough) {
  // Updates that come late at random by more than a little need a wider view.
  for (const double scale : {1.0, 3.0}) {
    Refined refined{start, 0, 1, 1};
    for (int i = 0; i < 3; ++i) {
      refined = refine(polls, refined.guess, scale, quantum, period_error_ns);
    }
    if (refined.on_both_sides < enough) {
      break;
    }
    if (refined.wrong < 0.1 && refined.odd < 0.5) {
      return refined.guess;
    }
  }
  return std::nullopt;
}

// Whether polls speak for a guess that nothing else does.
bool is_borne_out(std::span<const Poll> polls, const Guess& guess) {
  const Testimony t = testimony(polls, guess);
  return (t.right >= 10 || t.still >= 32 || t.split >= 12) &&
         8 * t.wrong <= t.right + t.still + t.split;
}

// Whether they speak against one.
bool is_contradicted(std::span<const Poll> polls, const Guess& guess) {
  const Testimony t = testimony(polls, guess);
  return 2 * t.wrong > t.right + t.still + t.split + 2;
}

// The update nearest to the middle of the rows.
UpdateClock absolute(const Guess& guess, std::span<const Poll> polls, std::int64_t origin_ns) {
  const double k = std::round(guess.updates_until(polls[polls.size() / 2].t_ns));
  return {guess.period_ns, origin_ns + static_cast<std::int64_t>(std::llround(guess.time_of(k)))};
}

// Polls that are much slower than updates leave no trace of single ones. A hole among quick ones,
// where the sampler was held up, takes nothing from what these tell.
bool are_quick(std::span<const Poll> polls, double refresh_ns) {
  std::size_t quick = 0;
  for (std::size_t i = 1; i < polls.size(); ++i) {
    quick += polls[i].t_ns - polls[i - 1].t_ns < 1.5 * refresh_ns ? 1 : 0;
  }
  return 2 * quick > polls.size();
}

}  // namespace

ClockFinder::ClockFinder(const Rows& rows, std::size_t index, const Channel& channel,
                         std::uint64_t quantum)
    : origin_ns_(rows.size() > 0 ? rows.t_begin(0) : 0), quantum_(static_cast<double>(quantum)) {
  const auto refresh_ns = static_cast<double>(channel.refresh_ns);
  std::vector<Poll> polls = polls_of(rows, index);
  if (polls.size() >= fewest_rows && refresh_ns > 0 && are_quick(polls, refresh_ns)) {
    // RAPL's millisecond is 0.976 ms on some processors.
    search_.emplace(std::move(polls), 0.96 * refresh_ns, 1.025 * refresh_ns);
  }
}

bool ClockFinder::step() { return search_ && search_->step(); }

std::optional<UpdateClock> ClockFinder::result() const {
  if (!search_) {
    return std::nullopt;
  }
  const auto guess =
      settle(search_->polls(), search_->best(), quantum_, search_->period_error_ns(), 3);
  if (!guess || !is_borne_out(search_->polls(), *guess)) {
    return std::nullopt;
  }
  return absolute(*guess, search_->polls(), origin_ns_);
}

std::optional<UpdateClock> follow_clock(const Rows& rows, std::size_t index, std::uint64_t quantum,
                                        const UpdateClock& known) {
  constexpr std::size_t fewest = 48;
  constexpr double drift = 1e-5;  // of the period, from one time to the next
  constexpr double far = 300;     // from there on the phase is not known, though the period is
  std::vector<Poll> polls = polls_of(rows, index);
  if (polls.size() < fewest || !are_quick(polls, known.period_ns)) {
    return std::nullopt;
  }
  const auto unit = static_cast<double>(quantum);
  const double drift_ns = drift * known.period_ns;
  const Guess start{known.period_ns, static_cast<double>(known.phase_ns - rows.t_begin(0))};
  std::optional<Guess> guess;
  if (std::abs(start.updates_until(polls[polls.size() / 2].t_ns)) < far) {
    guess = settle(polls, start, unit, drift_ns, 0);
  }
  if (!guess || is_contradicted(polls, *guess)) {
    ClockSearch search(polls, known.period_ns, known.period_ns);
    while (search.step()) {
    }
    guess = settle(polls, search.best(), unit, drift_ns, 3);
  }
  if (!guess || is_contradicted(polls, *guess)) {
    return std::nullopt;
  }
  return absolute(*guess, polls, rows.t_begin(0));
}

std::vector<DatedValue> date_updates(const Rows& rows, std::size_t index, std::uint64_t quantum,
                                     const UpdateClock& clock) {
  const std::vector<Poll> polls = polls_of(rows, index);
  const Guess guess{clock.period_ns, static_cast<double>(clock.phase_ns - rows.t_begin(0))};
  const Sightings seen(polls, guess, 1, static_cast<double>(quantum));
  std::vector<DatedValue> dated;
  dated.reserve(polls.size());
  constexpr double never = -std::numeric_limits<double>::infinity();
  NumberedValue earlier{never, 0};
  NumberedValue last{never, 0};
  int contradictions = 0;
  for (std::size_t i = 0; i < polls.size(); ++i) {
    const Poll& poll = polls[i];
    double k = guess.last_before(poll.t_ns);
    if (!seen.is_far(poll)) {
      auto sighting = seen.of(i);
      if (!sighting && earlier.k != never) {
        sighting = seen.of_newest(i, earlier, last);
      }
      if (!sighting || sighting->saw == Sighting::Saw::neither) {
        continue;
      }
      k = sighting->saw == Sighting::Saw::yes ? sighting->k : sighting->k - 1;
    }
    if (k > last.k) {
      dated.push_back({guess.time_of(k),
                       rows.reading(0, index) + static_cast<std::uint64_t>(poll.value), poll.row});
      earlier = last;
    } else if (k < last.k || poll.value != last.value) {
      ++contradictions;
    }
    last = {std::max(k, last.k), poll.value};
  }
  if (contradictions * 10 > static_cast<int>(polls.size())) {
    dated.clear();
  }
  return dated;
}

}  // namespace wattring
