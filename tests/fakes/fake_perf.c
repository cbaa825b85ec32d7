// SPDX-License-Identifier: Apache-2.0
// The kernel's perf `power` PMU as a shared library for WATTRING_PERF_LIBRARY: events open, join
// groups, and count energy as arch/x86/events/rapl.c and intel_rapl_common.c do. A count is made
// when it is read, from CLOCK_MONOTONIC and a power function, so that the true energy between any
// two time stamps is known exactly.
//
// Read from the environment when an event opens:
//   FAKE_PERF             "pkg=square:20:80:0.5,ram=const:5": watts, or low, high, period in
//                         seconds; an event without a function counts what fake_perf_set() says
//   FAKE_PERF_ESU         the register counts 2^-ESU J (14)
//   FAKE_PERF_RAM_ESU     the same for ram alone
//   FAKE_PERF_START       register value when the event opens (0)
//   FAKE_PERF_REFRESH_NS  time between two updates of the register (976000)
//   FAKE_PERF_JITTER_NS   updates come up to so much late (0)
//   FAKE_PERF_TPMI        1: the TPMI driver, whose count falls at a wrap and whose scale is cut
//   FAKE_PERF_REFUSE      errno of opening
//   FAKE_PERF_GONE_S      seconds from opening after which reads fail with ENODEV
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "fake_power.h"

enum { most_files = 4096, most_siblings = 8, most_cpus = 64, codes = 6 };

static const char* const code_names[codes] = {"", "cores", "pkg", "ram", "gpu", "psys"};

struct event {
  int cpu;
  uint64_t code;
  struct power power;
  int esu;
  int tpmi;
  int64_t refresh_ns, jitter_ns, gone_ns;
  uint64_t first_counts;  // of the power function, when it opened
  uint32_t start;         // of the register, when it opened
  uint32_t last;          // register at the last read
  uint64_t count;         // what perf has counted
  int siblings[most_siblings];
  int number_of_siblings;  // 0: not a leader
};

static struct event events[most_files];  // by file descriptor
static uint32_t registers[most_cpus][codes];
static int opened;
static int read_error;  // errno of all reads; -1: end of file
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct power function_of(const char* name) {
  const char* at = getenv("FAKE_PERF");
  const size_t length = strlen(name);
  for (; at != NULL; at = strchr(at, ',') != NULL ? strchr(at, ',') + 1 : NULL) {
    if (strncmp(at, name, length) == 0 && at[length] == '=') {
      return power_of(at + length + 1);
    }
  }
  return (struct power){.period_s = 1};
}

// Counts of the register since time 0 of the clock, as last published.
static uint64_t counts_at(const struct event* e, int64_t t_ns) {
  int64_t k = t_ns / e->refresh_ns;
  int64_t published_ns = 0;
  do {  // the last update whose own delay is over
    const uint64_t hash = (uint64_t)k * 0x9E3779B97F4A7C15u >> 33;
    published_ns = k * e->refresh_ns;
    published_ns += e->jitter_ns > 0 ? (int64_t)(hash % (uint64_t)e->jitter_ns) : 0;
    --k;
  } while (published_ns > t_ns);
  const double joules = joules_until(&e->power, published_ns);
  return (uint64_t)ldexp(joules, e->esu);
}

static uint32_t register_of(const struct event* e, int64_t t_ns) {
  if (!e->power.known) {
    return registers[e->cpu][e->code];
  }
  return e->start + (uint32_t)(counts_at(e, t_ns) - e->first_counts);
}

static void update(struct event* e, int64_t t_ns) {
  const uint32_t value = register_of(e, t_ns);
  if (e->tpmi) {
    // The driver counts in whole nanojoules and does not know the wrap.
    const double unit_nj = floor(ldexp(1e9, -e->esu));
    const uint64_t scale = (uint64_t)(unit_nj * 4.294967296);
    e->count += ((uint64_t)value - (uint64_t)e->last) * scale;
  } else {
    e->count += (uint64_t)(int64_t)(int32_t)(value - e->last) << (32 - e->esu);
  }
  e->last = value;
}

static int refused(const struct perf_event_attr* attr, pid_t pid, int cpu, int group_fd,
                   unsigned long flags) {
  const int refusal = (int)number("FAKE_PERF_REFUSE", 0);
  if (refusal != 0) {
    return refusal;
  }
  if (attr->config == 0 || attr->config >= codes || attr->sample_period != 0 ||
      attr->exclude_kernel || attr->exclude_user || attr->read_format != PERF_FORMAT_GROUP ||
      attr->size < PERF_ATTR_SIZE_VER0 || pid != -1 || cpu < 0 || cpu >= most_cpus ||
      flags != PERF_FLAG_FD_CLOEXEC) {
    return EINVAL;
  }
  if (group_fd >= 0 &&
      (group_fd >= most_files || events[group_fd].number_of_siblings == 0 ||
       events[group_fd].number_of_siblings == most_siblings || events[group_fd].cpu != cpu)) {
    return EINVAL;
  }
  return 0;
}

int wattring_perf_open(struct perf_event_attr* attr, pid_t pid, int cpu, int group_fd,
                       unsigned long flags) {
  pthread_mutex_lock(&lock);
  const int refusal = refused(attr, pid, cpu, group_fd, flags);
  const int fd = refusal == 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
  const int error_number = refusal != 0 ? refusal : fd >= most_files ? EMFILE : errno;
  if (fd < 0 || fd >= most_files) {
    pthread_mutex_unlock(&lock);
    errno = error_number;
    return -1;
  }
  const int64_t t_ns = time_ns(CLOCK_MONOTONIC);
  struct event* e = &events[fd];
  memset(e, 0, sizeof *e);
  e->cpu = cpu;
  e->code = attr->config;
  e->power = function_of(code_names[e->code]);
  e->esu = (int)number("FAKE_PERF_ESU", 14);
  if (e->code == 3) {
    e->esu = (int)number("FAKE_PERF_RAM_ESU", e->esu);
  }
  e->tpmi = number("FAKE_PERF_TPMI", 0) != 0;
  e->refresh_ns = (int64_t)number("FAKE_PERF_REFRESH_NS", 976000);
  e->jitter_ns = (int64_t)number("FAKE_PERF_JITTER_NS", 0);
  const double gone_s = number("FAKE_PERF_GONE_S", 0);
  e->gone_ns = gone_s > 0 ? t_ns + (int64_t)(gone_s * 1e9) : INT64_MAX;
  e->start = (uint32_t)number("FAKE_PERF_START", 0);
  e->first_counts = counts_at(e, t_ns);
  e->last = register_of(e, t_ns);
  struct event* leader = group_fd >= 0 ? &events[group_fd] : e;
  leader->siblings[leader->number_of_siblings++] = fd;
  ++opened;
  pthread_mutex_unlock(&lock);
  return fd;
}

// PERF_FORMAT_GROUP: the number of events, then the count of each.
ssize_t wattring_perf_read(int fd, void* to, size_t bytes) {
  pthread_mutex_lock(&lock);
  const int64_t t_ns = time_ns(CLOCK_MONOTONIC);
  const int n = fd >= 0 && fd < most_files ? events[fd].number_of_siblings : 0;
  int error_number = n == 0 ? EBADF : read_error;
  if (error_number == 0 && t_ns >= events[fd].gone_ns) {
    error_number = ENODEV;
  }
  if (error_number == 0 && bytes < (size_t)(1 + n) * sizeof(uint64_t)) {
    error_number = ENOSPC;
  }
  ssize_t got = error_number == 0 ? (ssize_t)((size_t)(1 + n) * sizeof(uint64_t)) : -1;
  if (got > 0) {
    uint64_t words[1 + most_siblings] = {(uint64_t)n};
    for (int i = 0; i < n; ++i) {
      struct event* e = &events[events[fd].siblings[i]];
      update(e, t_ns);
      words[1 + i] = e->count;
    }
    memcpy(to, words, (size_t)got);
  }
  pthread_mutex_unlock(&lock);
  if (error_number == -1) {
    return 0;
  }
  errno = error_number;
  return got;
}

// For the tests.

void fake_perf_set(int cpu, int code, uint32_t value) {
  pthread_mutex_lock(&lock);
  registers[cpu][code] = value;
  pthread_mutex_unlock(&lock);
}

void fake_perf_fail_reads(int error_number) {
  pthread_mutex_lock(&lock);
  read_error = error_number;
  pthread_mutex_unlock(&lock);
}

int fake_perf_opened(void) {
  pthread_mutex_lock(&lock);
  const int n = opened;
  pthread_mutex_unlock(&lock);
  return n;
}

void fake_perf_reset(void) {
  pthread_mutex_lock(&lock);
  memset(registers, 0, sizeof registers);
  opened = 0;
  read_error = 0;
  pthread_mutex_unlock(&lock);
}
