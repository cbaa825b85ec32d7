// SPDX-License-Identifier: Apache-2.0
// For the tests. They live beside the library in one process: whoever opens the same file talks to
// the same GPUs.
#include <stdio.h>
#include <string.h>

#include "fake_nvml_state.h"

static struct history histories[most_gpus];

__attribute__((constructor)) static void give_histories(void) {
  for (int gpu = 0; gpu < most_gpus; ++gpu) {
    gpus[gpu].draw.history = &histories[gpu];
  }
}

// What a GPU "set" has used up.
void fake_nvml_set(int gpu, unsigned long long mj) {
  acquire();
  gpus[gpu].draw.told_mj = mj;
  release();
}

// What a GPU "steps" draws from now on; before the first call, nothing. Returns now, in ns of
// CLOCK_MONOTONIC. The newest 8192 steps are kept.
long long fake_nvml_power(int gpu, double watts) {
  acquire();
  const long long t_ns = draw_from_now(&histories[gpu], watts);
  release();
  return t_ns;
}

// The energy that a GPU has used until a time, not what a sensor says; NaN: no longer known.
double fake_nvml_true_mj(int gpu, long long t_ns) {
  acquire();
  const double mj = drawn_j(&gpus[gpu].draw, t_ns) * 1e3;
  release();
  return mj;
}

// Like FAKE_NVML_FAIL, at once and in its place.
void fake_nvml_fail(const char* failures) {
  acquire();
  snprintf(failing, sizeof failing, "%s", failures);
  release();
}

// Like FAKE_NVML_DELAY_NS, at once and in its place.
void fake_nvml_delay(long long ns) {
  acquire();
  delay_ns = ns;
  release();
}

// How often a function was called; one of several versions goes by the name of the newest.
int fake_nvml_calls(const char* function) {
  acquire();
  const int calls = calls_of(function);
  release();
  return calls;
}

// Time that calls about GPUs have spent in the library, all threads together.
long long fake_nvml_busy_ns(void) {
  acquire();
  const long long ns = busy_ns;
  release();
  return ns;
}

// Inits of this process without a shutdown.
int fake_nvml_users(void) {
  acquire();
  const int n = is_mine() ? users : 0;
  release();
  return n;
}

// Calls, steps, failures: all that the functions above have said or counted.
void fake_nvml_forget(void) {
  acquire();
  for (int gpu = 0; gpu < most_gpus; ++gpu) {
    histories[gpu].made = 0;
    gpus[gpu].draw.told_mj = 0;
  }
  failing[0] = '\0';
  busy_ns = 0;
  forget_calls();
  release();
}
