// SPDX-License-Identifier: Apache-2.0
// What a GPU draws, and what its sensors publish of it. sensor.py says the same in Python.
#pragma once

#include <stdint.h>

#include "fake_power.h"

#pragma GCC visibility push(hidden)

enum { most_steps = 8192 };

struct step {
  int64_t t_ns;
  double watts;   // from then on
  double joules;  // until then
};

// The newest steps that were made.
struct history {
  struct step step[most_steps];  // a ring
  long long made;
};

// The power of a GPU: a function of time; or steps; or nothing but an energy that is told.
struct draw {
  enum { told, by_function, steps } kind;
  struct power power;
  struct history* history;
  unsigned long long told_mj;
};

enum sensor_kind { counter, instant, average, number_of_sensors };

// Publishes, every refresh, the energy until then, or the mean power of the window until then.
struct sensor {
  int64_t refresh_ns, window_ns, phase_ns;
};

struct sensors {
  struct sensor of[number_of_sensors];  // refresh 0: there is none
  int usage;                            // what nvmlDeviceGetPowerUsage says; -1: nothing
};

// Joules from time 0 of the clock; NaN: before the steps that are kept.
double drawn_j(const struct draw* draw, int64_t t_ns);
// Returns the time of the step.
int64_t draw_from_now(struct history* history, double watts);

// "hopper" or "counter=100,instant=100/25,…", in milliseconds; override_ns > 0: every refresh.
struct sensors sensors_of(const char* text, int gpu, int64_t override_ns);

int64_t published_ns(const struct sensor* sensor, int64_t t_ns);
unsigned long long energy_mj(const struct draw* draw, const struct sensor* sensor, double factor,
                             int64_t t_ns);
unsigned int power_mw(const struct draw* draw, const struct sensor* sensor, double factor,
                      int64_t t_ns);

#pragma GCC visibility pop
