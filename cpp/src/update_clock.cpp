// SPDX-License-Identifier: Apache-2.0
#include "update_clock.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

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

// A poll near an update, and whether it saw the update. One that saw more or less than just that
// speaks against the guess, or the load changed there.
struct Sighting {
  enum class Saw : std::uint8_t { no, yes, neither };
  double t_ns;
  double k;  // number of the update
  Saw saw;
};

// What polls say of the updates that they are nearest to.
class Reader {
 public:
  Reader(std::span<const Poll> polls, const Guess& guess, double scale, double quantum)
      : polls_(polls),
        guess_(guess),
        margin_ns_(phase_margin * scale * guess.period_ns),
        quantum_(quantum) {}

  // Whether the poll is far enough from any update to be placed by the clock alone.
  bool is_far(const Poll& poll) const {
    const double updates = guess_.updates_until(poll.t_ns);
    return std::abs(updates - std::round(updates)) * guess_.period_ns > margin_ns_ + poll.half_ns;
  }
  double k_of(const Poll& poll) const { return std::floor(guess_.updates_until(poll.t_ns)); }

  // Did the poll see the update it is nearest to? Only the polls around it that the clock places
  // can tell: by their very values, or by how much energy an update brings just there.
  std::optional<Sighting> sighting(std::size_t i) const {
    const Poll& poll = polls_[i];
    const double k = std::round(guess_.updates_until(poll.t_ns));
    const Poll* before = nullptr;
    const Poll* after = nullptr;
    for (std::size_t d = 1; d <= reach; ++d) {
      if (before == nullptr && d <= i && is_far(polls_[i - d])) {
        before = &polls_[i - d];
      }
      if (after == nullptr && i + d < polls_.size() && is_far(polls_[i + d])) {
        after = &polls_[i + d];
      }
    }
    if (before == nullptr || after == nullptr) {
      return std::nullopt;
    }
    const double missing = k - k_of(*before);
    const double updates = k_of(*after) - k_of(*before);
    const double each = (after->value - before->value) / updates;
    if (missing < 1 || k_of(*after) < k || updates > most_updates || each < 4 * quantum_) {
      return std::nullopt;
    }
    const double seen = (poll.value - before->value) / each - (missing - 1);
    Sighting::Saw saw = Sighting::Saw::neither;
    if (std::abs(seen) < tolerance) {
      saw = Sighting::Saw::no;
    } else if (std::abs(seen - 1) < tolerance) {
      saw = Sighting::Saw::yes;
    }
    return Sighting{poll.t_ns, k, saw};
  }

  double margin_ns() const { return margin_ns_; }

 private:
  static constexpr std::size_t reach = 8;
  static constexpr double most_updates = 8;
  static constexpr double tolerance = 0.3;

  std::span<const Poll> polls_;
  Guess guess_;
  double margin_ns_;
  double quantum_;
};

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
  const Reader reader(polls, guess, scale, quantum);
  const double reach_ns = 2.5 * reader.margin_ns();
  std::vector<Sighting> sightings;
  int odd = 0;
  for (std::size_t i = 0; i < polls.size(); ++i) {
    const double updates = guess.updates_until(polls[i].t_ns);
    if (polls[i].half_ns < reader.margin_ns() &&
        std::abs(updates - std::round(updates)) * guess.period_ns < reach_ns) {
      const auto sighting = reader.sighting(i);
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
    wrong += (yes ? off_ns : -off_ns) > reader.margin_ns() ? 1 : 0;
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
  return (t.right >= 10 || t.still >= 32) && 8 * t.wrong <= t.right + t.still;
}

// Whether they speak against one.
bool is_contradicted(std::span<const Poll> polls, const Guess& guess) {
  const Testimony t = testimony(polls, guess);
  return 2 * t.wrong > t.right + t.still + 2;
}

// The update nearest to the middle of the rows.
UpdateClock absolute(const Guess& guess, std::span<const Poll> polls, std::int64_t origin_ns) {
  const double k = std::round(guess.updates_until(polls[polls.size() / 2].t_ns));
  return {guess.period_ns, origin_ns + static_cast<std::int64_t>(std::llround(guess.time_of(k)))};
}

// Polls that are much slower than updates leave no trace of single ones.
bool are_quick(std::span<const Poll> polls, double refresh_ns) {
  return polls.back().t_ns - polls.front().t_ns <
         1.5 * refresh_ns * static_cast<double>(polls.size() - 1);
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
  const Reader reader(polls, guess, 1, static_cast<double>(quantum));
  std::vector<DatedValue> dated;
  dated.reserve(polls.size());
  double last_k = -std::numeric_limits<double>::infinity();
  double last_value = 0;
  int contradictions = 0;
  for (std::size_t i = 0; i < polls.size(); ++i) {
    const Poll& poll = polls[i];
    double k = reader.k_of(poll);
    if (!reader.is_far(poll)) {
      const auto sighting = reader.sighting(i);
      if (!sighting || sighting->saw == Sighting::Saw::neither) {
        continue;
      }
      k = sighting->saw == Sighting::Saw::yes ? sighting->k : sighting->k - 1;
    }
    if (k > last_k) {
      dated.push_back({guess.time_of(k),
                       rows.reading(0, index) + static_cast<std::uint64_t>(poll.value), poll.row});
    } else if (k < last_k || poll.value != last_value) {
      ++contradictions;
    }
    last_k = std::max(k, last_k);
    last_value = poll.value;
  }
  if (contradictions * 10 > static_cast<int>(polls.size())) {
    dated.clear();
  }
  return dated;
}

}  // namespace wattring
