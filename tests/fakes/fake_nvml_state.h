// SPDX-License-Identifier: Apache-2.0
// What stands behind the functions of the fake library: who has initialised it, which GPUs there
// are, which functions fail, and how often each was called.
#pragma once

#include <stdint.h>
#include <time.h>

#include "fake_nvml_abi.h"
#include "fake_nvml_sensor.h"

#pragma GCC visibility push(hidden)  // several builds of the library live in one process

enum { most_gpus = 8, most_slices = 7 };

enum { scope_gpu, scope_module, scope_memory, number_of_scopes };

// Another reading of a GPU's sensors: so many times the GPU's own power.
struct scope {
  double factor;
  int has_energy;
};

struct gpu {
  struct draw draw;
  struct sensors sensors;
  struct scope scopes[number_of_scopes];
  unsigned int architecture;
  char name[96];
  int slices;  // of MIG, which is on if there are any
};

extern struct gpu gpus[most_gpus];
extern int number_of_gpus;
extern char driver[80];
extern char failing[512];  // like FAKE_NVML_FAIL
extern int users;          // inits without a shutdown
extern int64_t realtime_less_monotonic_ns;
extern int64_t busy_ns;   // what calls about GPUs took
extern int64_t delay_ns;  // what each is to take at least

void acquire(void);
void release(void);
int is_mine(void);  // initialised, and by this process
void initialise(void);

// Each function of the library begins with one of these, which count the call and return with the
// lock held, whatever they return, and is over with end(), which returns what it is given.
// A function that is about no GPU:
nvmlReturn_t begin_system(const char* function);
// About a GPU. What is wrong with the call comes first; a slice of MIG is not supported.
nvmlReturn_t begin(const char* function, nvmlDevice_t device, int* gpu);
// About a GPU or a slice of it; position -1: the whole GPU.
nvmlReturn_t begin_any(const char* function, nvmlDevice_t device, int* gpu, int* position);
nvmlReturn_t end(nvmlReturn_t code);

// What a function is told to return; gpu -1: it is about none.
nvmlReturn_t failure_of(const char* function, int gpu);

nvmlDevice_t handle_of(int gpu, int position);
int is_slice(int gpu, int position);  // between two slices there is a hole

int calls_of(const char* function);
void forget_calls(void);

#pragma GCC visibility pop
