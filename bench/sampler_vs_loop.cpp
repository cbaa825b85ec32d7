// SPDX-License-Identifier: Apache-2.0
// The sampler against the loop that anybody would write by hand for the same reads, in alternating
// rounds of one run: six channels of two packages, read with pread from plain files.
//
//   sampler_vs_loop FOLDER ROUNDS SECONDS RATE_HZ...        prints one line of JSON per rate;
//                                                          0 Hz: without a pause
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "clock.hpp"
#include "plain_machine.hpp"
#include "registry.hpp"
#include "row.hpp"
#include "sampler.hpp"
#include "timing.hpp"

namespace {

using namespace wattring;
using namespace wattring::bench;

struct Result {
  double cpu_ns_per_sample;
  double rate_hz;
  double lateness_ns[3];  // p50, p99, max
};

double thread_cpu_ns() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// The reference: sleep to an absolute deadline, clock, six reads, clock, store.
Result run_loop(const std::filesystem::path& root, std::int64_t period_ns, double seconds) {
  Result result{};
  std::thread thread([&] {
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    std::array<int, 2> files;
    for (std::size_t cpu = 0; cpu < files.size(); ++cpu) {
      files[cpu] = open((root / "dev/cpu" / std::to_string(cpu) / "msr").c_str(), O_RDONLY);
    }
    constexpr std::size_t kept = 65'536;
    std::vector<std::array<std::uint64_t, 2 + channels>> rows(kept);
    std::vector<double> lateness;
    lateness.reserve(1'000'000);
    const double cpu_before = thread_cpu_ns();
    const std::int64_t began = now_ns();
    const std::int64_t until = began + static_cast<std::int64_t>(seconds * 1e9);
    std::int64_t deadline = began + period_ns;
    std::size_t n = 0;
    std::int64_t end = began;
    while (end < until) {
      if (period_ns > 0) {
        timespec t;
        t.tv_sec = deadline / ns_per_s;
        t.tv_nsec = deadline % ns_per_s;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
      }
      auto& row = rows[n % kept];
      const std::int64_t begin = now_ns();
      std::size_t word = 2;
      for (const int file : files) {
        for (const off_t address : registers) {
          if (pread(file, &row[word++], sizeof(std::uint64_t), address) != sizeof(std::uint64_t)) {
            std::abort();
          }
        }
      }
      end = now_ns();
      row[0] = static_cast<std::uint64_t>(begin);
      row[1] = static_cast<std::uint64_t>(end);
      ++n;
      if (period_ns > 0) {
        if (lateness.size() < lateness.capacity()) {
          lateness.push_back(static_cast<double>(begin - deadline));
        }
        deadline += period_ns;
        if (end >= deadline) {
          deadline += ((end - deadline) / period_ns + 1) * period_ns;
        }
      }
    }
    result.cpu_ns_per_sample = (thread_cpu_ns() - cpu_before) / static_cast<double>(n);
    result.rate_hz = static_cast<double>(n) / (static_cast<double>(end - began) * 1e-9);
    std::sort(lateness.begin(), lateness.end());
    if (!lateness.empty()) {
      const std::size_t count = lateness.size();
      result.lateness_ns[0] = lateness[count / 2];
      result.lateness_ns[1] = lateness[count * 99 / 100];
      result.lateness_ns[2] = lateness.back();
    }
    for (const int file : files) {
      close(file);
    }
  });
  thread.join();
  return result;
}

Result run_sampler(const Environment& env, std::int64_t period_ns, double seconds) {
  Selection selection = open_sources(env, {"rapl_msr"});
  Sampler sampler("rapl_msr", std::move(selection.sources.at(0).source),
                  {.period_ns = period_ns, .rows = 65'536});
  sampler.start();
  // From row to row: at low rates the time between two rows is no small part of the whole.
  const Ring& ring = sampler.ring();
  const auto last_row = [&ring] {
    const std::uint64_t head = ring.head();
    std::uint64_t t_ns = 0;
    ring.peek(head - 1, row::t_begin_word, t_ns);
    return std::pair{head, t_ns};
  };
  const auto [first, began] = last_row();
  const SamplerStats before = sampler.stats();
  sleep_for(static_cast<std::int64_t>(seconds * 1e9));
  const SamplerStats after = sampler.stats();
  const auto [last, ended] = last_row();
  sampler.stop();
  Result result{};
  result.cpu_ns_per_sample =
      (after.cpu_s - before.cpu_s) * 1e9 / static_cast<double>(after.samples - before.samples);
  result.rate_hz = static_cast<double>(last - first) / (static_cast<double>(ended - began) * 1e-9);
  result.lateness_ns[0] = after.lateness_ns[0];
  result.lateness_ns[1] = after.lateness_ns[2];
  result.lateness_ns[2] = after.lateness_ns[4];
  return result;
}

template <typename F>
double median_of(const std::vector<std::pair<Result, Result>>& rounds, F value) {
  std::vector<double> values;
  for (const auto& round : rounds) {
    values.push_back(value(round));
  }
  return median(std::move(values));
}

void print_side(const char* name, const std::vector<std::pair<Result, Result>>& rounds,
                Result std::pair<Result, Result>::* side) {
  const auto of = [&](auto field) {
    return median_of(rounds, [&](const auto& round) { return field(round.*side); });
  };
  std::printf(
      "\"%s\": {\"cpu_ns_per_sample\": %.0f, \"rate_hz\": %.1f, \"late_p50_ns\": %.0f, "
      "\"late_p99_ns\": %.0f, \"late_max_ns\": %.0f}, ",
      name, of([](const Result& r) { return r.cpu_ns_per_sample; }),
      of([](const Result& r) { return r.rate_hz; }),
      of([](const Result& r) { return r.lateness_ns[0]; }),
      of([](const Result& r) { return r.lateness_ns[1]; }),
      of([](const Result& r) { return r.lateness_ns[2]; }));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: sampler_vs_loop FOLDER ROUNDS SECONDS RATE_HZ...\n");
    return 2;
  }
  const std::filesystem::path root = argv[1];
  const int rounds = std::atoi(argv[2]);
  const double seconds = std::atof(argv[3]);
  const Environment env = make_machine(root);
  for (int at = 4; at < argc; ++at) {
    const std::int64_t rate_hz = std::atol(argv[at]);
    const std::int64_t period_ns = rate_hz > 0 ? ns_per_s / rate_hz : 0;
    std::vector<std::pair<Result, Result>> pairs;  // sampler, loop
    for (int i = 0; i < rounds; ++i) {
      const Result loop = run_loop(root, period_ns, seconds);
      const Result sampler = run_sampler(env, period_ns, seconds);
      pairs.emplace_back(sampler, loop);
    }
    std::printf("{\"asked_hz\": %ld, ", static_cast<long>(rate_hz));
    print_side("sampler", pairs, &std::pair<Result, Result>::first);
    print_side("loop", pairs, &std::pair<Result, Result>::second);
    std::printf("\"cpu_ratio\": %.4f, \"rate_ratio\": %.4f}\n",
                median_of(pairs,
                          [](const auto& p) {
                            return p.first.cpu_ns_per_sample / p.second.cpu_ns_per_sample;
                          }),
                median_of(pairs, [](const auto& p) { return p.first.rate_hz / p.second.rate_hz; }));
    std::fflush(stdout);
  }
  return 0;
}
