// SPDX-License-Identifier: Apache-2.0
// What the fakes in C have in common: power functions and their energy (power.py gives the same in
// Python), numbers from the environment, a clock.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct power {
  int known;  // 0: there is no function
  double first_w, then_w, first_s, period_s;
};

// "const:W", "square:LOW:HIGH:PERIOD_S" (low for the first half of each period) or
// "bursts:LOW:HIGH:PERIOD_S:DUTY" (high for the first DUTY, a share, of each), whatever comes
// behind it.
static inline struct power power_of(const char* text) {
  double low_w = 0, high_w = 0, period_s = 1, duty = 0;
  if (sscanf(text, "square:%lf:%lf:%lf", &low_w, &high_w, &period_s) == 3) {
    return (struct power){1, low_w, high_w, period_s / 2, period_s};
  }
  if (sscanf(text, "bursts:%lf:%lf:%lf:%lf", &low_w, &high_w, &period_s, &duty) == 4) {
    return (struct power){1, high_w, low_w, period_s * duty, period_s};
  }
  const int known = sscanf(text, "const:%lf", &low_w) == 1;
  return (struct power){known, low_w, low_w, 0.5, 1};
}

// Joules from time 0 of the clock.
static inline double joules_until(const struct power* p, int64_t t_ns) {
  const double t_s = (double)t_ns * 1e-9;
  const double whole = floor(t_s / p->period_s);
  const double rest_s = t_s - whole * p->period_s;
  const double then_s = p->period_s - p->first_s;
  return whole * (p->first_w * p->first_s + p->then_w * then_s) +
         p->first_w * fmin(rest_s, p->first_s) + p->then_w * fmax(rest_s - p->first_s, 0);
}

static inline double number(const char* variable, double otherwise) {
  const char* text = getenv(variable);
  return text != NULL && *text != '\0' ? atof(text) : otherwise;
}

static inline int64_t time_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
