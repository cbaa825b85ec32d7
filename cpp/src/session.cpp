// SPDX-License-Identifier: Apache-2.0
#include "session.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "error.hpp"

namespace wattring {
namespace {

std::string in_seconds(double seconds) {
  std::array<char, 32> text;
  const char* unit = seconds >= 1 ? "s" : seconds >= 1e-3 ? "ms" : "us";
  const double factor = seconds >= 1 ? 1 : seconds >= 1e-3 ? 1e3 : 1e6;
  std::snprintf(text.data(), text.size(), "%.3g %s", seconds * factor, unit);
  return text.data();
}

// Rows are waited for as long as this lives.
class Waiting {
 public:
  explicit Waiting(const Sampler& sampler) : sampler_(sampler) { sampler_.wait_for_rows(1); }
  ~Waiting() { sampler_.wait_for_rows(-1); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  const Sampler& sampler_;
};

// The usual cost of one sweep, which the period must leave room for.
std::int64_t read_cost_ns(Source& source) {
  Sweep sweep(source.channels().size());
  std::array<std::int64_t, 15> costs;
  for (std::int64_t& cost : costs) {
    sweep.clear();
    const std::int64_t before = now_ns();
    source.read(sweep);
    cost = now_ns() - before;
  }
  std::nth_element(costs.begin(), costs.begin() + costs.size() / 2, costs.end());
  return costs[costs.size() / 2];
}

}  // namespace

Session::Session(const Environment& env, const std::vector<std::string>& sources,
                 const SamplerOptions& options)
    : options_(options), owner_(getpid()) {
  Selection selection = open_sources(env, sources);
  skipped_ = std::move(selection.skipped);
  for (OpenedSource& opened : selection.sources) {
    check_period(opened);
    samplers_.push_back(std::make_unique<Sampler>(opened.name, std::move(opened.source), options_));
    samplers_.back()->follow_with(windows_);
    windows_.attach(*samplers_.back());
    clocks_.emplace_back(samplers_.back()->channels().size());
  }
}

void Session::check_period(const OpenedSource& opened) const {
  const std::int64_t period_ns = options_.period_of(*opened.source);
  const auto period_s = static_cast<double>(period_ns) * 1e-9;
  const Channel* quickest = nullptr;  // to wrap
  for (const Channel& channel : opened.source->channels()) {
    if (channel.wrap_s() > 0 && (quickest == nullptr || channel.wrap_s() < quickest->wrap_s())) {
      quickest = &channel;
    }
  }
  if (quickest != nullptr && period_s > quickest->wrap_s() / 2) {
    throw Error(Errc::invalid,
                "period " + in_seconds(period_s) + " is too long: " + quickest->name + " of " +
                    opened.name + " can wrap every " + in_seconds(quickest->wrap_s()) + " at " +
                    std::to_string(static_cast<int>(quickest->max_power_w)) + " W",
                "ask for at most " + in_seconds(quickest->wrap_s() / 2));
  }
  const double cost_s = static_cast<double>(read_cost_ns(*opened.source)) * 1e-9;
  if (period_s < cost_s) {
    throw Error(Errc::invalid,
                "period " + in_seconds(period_s) + " is too short: one read of " + opened.name +
                    " costs " + in_seconds(cost_s),
                "ask for at least " + in_seconds(2 * cost_s));
  }
}

void Session::start() {
  require_own_process();
  const std::lock_guard lock(starting_);
  if (started_) {
    throw Error(Errc::state, "this session was started before", "open a new one");
  }
  started_ = true;
  windows_.expect();
  for (const auto& sampler : samplers_) {
    sampler->start();
  }
  windows_.accept();
}

void Session::stop() noexcept {
  if (getpid() != owner_) {
    return;  // the samplers, and perhaps a held lock, are the parent's
  }
  const std::lock_guard lock(starting_);
  windows_.refuse();
  for (const auto& sampler : samplers_) {
    sampler->stop();
  }
  windows_.finish();
}

Windows& Session::windows() {
  require_own_process();
  return windows_;
}

void Session::require_started() const {
  require_own_process();
  if (!started_) {
    throw Error(Errc::state, "this session was not started", "call start(), or use `with`");
  }
}

bool Session::running() const noexcept {
  return getpid() == owner_ && std::any_of(samplers_.begin(), samplers_.end(),
                                           [](const auto& s) { return s->running(); });
}

void Session::require_own_process() const {
  if (getpid() != owner_) {
    throw Error(Errc::state,
                "this session belongs to process " + std::to_string(owner_) +
                    "; fork left its samplers there",
                "open a new session in this process");
  }
}

Mark Session::mark(std::int64_t t_ns) const {
  require_started();
  if (t_ns > now_ns()) {
    throw Error(Errc::invalid, "time stamp " + std::to_string(t_ns) + " lies in the future",
                "take it from time.monotonic_ns()");
  }
  Mark mark{.t_ns = t_ns, .sources = {}, .session = identity_};
  mark.sources.resize(samplers_.size());
  for (std::size_t s = 0; s < samplers_.size(); ++s) {
    const Sampler& sampler = *samplers_[s];
    const Ring& ring = sampler.ring();
    const Waiting waiting(sampler);
    while (sampler.running() && !covered(ring, sampler.channels(), t_ns)) {
      // The sampler may sleep for a whole period; waiting longer than a refresh at a time helps
      // nobody.
      sleep_for(std::clamp<std::int64_t>(sampler.period_ns() / 2, 50'000, 10'000'000));
    }
    Mark::PerSource& source = mark.sources[s];
    source.row = row_after(ring, t_ns);
    RowCounts counted;
    const std::uint64_t rows = sampler.count_rows(counted);
    source.counts.set(ring, source.row, counted, rows);
    source.standings = settle(s, t_ns);  // throws where rows that were counted are gone
  }
  return mark;
}

std::vector<Standing> Session::settle(std::size_t source, std::int64_t t_ns) const {
  const Sampler& sampler = *samplers_[source];
  std::vector<KnownClock> clocks;
  {
    const std::lock_guard lock(clocks_mutex_);
    clocks = clocks_[source];
  }
  // Not under the lock: a search takes milliseconds.
  std::vector<Standing> standings = stand(sampler.ring(), sampler.channels(), t_ns, &clocks);
  const std::lock_guard lock(clocks_mutex_);
  clocks_[source] = std::move(clocks);
  return standings;
}

std::vector<std::vector<ChannelEnergy>> Session::between(const Mark& from, const Mark& to) const {
  require_own_process();
  if (from.session != identity_ || to.session != identity_) {
    throw Error(Errc::invalid, "a mark of another session", "take both marks from one session");
  }
  if (to.t_ns < from.t_ns) {
    throw Error(Errc::invalid, "the window ends before it begins");
  }
  std::vector<std::vector<ChannelEnergy>> energies;
  for (std::size_t s = 0; s < samplers_.size(); ++s) {
    const Mark::PerSource& a = from.sources.at(s);
    const Mark::PerSource& b = to.sources.at(s);
    const std::uint64_t oldest = samplers_[s]->ring().oldest();
    energies.emplace_back();
    for (std::size_t i = 0; i < a.standings.size(); ++i) {
      WindowMarks marks = marks_between(a, b, i);
      marks.lost = oldest > a.row ? std::min(oldest, b.row + 1) - a.row : 0;
      energies.back().push_back(energy_between(a.standings[i], b.standings[i], marks));
    }
  }
  return energies;
}

}  // namespace wattring
