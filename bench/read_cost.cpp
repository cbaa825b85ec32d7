// SPDX-License-Identifier: Apache-2.0
// What one read of a source takes, against the system call alone: a pread of eight bytes from a
// plain file, as many as the source has channels, in alternating rounds of one run. Which machine
// is read, WATTRING_SYSFS and the like say.
//
//   read_cost SOURCE ROUNDS FILE        prints one line of JSON
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "clock.hpp"
#include "registry.hpp"
#include "timing.hpp"

namespace {

using namespace wattring;

constexpr int reads = 1000;

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: read_cost SOURCE ROUNDS FILE\n");
    return 2;
  }
  const Selection selection = open_sources(Environment::from_variables(), {argv[1]});
  Source& source = *selection.sources.at(0).source;
  const std::size_t channels = source.channels().size();
  Sweep sweep(channels);
  const File file = File::open_readonly(argv[3]);
  std::vector<double> ours;
  std::vector<double> calls;
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    ours.push_back(bench::mean_ns(reads, [&] { source.read(sweep); }));
    calls.push_back(bench::mean_ns(reads, [&] {
      for (std::size_t c = 0; c < channels; ++c) {
        std::uint64_t value = 0;
        if (pread(file.fd(), &value, sizeof value, 0) != sizeof value) {
          std::abort();
        }
      }
    }));
  }
  std::printf("{\"channels\": %zu, \"read_ns\": %.0f, \"calls_ns\": %.0f}\n", channels,
              bench::median(ours), bench::median(calls));
  return sweep.outcome() == ReadStatus::ok ? 0 : 1;
}
