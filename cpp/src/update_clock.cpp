// SPDX-License-Identifier: Apache-2.0
#include "update_clock.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "clock_search.hpp"

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
                       static_cast<double>(rows.reading(i, index) - rows.reading(0, index))});
    }
  }
  return polls;
}

// A poll near an update, and whether it saw the update.
struct Sighting {
  double t_ns;
  double k;  // number of the update
  bool saw;
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
    if (std::abs(seen) < tolerance) {
      return Sighting{poll.t_ns, k, false};
    }
    if (std::abs(seen - 1) < tolerance) {
      return Sighting{poll.t_ns, k, true};
    }
    return std::nullopt;
  }

  double margin_ns() const { return margin_ns_; }

 private:
  static constexpr std::size_t reach = 8;
  static constexpr double most_updates = 4;
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
};

// Moves the guess until updates come before the polls that saw them and after those that did not,
// by the least squares of what is violated.
Refined refine(std::span<const Poll> polls, Guess guess, double scale, double quantum,
               double period_error_ns) {
  const Reader reader(polls, guess, scale, quantum);
  const double reach_ns = 2.5 * reader.margin_ns();
  std::vector<Sighting> sightings;
  for (std::size_t i = 0; i < polls.size(); ++i) {
    const double updates = guess.updates_until(polls[i].t_ns);
    if (polls[i].half_ns < reader.margin_ns() &&
        std::abs(updates - std::round(updates)) * guess.period_ns < reach_ns) {
      if (const auto sighting = reader.sighting(i)) {
        sightings.push_back(*sighting);
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
      double violation_ns = s.saw ? std::max(0.0, off_ns + gap_ns) : std::min(0.0, off_ns - gap_ns);
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
    saw += s.saw ? 1 : 0;
    wrong += (s.saw ? off_ns : -off_ns) > reader.margin_ns() ? 1 : 0;
  }
  const int all = static_cast<int>(sightings.size());
  return {{guess.period_ns + stretch_ns, guess.phase_ns + shift_ns - stretch_ns * middle},
          std::min(saw, all - saw),
          static_cast<double>(wrong) / std::max(all, 1)};
}

// The guess, refined; nothing when fewer than `enough` sightings on either side speak for it, or
// too many against it.
std::optional<Guess> settle(std::span<const Poll> polls, const Guess& start, double quantum,
                            double period_error_ns, int enough) {
  // Updates that come late at random by more than a little need a wider view.
  for (const double scale : {1.0, 3.0}) {
    Refined refined{start, 0, 1};
    for (int i = 0; i < 3; ++i) {
      refined = refine(polls, refined.guess, scale, quantum, period_error_ns);
    }
    if (refined.on_both_sides < enough) {
      break;
    }
    if (refined.wrong < 0.1) {
      return refined.guess;
    }
  }
  return std::nullopt;
}

std::span<const Poll> middle(std::span<const Poll> polls, std::size_t n) {
  n = std::min(n, polls.size());
  return polls.subspan((polls.size() - n) / 2, n);
}

// The best phase, and the best period between the two, over a few polls first and then over more
// and more; refined.
std::optional<Guess> acquire(std::span<const Poll> polls, double nominal_ns, double least_ns,
                             double most_ns, double quantum) {
  Guess guess{};
  double step_ns = 0;
  for (std::size_t n = 256;; n *= 2) {
    const auto some = middle(polls, n);
    // A period that is off by half a step slips by less than the margin until either end.
    step_ns = 2 * phase_margin * nominal_ns * nominal_ns / (some.back().t_ns - some.front().t_ns);
    guess = search(some, least_ns, most_ns, step_ns);
    least_ns = guess.period_ns - 4 * step_ns;
    most_ns = guess.period_ns + 4 * step_ns;
    if (n >= polls.size() || n >= most_polls_to_search) {
      return settle(polls, guess, quantum, step_ns, 3);
    }
  }
}

}  // namespace

std::optional<UpdateClock> find_clock(const Rows& rows, std::size_t index, const Channel& channel,
                                      std::uint64_t quantum,
                                      const std::optional<UpdateClock>& known) {
  const std::vector<Poll> polls = polls_of(rows, index);
  if (polls.size() < fewest_polls || channel.refresh_ns <= 0) {
    return std::nullopt;
  }
  const auto nominal_ns = static_cast<double>(channel.refresh_ns);
  const double spacing_ns =
      (polls.back().t_ns - polls.front().t_ns) / static_cast<double>(polls.size() - 1);
  if (spacing_ns > 1.5 * nominal_ns) {
    return std::nullopt;
  }
  const auto unit = static_cast<double>(quantum);
  std::optional<Guess> guess;
  if (known) {
    constexpr double error = 5e-5;  // of a known period
    const Guess start{known->period_ns, static_cast<double>(known->phase_ns - rows.t_begin(0))};
    // Further away the phase is not known, though the period is.
    constexpr double far = 300;
    if (std::abs(start.updates_until(polls[polls.size() / 2].t_ns)) < far) {
      guess = settle(polls, start, unit, error * nominal_ns, 0);
    }
    if (!guess) {
      guess = acquire(polls, nominal_ns, start.period_ns - 4 * error * nominal_ns,
                      start.period_ns + 4 * error * nominal_ns, unit);
    }
  } else if (polls.size() >= fewest_polls_to_search) {
    guess = acquire(polls, nominal_ns, 0.96 * nominal_ns, 1.025 * nominal_ns, unit);
    if (guess && !is_borne_out(polls, *guess)) {
      guess.reset();
    }
  }
  if (!guess) {
    return std::nullopt;
  }
  // The update nearest to the middle of the rows.
  const double k = std::round(guess->updates_until(polls[polls.size() / 2].t_ns));
  return UpdateClock{guess->period_ns,
                     rows.t_begin(0) + static_cast<std::int64_t>(std::llround(guess->time_of(k)))};
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
      if (!sighting) {
        continue;
      }
      k = sighting->saw ? sighting->k : sighting->k - 1;
    }
    if (k > last_k) {
      dated.push_back(
          {guess.time_of(k), rows.reading(0, index) + static_cast<std::uint64_t>(poll.value)});
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
