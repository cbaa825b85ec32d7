// SPDX-License-Identifier: Apache-2.0
// What stands behind the functions of fake_nvml.c: GPUs, failures, who has initialised the library,
// and the energy at a time.
#pragma once

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_power.h"

enum { most_gpus = 8 };

enum {
  success = 0,
  uninitialized = 1,
  invalid_argument = 2,
  not_supported = 3,
  insufficient_size = 7,
};

typedef int nvmlReturn_t;
typedef struct nvmlDevice_st* nvmlDevice_t;

typedef struct {
  char busIdLegacy[16];
  unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
  char busId[32];
} nvmlPciInfo_t;

typedef struct {
  unsigned int fieldId;
  unsigned int scopeId;
  int64_t timestamp;
  int64_t latencyUsec;
  int32_t valueType;
  nvmlReturn_t nvmlReturn;
  union {
    double d;
    unsigned int u32;
    unsigned long long u64;
  } value;
} nvmlFieldValue_t;

_Static_assert(sizeof(nvmlPciInfo_t) == 68 && sizeof(nvmlFieldValue_t) == 40, "as in nvml.h");

// One without a function counts what fake_nvml_set() says.
static struct power gpus[most_gpus];
static int number_of_gpus;
static int64_t refresh_ns, delay_ns;
static char failing[512];
static unsigned long long told_mj[most_gpus];
static int users;       // inits without a shutdown
static pid_t owner;     // the process that they were in
static int generation;  // handles live from the first init to the last shutdown
static int energy_calls;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void acquire(void) { pthread_mutex_lock(&lock); }
static void release(void) { pthread_mutex_unlock(&lock); }

// A child of fork may use the library anew, whatever its parent's threads were doing.
__attribute__((constructor)) static void prepare_forks(void) {
  pthread_atfork(acquire, release, release);
}

static const char* next(const char* list) {
  const char* comma = strchr(list, ',');
  return comma != NULL ? comma + 1 : NULL;
}

static void read_environment(void) {
  const char* functions = getenv("FAKE_NVML");
  const char* failures = getenv("FAKE_NVML_FAIL");
  snprintf(failing, sizeof failing, "%s", failures != NULL ? failures : "");
  refresh_ns = (int64_t)number("FAKE_NVML_REFRESH_NS", 100000000);
  delay_ns = (int64_t)number("FAKE_NVML_DELAY_NS", 0);
  number_of_gpus = 0;
  for (const char* at = functions; at != NULL && *at != '\0'; at = next(at)) {
    if (number_of_gpus < most_gpus) {
      gpus[number_of_gpus++] = power_of(at);
    }
  }
}

// What a function is told to return; gpu -1: it is about none.
static nvmlReturn_t failure_of(const char* function, int gpu) {
  const size_t length = strlen(function);
  for (const char* at = *failing != '\0' ? failing : NULL; at != NULL; at = next(at)) {
    const int any = *at == '*' && gpu >= 0;
    if (!any && strncmp(at, function, length) != 0) {
      continue;
    }
    const char* rest = at + (any ? 1 : length);
    int of = gpu;
    int code = 0;
    if (sscanf(rest, "@%d=%d", &of, &code) == 2 || sscanf(rest, "=%d", &code) == 1) {
      if (of == gpu) {
        return code;
      }
    }
  }
  return success;
}

static int is_mine(void) { return users > 0 && owner == getpid(); }

static nvmlDevice_t handle_of(int gpu) {
  return (nvmlDevice_t)(uintptr_t)(generation * most_gpus + gpu + 1);
}

// Which GPU a handle stands for; what else is wrong with the call comes first. Returns with the
// lock held, whatever it returns.
static nvmlReturn_t begin(const char* function, nvmlDevice_t device, int* gpu) {
  acquire();
  const int64_t pause_ns = delay_ns;
  if (pause_ns > 0) {
    release();
    const struct timespec pause = {pause_ns / 1000000000, pause_ns % 1000000000};
    nanosleep(&pause, NULL);
    acquire();
  }
  if (!is_mine()) {
    return uninitialized;
  }
  *gpu = (int)((uintptr_t)device - 1) - generation * most_gpus;
  if (*gpu < 0 || *gpu >= number_of_gpus) {
    return invalid_argument;
  }
  return failure_of(function, *gpu);
}

static nvmlReturn_t end(nvmlReturn_t code) {
  release();
  return code;
}

// The last update of a GPU's sensor; each GPU has a phase of its own.
static int64_t published_ns(int gpu) {
  const int64_t phase_ns = gpu * refresh_ns * 3 / 8;
  return (time_ns(CLOCK_MONOTONIC) - phase_ns) / refresh_ns * refresh_ns + phase_ns;
}

static unsigned long long energy_mj(int gpu) {
  return gpus[gpu].known ? (unsigned long long)(joules_until(&gpus[gpu], published_ns(gpu)) * 1e3)
                         : told_mj[gpu];
}

static unsigned int mean_power_mw(int gpu, int64_t over_ns) {
  const int64_t t_ns = published_ns(gpu);
  const double joules = joules_until(&gpus[gpu], t_ns) - joules_until(&gpus[gpu], t_ns - over_ns);
  return (unsigned int)lround(joules * 1e12 / (double)over_ns);
}
