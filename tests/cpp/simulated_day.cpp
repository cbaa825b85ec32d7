// SPDX-License-Identifier: Apache-2.0
// Hours of sampling at 1 kHz in accelerated time, through the product's own session, sampler, ring
// and windows. Every row is looked at when it has been taken: is it on the grid, is it marked when
// it should be and only then, does each counter stand where its power says, through all its wraps?
// And at the end: memory, windows and the energy of the whole time.
//
//   simulated_day HOURS SPIN_US        prints one line of JSON; the exit status is 1 if anything is
//   wrong
#include <unistd.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "session.hpp"
#include "virtual_clock.hpp"

namespace {

using namespace wattring;

constexpr std::int64_t period_ns = 1'000'000;
constexpr std::uint64_t rows_per_hour = 3'600'000;
constexpr std::uint64_t rows_per_minute = 60'000;
constexpr double unit_j = 1.0 / 16384;  // of the simulated machine, like its refresh
constexpr std::int64_t refresh_ns = 976'000;
// A wrap every 4.4 minutes of the quickest.
constexpr const char* machine =
    "package-0=const:1000,core-0=const:333,dram-0=const:61,package-1=const:900,core-1=const:7,"
    "dram-1=const:0.5";
constexpr std::array<double, 6> power_w{1000, 333, 61, 900, 7, 0.5};
// Once an hour the thread sleeps for so much too long, over five deadlines.
constexpr std::int64_t stall_ns = 5'400'000;
constexpr std::uint64_t missed_per_stall = 5;

#ifdef __SANITIZE_ADDRESS__
constexpr long most_growth_kib = 256 * 1024;  // it keeps what was freed for a while
#else
constexpr long most_growth_kib = 1024;
#endif

[[noreturn]] void fail(const char* what, std::uint64_t row, std::int64_t is, std::int64_t should) {
  std::fprintf(stderr, "row %lld: %s is %lld instead of %lld\n", static_cast<long long>(row), what,
               static_cast<long long>(is), static_cast<long long>(should));
  std::_Exit(1);
}

void check(const char* what, std::uint64_t row, std::int64_t is, std::int64_t should) {
  if (is != should) {
    fail(what, row, is, should);
  }
}

void check(const char* what, bool good) {
  if (!good) {
    std::fprintf(stderr, "%s\n", what);
    std::_Exit(1);
  }
}

long resident_kib() {
  long pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

std::int64_t really_ns() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * ns_per_s + t.tv_nsec;
}

// What the counter has published at t.
std::int64_t ticks(std::size_t channel, std::int64_t t_ns) {
  const std::int64_t published_ns = t_ns / refresh_ns * refresh_ns;
  return static_cast<std::int64_t>(static_cast<double>(published_ns) * 1e-9 * power_w[channel] /
                                   unit_j);
}

// The sampling thread's side of the test.
struct Day {
  std::atomic<std::uint64_t> halt_at{0};  // so many sleeps; then it waits
  std::atomic<bool> halted{false};
  std::int64_t spin_ns = 0;
  const Sampler* sampler = nullptr;
  Windows* windows = nullptr;  // from the first halt on
  Windows::SlotId minute = 0;
  long early_kib = 0;  // memory after three quarters of an hour

  std::uint64_t sleeps = 0;
  std::uint64_t stalls = 0;
  std::uint64_t rows_before = 0;  // those of the start
  std::uint64_t ticket = Windows::refused;
  std::int64_t deadline_ns = 0;
  std::int64_t begin_ns = 0;  // of the row to come, to a tick where its thread spins
  bool stalled = false;
  std::uint32_t random = 1;

  std::int64_t sleep(std::int64_t until) noexcept {
    const std::int64_t deadline = until + spin_ns;
    const Ring& ring = sampler->ring();
    if (sleeps == 0) {
      rows_before = ring.head();
    } else {
      const std::int64_t periods = 1 + (stalled ? std::int64_t{missed_per_stall} : 0);
      check("deadline", sleeps, deadline, deadline_ns + periods * period_ns);
      look_at_row(ring);
    }
    if (sleeps == halt_at.load(std::memory_order_acquire)) {
      halted.store(true, std::memory_order_release);
      while (halted.load(std::memory_order_acquire)) {
        usleep(50);
      }
    }
    if (windows != nullptr && sleeps % rows_per_minute == 0) {
      windows->end(ticket);
      ticket = windows->begin(minute);
    }
    if (sleeps == rows_per_hour * 3 / 4) {
      early_kib = resident_kib();
    }
    ++sleeps;
    stalled = sleeps % rows_per_hour == rows_per_hour / 2;
    stalls += stalled ? 1 : 0;
    random = random * 1'664'525 + 1'013'904'223;  // Numerical Recipes, "quick and dirty"
    deadline_ns = deadline;
    const std::int64_t woke_ns =
        until + (random >> 16) + (stalled ? stall_ns : 0);  // up to 66 µs late
    begin_ns = std::max(woke_ns, spin_ns > 0 ? deadline : 0);
    return woke_ns;
  }

  void look_at_row(const Ring& ring) const noexcept {
    const std::uint64_t k = ring.head() - 1;
    check("count of rows", sleeps, static_cast<std::int64_t>(k + 1 - rows_before),
          static_cast<std::int64_t>(sleeps));
    const std::uint64_t* row = ring.address(k);
    const auto t_begin_ns = static_cast<std::int64_t>(row[row::t_begin_word]);
    const auto t_end_ns = static_cast<std::int64_t>(row[row::t_end_word]);
    const std::int64_t late_ns = t_begin_ns - begin_ns;
    if (late_ns < 0 || late_ns >= (spin_ns > 0 ? virtual_clock::tick_ns : 1)) {
      fail("begin", k, t_begin_ns, begin_ns);
    }
    check("status", k, static_cast<std::int64_t>(row[row::status_word]),
          stalled ? std::int64_t{row::gap} : 0);
    for (std::size_t i = 0; i < power_w.size(); ++i) {
      // The first row began with the clock itself; one tick more or less for the rounding of both.
      const std::int64_t base = ticks(i, virtual_clock::began_ns);
      const auto value = static_cast<std::int64_t>(row[row::first_reading + i]);
      if (value < ticks(i, t_begin_ns) - base - 1 || value > ticks(i, t_end_ns) - base + 1) {
        fail("reading", k, value, ticks(i, t_begin_ns) - base);
      }
    }
  }
};

Day day;

void wait_for_halt() {
  while (!day.halted.load(std::memory_order_acquire)) {
    usleep(1000);
  }
}

void go_on_until(std::uint64_t sleeps) {
  day.halt_at.store(sleeps, std::memory_order_release);
  day.halted.store(false, std::memory_order_release);
}

// Of the whole time, within bounds that are two refreshes wide at most; returns how often the
// registers have wrapped.
std::uint64_t check_energy(const Session& session, const Mark& from, const Mark& to) {
  const std::vector<ChannelEnergy> energies = session.between(from, to).at(0);
  const double seconds = static_cast<double>(to.t_ns - from.t_ns) * 1e-9;
  double wraps = 0;
  for (std::size_t i = 0; i < power_w.size(); ++i) {
    const ChannelEnergy& e = energies.at(i);
    const double true_j = power_w[i] * seconds;
    const double loose_j = power_w[i] * 2e-9 * (refresh_ns + period_ns + stall_ns) + 2 * unit_j;
    check("the energy of the whole time is within its bounds",
          e.lower_j <= true_j && true_j <= e.upper_j);
    check("the bounds of the whole time are narrow", e.upper_j - e.lower_j <= loose_j);
    check("nothing was marked but the gaps",
          e.failed + e.ambiguous + e.reset == 0 && e.gap == day.stalls);
    wraps += std::floor(true_j / (unit_j * 4294967296.0));
  }
  return static_cast<std::uint64_t>(wraps);
}

void check_minutes(Session& session, std::uint64_t count) {
  const WindowReport report = session.windows().report();
  check("there is a window of each minute, settled",
        report.dropped == 0 && report.names.size() == 1 && report.names[0].count == count);
  const double seconds = static_cast<double>(report.names[0].covered.ns) * 1e-9;
  for (std::size_t i = 0; i < power_w.size(); ++i) {
    const Bounded e = report.names[0].inclusive(i);
    const double true_j = power_w[i] * seconds;
    check("the energy of all minutes is within its bounds",
          e.lower_j <= true_j && true_j <= e.upper_j);
    check("the estimate of all minutes is right to a refresh",
          std::abs(e.value_j - true_j) < power_w[i] * 2e-9 * refresh_ns + 2 * unit_j);
  }
}

// The time of a mark that the rows so far cover.
std::int64_t a_little_ago() { return now_ns() - 20'000'000; }

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t hours = argc == 3 ? std::strtoull(argv[1], nullptr, 10) : 0;
  if (hours == 0) {
    std::fprintf(stderr, "usage: simulated_day HOURS SPIN_US\n");
    return 2;
  }
  day.spin_ns = std::atol(argv[2]) * 1000;
  virtual_clock::on_sleep = [](std::int64_t deadline_ns) noexcept {
    return day.sleep(deadline_ns);
  };
  Environment env;
  env.simulated = machine;
  Session session(env, {"simulated"},
                  {.period_ns = period_ns, .rows = 65'536, .spin_ns = day.spin_ns});
  const Sampler& sampler = *session.samplers().at(0);
  day.sampler = &sampler;
  constexpr std::uint64_t first_halt = rows_per_hour / 4;
  day.halt_at = first_halt;
  const std::int64_t real_ns = really_ns();
  session.start();
  wait_for_halt();
  const Mark from = session.mark(a_little_ago());
  day.minute = session.windows().open_slot("minute");
  day.windows = &session.windows();
  go_on_until(hours * rows_per_hour + 100);  // and the rows that settle the last minute
  wait_for_halt();
  const Mark to = session.mark(a_little_ago());
  session.windows().report();
  const long end_kib = resident_kib();
  go_on_until(0);
  session.stop();

  const SamplerStats stats = sampler.stats();
  check("samples", stats.samples, static_cast<std::int64_t>(sampler.ring().head()),
        static_cast<std::int64_t>(stats.samples));
  check("missed", stats.samples, static_cast<std::int64_t>(stats.missed),
        static_cast<std::int64_t>(day.stalls * missed_per_stall));
  check("failed or taken again", stats.samples,
        static_cast<std::int64_t>(stats.failed + stats.retries), 0);
  const std::uint64_t wraps = check_energy(session, from, to);
  check_minutes(session, (hours * rows_per_hour - first_halt) / rows_per_minute);
  const long growth_kib = end_kib - day.early_kib;
  check("memory grew", growth_kib < most_growth_kib);
  std::printf(
      "{\"hours\": %llu, \"samples\": %llu, \"missed\": %llu, \"wraps\": %llu, \"growth_kib\": "
      "%ld, \"real_s\": %.1f}\n",
      static_cast<unsigned long long>(hours), static_cast<unsigned long long>(stats.samples),
      static_cast<unsigned long long>(stats.missed), static_cast<unsigned long long>(wraps),
      growth_kib, static_cast<double>(really_ns() - real_ns) * 1e-9);
  return 0;
}
