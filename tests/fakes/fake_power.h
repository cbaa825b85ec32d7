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
  double low_w, high_w, period_s;
};

// "const:W" or "square:LOW:HIGH:PERIOD_S", whatever comes behind it.
static struct power power_of(const char* text) {
  struct power p = {1, 0, 0, 1};
  if (sscanf(text, "square:%lf:%lf:%lf", &p.low_w, &p.high_w, &p.period_s) != 3) {
    p.known = sscanf(text, "const:%lf", &p.low_w) == 1;
    p.high_w = p.low_w;
  }
  return p;
}

// Joules from time 0 of the clock.
static double joules_until(const struct power* p, int64_t t_ns) {
  const double t_s = (double)t_ns * 1e-9;
  const double whole = floor(t_s / p->period_s);
  const double rest_s = t_s - whole * p->period_s;
  const double half_s = p->period_s / 2;
  return whole * half_s * (p->low_w + p->high_w) + p->low_w * fmin(rest_s, half_s) +
         p->high_w * fmax(rest_s - half_s, 0);
}

static double number(const char* variable, double otherwise) {
  const char* text = getenv(variable);
  return text != NULL && *text != '\0' ? atof(text) : otherwise;
}

static int64_t time_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
