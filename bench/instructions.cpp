// SPDX-License-Identifier: Apache-2.0
// One operation over and over, for a counter of instructions around it (gates.py). What comes
// before and behind costs the same however often, so the difference of two runs is the operation's.
//
//   instructions NAME TIMES FOLDER        prints one line of JSON: how often it was done in fact
#include <gnu/libc-version.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "plain_machine.hpp"
#include "ring.hpp"
#include "row.hpp"
#include "session.hpp"

namespace {

using namespace wattring;

constexpr std::size_t words = row::first_reading + bench::channels;
constexpr std::size_t rows = 65'536;

// A session samples at 1 kHz for so many periods: all that its thread does for a row, with the
// sleep. This thread sleeps meanwhile.
std::uint64_t samples(std::uint64_t times, const char* folder) {
  Session session(bench::make_machine(folder), {"rapl_msr"}, {.period_ns = 1'000'000});
  session.start();
  sleep_for(static_cast<std::int64_t>(times) * 1'000'000);
  session.stop();
  return session.samplers().at(0)->stats().samples;
}

std::uint64_t pushes(std::uint64_t times, const char*) {
  Ring ring(words, rows);
  const std::vector<std::uint64_t> one(words, 7);
  for (std::uint64_t k = 0; k < times; ++k) {
    ring.push(one);
  }
  return ring.head();
}

// Out of a full ring, as many at once as a second of 1 kHz gives.
std::uint64_t reads(std::uint64_t times, const char* folder) {
  Ring ring(words, rows);
  pushes(0, folder);
  const std::vector<std::uint64_t> one(words, 7);
  for (std::size_t k = 0; k < rows; ++k) {
    ring.push(one);
  }
  std::vector<std::uint64_t> to(1000 * words);
  std::uint64_t done = 0;
  while (done < times) {
    std::uint64_t cursor = 0;
    done += ring.read(cursor, to).rows;
  }
  return done;
}

// What the measured program does for a window; the queue takes so many without a sampler.
std::uint64_t windows(std::uint64_t times, const char*) {
  Windows all(std::make_shared<const char>());
  all.expect();
  all.accept();
  const Windows::SlotId slot = all.open_slot("empty");
  std::uint64_t done = 0;
  for (std::uint64_t k = 0; k < times; ++k) {
    done += all.end(all.begin(slot)) != Windows::refused ? 1 : 0;
  }
  return done;
}

struct Operation {
  const char* name;
  std::uint64_t (*repeat)(std::uint64_t times, const char* folder);
};
constexpr Operation operations[] = {
    {"sample", samples}, {"ring_push", pushes}, {"row_read", reads}, {"window", windows}};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4) {
    for (const Operation& operation : operations) {
      if (std::strcmp(operation.name, argv[1]) == 0) {
        const std::uint64_t done = operation.repeat(std::strtoull(argv[2], nullptr, 10), argv[3]);
        std::printf("{\"done\": %llu, \"compiler\": \"%s %s\", \"libc\": \"%s\"}\n",
                    static_cast<unsigned long long>(done),
#ifdef __clang__
                    "clang", __clang_version__,
#else
                    "gcc", __VERSION__,
#endif
                    gnu_get_libc_version());
        return 0;
      }
    }
  }
  std::fprintf(stderr, "usage: instructions sample|ring_push|row_read|window TIMES FOLDER\n");
  return 2;
}
