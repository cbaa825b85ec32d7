// SPDX-License-Identifier: Apache-2.0
#include "fake_nvml_state.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { most_functions = 64 };

struct gpu gpus[most_gpus];
int number_of_gpus;
char driver[80];
char failing[512];
int users;
int64_t realtime_less_monotonic_ns;
int64_t busy_ns;
int64_t delay_ns;

static pid_t owner;     // the process that the inits were in
static int generation;  // handles live from the first init to the last shutdown
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  const char* function;
  int calls;
} counts[most_functions];
static _Thread_local int64_t entered_ns;  // by a call about a GPU; 0: none

void acquire(void) { pthread_mutex_lock(&lock); }
void release(void) { pthread_mutex_unlock(&lock); }

// A child of fork may use the library anew, whatever its parent's threads were doing.
__attribute__((constructor)) static void prepare_forks(void) {
  pthread_atfork(acquire, release, release);
}

static const char* next(const char* list) {
  const char* comma = strchr(list, ',');
  return comma != NULL ? comma + 1 : NULL;
}

// What a list separated by ';' says of a GPU; the last entry is that of all further ones.
static void copy_entry(const char* variable, const char* otherwise, int gpu, char* to,
                       size_t size) {
  const char* at = getenv(variable);
  at = at != NULL && *at != '\0' ? at : otherwise;
  for (const char* end; gpu > 0 && (end = strchr(at, ';')) != NULL; --gpu) {
    at = end + 1;
  }
  snprintf(to, size, "%.*s", (int)strcspn(at, ";"), at);
}

static void read_power(struct draw* draw, const char* text) {
  draw->power = power_of(text);
  draw->kind = draw->power.known ? by_function : strncmp(text, "steps", 5) == 0 ? steps : told;
}

static void read_scopes(struct gpu* gpu, int index) {
  char text[128];
  copy_entry("FAKE_NVML_SCOPES", "", index, text, sizeof text);
  memset(gpu->scopes, 0, sizeof gpu->scopes);
  gpu->scopes[scope_gpu] = (struct scope){1, 1};
  for (const char* at = *text != '\0' ? text : NULL; at != NULL; at = next(at)) {
    char name[16] = "", kind[16] = "";
    double factor = 0;
    if (sscanf(at, "%15[a-z]=%lf/%15[a-z]", name, &factor, kind) >= 2) {
      const int scope = strcmp(name, "memory") == 0 ? scope_memory : scope_module;
      gpu->scopes[scope] = (struct scope){factor, strcmp(kind, "power") != 0};
    }
  }
}

static void read_gpu(int index) {
  struct gpu* gpu = &gpus[index];
  char text[128];
  copy_entry("FAKE_NVML_SENSOR", "hopper", index, text, sizeof text);
  gpu->sensors = sensors_of(text, index, (int64_t)number("FAKE_NVML_REFRESH_NS", 0));
  copy_entry("FAKE_NVML_ARCH", "9", index, text, sizeof text);
  gpu->architecture = (unsigned int)atoi(text);
  copy_entry("FAKE_NVML_NAME", "NVIDIA Fake H100", index, gpu->name, sizeof gpu->name);
  read_scopes(gpu, index);
  gpu->slices = 0;
  for (const char* at = getenv("FAKE_NVML_MIG"); at != NULL; at = next(at)) {
    int of = -1, slices = 0;
    if (sscanf(at, "%d:%d", &of, &slices) == 2 && of == index) {
      gpu->slices = slices;
    }
  }
}

static void read_environment(void) {
  const char* failures = getenv("FAKE_NVML_FAIL");
  snprintf(failing, sizeof failing, "%s", failures != NULL ? failures : "");
  copy_entry("FAKE_NVML_DRIVER", "550.54.15", 0, driver, sizeof driver);
  delay_ns = (int64_t)number("FAKE_NVML_DELAY_NS", 0);
  // Once, so that an update has one time stamp however often it is asked for.
  realtime_less_monotonic_ns = time_ns(CLOCK_REALTIME) - time_ns(CLOCK_MONOTONIC);
  number_of_gpus = 0;
  for (const char* at = getenv("FAKE_NVML"); at != NULL && *at != '\0'; at = next(at)) {
    if (number_of_gpus < most_gpus) {
      read_power(&gpus[number_of_gpus].draw, at);
      read_gpu(number_of_gpus++);
    }
  }
}

int is_mine(void) { return users > 0 && owner == getpid(); }

void initialise(void) {
  if (!is_mine()) {
    users = 0;
    owner = getpid();
    ++generation;
    read_environment();
  }
}

nvmlReturn_t failure_of(const char* function, int gpu) {
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

static int place_of(const char* function) {
  int i = 0;
  while (counts[i].function != NULL && strcmp(counts[i].function, function) != 0) {
    ++i;
  }
  return i;
}

int calls_of(const char* function) { return counts[place_of(function)].calls; }

void forget_calls(void) { memset(counts, 0, sizeof counts); }

nvmlReturn_t begin_system(const char* function) {
  acquire();
  const int place = place_of(function);
  counts[place].function = function;
  ++counts[place].calls;
  return is_mine() ? success : uninitialized;
}

nvmlDevice_t handle_of(int gpu, int position) {
  const int device = generation * most_gpus + gpu;
  return (nvmlDevice_t)(uintptr_t)(device * (most_slices + 1) + position + 2);
}

int is_slice(int gpu, int position) {
  return position >= 0 && position % 2 == 0 && position / 2 < gpus[gpu].slices;
}

nvmlReturn_t begin_any(const char* function, nvmlDevice_t device, int* gpu, int* position) {
  entered_ns = time_ns(CLOCK_MONOTONIC);
  nvmlReturn_t code = begin_system(function);
  const int64_t pause_ns = delay_ns;
  if (pause_ns > 0) {
    release();
    const struct timespec pause = {pause_ns / 1000000000, pause_ns % 1000000000};
    nanosleep(&pause, NULL);
    acquire();
    code = is_mine() ? success : uninitialized;
  }
  if (code != success) {
    return code;
  }
  const long long place = (long long)(uintptr_t)device - 1;
  const long long index = place / (most_slices + 1) - (long long)generation * most_gpus;
  const int slice = (int)(place % (most_slices + 1)) - 1;
  if (place < 0 || index < 0 || index >= number_of_gpus ||
      (slice >= 0 && !is_slice((int)index, slice))) {
    return invalid_argument;
  }
  *gpu = (int)index;
  *position = slice;
  return failure_of(function, *gpu);
}

nvmlReturn_t begin(const char* function, nvmlDevice_t device, int* gpu) {
  int position = -1;
  const nvmlReturn_t code = begin_any(function, device, gpu, &position);
  return code == success && position >= 0 ? not_supported : code;
}

nvmlReturn_t end(nvmlReturn_t code) {
  if (entered_ns > 0) {
    busy_ns += time_ns(CLOCK_MONOTONIC) - entered_ns;
    entered_ns = 0;
  }
  release();
  return code;
}
