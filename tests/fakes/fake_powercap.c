// SPDX-License-Identifier: Apache-2.0
// Lets files energy_uj run on as the kernel's do: every millisecond each says what its power
// function has used since the start, in whole units of the register. The true energy between any
// two time stamps is thus known (power.py).
//
//   fake_powercap FILE FUNCTION [FILE FUNCTION]...
//
// Prints the start, in ns of CLOCK_MONOTONIC, once every file has been written, and goes on until
// it is ended or its parent is.
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fake_power.h"

enum { most_files = 16, width = 24 };
static const int64_t refresh_ns = 1000000;     // as rapl.cpp states it
static const double unit_j = 1.0 / (1 << 14);  // as UNIT_J and UNIT_NJ of machine.py
static const uint64_t unit_nj = 61035;
static const uint64_t first_count = 1000;

static void write_count(int file, uint64_t count) {
  // As machine.py writes: line feeds behind, one write. The kernel's register has 32 bits.
  char text[width + 1];
  const int n = snprintf(text, sizeof text, "%" PRIu64, (count & UINT32_MAX) * unit_nj / 1000);
  memset(text + n, '\n', (size_t)(width - n));
  if (pwrite(file, text, width, 0) != width) {
    perror("fake_powercap");
    exit(1);
  }
}

int main(int argc, char** argv) {
  const int files = (argc - 1) / 2;
  if (files < 1 || files > most_files || argc % 2 == 0) {
    fprintf(stderr, "usage: fake_powercap FILE FUNCTION [FILE FUNCTION]...\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_TIMERSLACK, 1UL);
  int descriptors[most_files];
  struct power powers[most_files];
  for (int i = 0; i < files; ++i) {
    descriptors[i] = open(argv[1 + 2 * i], O_WRONLY);
    powers[i] = power_of(argv[2 + 2 * i]);
    if (descriptors[i] < 0 || !powers[i].known) {
      fprintf(stderr, "fake_powercap: %s %s\n", argv[1 + 2 * i],
              powers[i].known ? "cannot be written" : "has no such power function");
      return 2;
    }
  }
  const int64_t start_ns = time_ns(CLOCK_MONOTONIC);
  for (int64_t n = 0;; ++n) {
    const int64_t now_ns = time_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < files; ++i) {
      const double used_j = joules_until(&powers[i], now_ns) - joules_until(&powers[i], start_ns);
      write_count(descriptors[i], first_count + (uint64_t)(used_j / unit_j));
    }
    if (n == 0) {
      printf("%" PRId64 "\n", start_ns);
      fflush(stdout);
    }
    const int64_t next_ns = start_ns + (n + 1) * refresh_ns;
    const struct timespec t = {next_ns / 1000000000, next_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
  }
}
