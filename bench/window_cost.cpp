// SPDX-License-Identifier: Apache-2.0
// What an empty window costs the program that is measured, against two clock readings and against
// two readings of the counters, in alternating rounds of one run.
//
//   window_cost FOLDER ROUNDS        prints one line of JSON
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include "plain_machine.hpp"
#include "registry.hpp"
#include "session.hpp"
#include "timing.hpp"

namespace {

using namespace wattring;

// Few enough that the cost is not that of a queue running full, many enough to be timed.
constexpr int pairs = 20'000;

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: window_cost FOLDER ROUNDS\n");
    return 2;
  }
  const Environment env = bench::make_machine(argv[1]);
  Session session(env, {"rapl_msr"}, {.period_ns = 1'000'000, .rows = 65'536});
  Selection selection = open_sources(env, {"rapl_msr"});
  Source& source = *selection.sources.at(0).source;
  Sweep sweep(source.channels().size());
  session.start();
  Windows& windows = session.windows();
  const Windows::SlotId slot = windows.open_slot("empty");

  std::vector<double> clocks;
  std::vector<double> ours;
  std::vector<double> reads;
  std::vector<double> clock_ratios;
  std::vector<double> read_ratios;
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    timespec t;
    clocks.push_back(bench::mean_ns(pairs, [&] {
      clock_gettime(CLOCK_MONOTONIC, &t);
      clock_gettime(CLOCK_MONOTONIC, &t);
    }));
    ours.push_back(bench::mean_ns(pairs, [&] { windows.end(windows.begin(slot)); }));
    reads.push_back(bench::mean_ns(pairs / 20, [&] {
      source.read(sweep);
      source.read(sweep);
    }));
    clock_ratios.push_back(ours.back() / clocks.back());
    read_ratios.push_back(reads.back() / ours.back());
    sleep_for(20'000'000);  // the sampler settles them meanwhile
  }
  const std::uint64_t dropped = windows.report().dropped;
  session.stop();
  std::printf(
      "{\"window_ns\": %.1f, \"two_clocks_ns\": %.1f, \"clock_ratio\": %.3f, \"two_reads_ns\": "
      "%.0f, \"read_ratio\": %.1f, \"dropped\": %llu}\n",
      bench::median(ours), bench::median(clocks), bench::median(clock_ratios), bench::median(reads),
      bench::median(read_ratios), static_cast<unsigned long long>(dropped));
  return 0;
}
