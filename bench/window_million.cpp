// SPDX-License-Identifier: Apache-2.0
// A million windows in a row inside one more, at 1 kHz: is any dropped, does memory grow, and do
// the parts together agree with the whole, and with the true energy, within the bounds?
//
//   window_million BODY_NS        what each window is around, in time; prints one line of JSON
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "session.hpp"

namespace {

using namespace wattring;

constexpr int windows_in_a_row = 1'000'000;

long resident_kib() {
  long pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

const LedgerEntry& entry_of(const WindowReport& report, const char* name) {
  for (const LedgerEntry& entry : report.names) {
    if (entry.name == name) {
      return entry;
    }
  }
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: window_million BODY_NS\n");
    return 2;
  }
  const std::int64_t body_ns = std::atol(argv[1]);
  Environment env;
  env.simulated = "package-0=const:50,core-0=const:20,dram-0=const:5";
  Session session(env, {"simulated"}, {.period_ns = 1'000'000, .rows = 65'536});
  session.start();
  Windows& windows = session.windows();
  const Windows::SlotId outer = windows.open_slot("outer");
  const Windows::SlotId inner = windows.open_slot("inner");
  windows.end(windows.begin(inner));
  windows.report();  // so that all that is made once is there
  const long before_kib = resident_kib();
  const std::int64_t began = now_ns();
  const std::uint64_t whole = windows.begin(outer);
  for (int i = 0; i < windows_in_a_row; ++i) {
    const std::uint64_t ticket = windows.begin(inner);
    if (body_ns > 0) {
      const std::int64_t until_ns = now_ns() + body_ns;
      while (now_ns() < until_ns) {
      }
    }
    windows.end(ticket);
  }
  windows.end(whole);
  const double ns = static_cast<double>(now_ns() - began) / windows_in_a_row;
  const WindowReport report = windows.report();
  const long after_kib = resident_kib();
  const SamplerStats stats = session.samplers()[0]->stats();
  session.stop();
  const LedgerEntry& outermost = entry_of(report, "outer");
  const LedgerEntry& all = entry_of(report, "inner");
  const Bounded a = outermost.inclusive(0);
  const Bounded b = all.inclusive(0);
  const double share =
      static_cast<double>(all.covered.ns) / static_cast<double>(outermost.covered.ns);
  std::printf(
      "{\"windows\": %llu, \"dropped\": %llu, \"lost\": %llu, \"ns_each\": %.0f, "
      "\"growth_kib\": %ld, \"outer_j\": %.6f, \"outer_lower_j\": %.6f, \"outer_upper_j\": %.6f, "
      "\"true_j\": %.6f, \"sum_j\": %.6f, \"sum_lower_j\": %.6f, \"sum_upper_j\": %.6f, \"own_j\": "
      "%.6f, "
      "\"share_of_time\": %.4f, \"missed\": %llu}\n",
      static_cast<unsigned long long>(all.count - 1),
      static_cast<unsigned long long>(report.dropped), static_cast<unsigned long long>(all.lost),
      ns, after_kib - before_kib, a.value_j, a.lower_j, a.upper_j,
      50 * static_cast<double>(all.covered.ns) * 1e-9, b.value_j, b.lower_j, b.upper_j,
      outermost.exclusive(0).value_j, share, static_cast<unsigned long long>(stats.missed));
  return 0;
}
