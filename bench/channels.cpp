// SPDX-License-Identifier: Apache-2.0
// What a sample costs against the number of its channels: the sampler flat out over powercap zones
// in plain files, beside the bare loop over the same files.
//
//   channels FOLDER ROUNDS SECONDS        prints one line of JSON per number of channels
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "plain_machine.hpp"
#include "registry.hpp"
#include "sampler.hpp"
#include "timing.hpp"

namespace {

using namespace wattring;
using namespace wattring::bench;

double run_loop(const std::filesystem::path& root, std::size_t channels, double seconds) {
  double ns_per_sample = 0;
  std::thread thread([&] {
    std::vector<int> files;
    for (std::size_t i = 0; i < channels; ++i) {
      files.push_back(open((zone(root, i) / "energy_uj").c_str(), O_RDONLY));
    }
    std::vector<std::uint64_t> row(2 + channels);
    const std::int64_t cpu_before = cpu_time_ns(CLOCK_THREAD_CPUTIME_ID);
    const std::int64_t until = now_ns() + static_cast<std::int64_t>(seconds * 1e9);
    std::int64_t end = 0;
    double samples = 0;
    for (; end < until; ++samples) {
      row[0] = static_cast<std::uint64_t>(now_ns());
      for (std::size_t i = 0; i < channels; ++i) {
        std::array<char, 32> text;
        const ssize_t n = pread(files[i], text.data(), text.size(), 0);
        if (n <= 0) {
          std::abort();
        }
        std::from_chars(text.data(), text.data() + n, row[2 + i]);
      }
      end = now_ns();
      row[1] = static_cast<std::uint64_t>(end);
    }
    ns_per_sample =
        static_cast<double>(cpu_time_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_before) / samples;
    for (const int file : files) {
      close(file);
    }
  });
  thread.join();
  return ns_per_sample;
}

double run_sampler(const Environment& env, double seconds) {
  Selection selection = open_sources(env, {"rapl_powercap"});
  Sampler sampler("rapl_powercap", std::move(selection.sources.at(0).source),
                  {.period_ns = 0, .rows = 4096});
  sampler.start();
  const SamplerStats before = sampler.stats();
  sleep_for(static_cast<std::int64_t>(seconds * 1e9));
  const SamplerStats after = sampler.stats();
  sampler.stop();
  return (after.cpu_s - before.cpu_s) * 1e9 / static_cast<double>(after.samples - before.samples);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: channels FOLDER ROUNDS SECONDS\n");
    return 2;
  }
  const int rounds = std::atoi(argv[2]);
  const double seconds = std::atof(argv[3]);
  for (const std::size_t channels : {1, 8, 64, 256, 512}) {
    const std::filesystem::path root = std::filesystem::path(argv[1]) / std::to_string(channels);
    const Environment env = make_zones(root, channels);
    std::vector<double> loop;
    std::vector<double> ours;
    std::vector<double> ratios;
    for (int i = 0; i < rounds; ++i) {
      loop.push_back(run_loop(root, channels, seconds));
      ours.push_back(run_sampler(env, seconds));
      ratios.push_back(ours.back() / loop.back());
    }
    std::printf(
        "{\"channels\": %zu, \"cpu_ns_per_sample\": %.0f, \"loop_ns_per_sample\": %.0f, "
        "\"cpu_ratio\": %.4f}\n",
        channels, median(ours), median(loop), median(ratios));
    std::fflush(stdout);
  }
  return 0;
}
