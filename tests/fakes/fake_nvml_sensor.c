// SPDX-License-Identifier: Apache-2.0
#include "fake_nvml_sensor.h"

#include <string.h>

// By architecture, from the measurements of arXiv:2312.02741 (drivers after 530). ga100 is the
// A100, ampere the other Ampere GPUs and Ada.
static const struct {
  const char* name;
  const char* sensors;
} presets[] = {
    {"hopper", "counter=100,instant=100/25,average=100/1000,usage=average"},
    {"ga100", "counter=100,instant=100/25,usage=instant"},
    {"ampere", "counter=100,instant=100/100,average=100/1000,usage=average"},
    {"volta", "counter=20,instant=20/10,usage=instant"},
    {"pascal", "instant=20/10,usage=instant"},
};
enum { number_of_presets = sizeof presets / sizeof presets[0] };

static const char* const names[number_of_sensors] = {"counter", "instant", "average"};

static int sensor_named(const char* name) {
  for (int kind = 0; kind < number_of_sensors; ++kind) {
    if (strcmp(name, names[kind]) == 0) {
      return kind;
    }
  }
  fprintf(stderr, "FAKE_NVML_SENSOR: there is no sensor '%s'\n", name);
  abort();
}

// All sensors of all GPUs have phases of their own: GPUs lie 3/8 of a refresh apart, the sensors of
// one a third.
static int64_t phase_ns(int gpu, int kind, int64_t refresh_ns) {
  return refresh_ns * ((9 * gpu + 8 * kind) % 24) / 24;
}

struct sensors sensors_of(const char* text, int gpu, int64_t override_ns) {
  struct sensors sensors = {.usage = -1};
  for (int i = 0; i < number_of_presets; ++i) {
    text = strcmp(text, presets[i].name) == 0 ? presets[i].sensors : text;
  }
  for (const char* at = text; at != NULL; at = strchr(at, ','), at += at != NULL) {
    char name[16] = "", of[16] = "";
    double refresh_ms = 0, window_ms = 0;
    if (sscanf(at, "usage=%15[a-z]", of) == 1) {
      sensors.usage = sensor_named(of);
    } else if (sscanf(at, "%15[a-z]=%lf/%lf", name, &refresh_ms, &window_ms) >= 2) {
      const int kind = sensor_named(name);
      const int64_t refresh_ns = override_ns > 0 ? override_ns : llround(refresh_ms * 1e6);
      sensors.of[kind] =
          (struct sensor){refresh_ns, llround(window_ms * 1e6), phase_ns(gpu, kind, refresh_ns)};
    } else {
      sensor_named(at);
    }
  }
  return sensors;
}

static double stepped_j(const struct history* history, int64_t t_ns) {
  const long long oldest = history->made > most_steps ? history->made - most_steps : 0;
  for (long long number = history->made - 1; number >= oldest; --number) {
    const struct step* step = &history->step[number % most_steps];
    if (step->t_ns <= t_ns) {
      return step->joules + step->watts * ((double)(t_ns - step->t_ns) * 1e-9);
    }
  }
  return oldest == 0 ? 0 : NAN;  // before the first one ever nothing was drawn
}

int64_t draw_from_now(struct history* history, double watts) {
  const int64_t now_ns = time_ns(CLOCK_MONOTONIC);
  const struct step step = {now_ns, watts, stepped_j(history, now_ns)};
  history->step[history->made++ % most_steps] = step;
  return now_ns;
}

double drawn_j(const struct draw* draw, int64_t t_ns) {
  switch (draw->kind) {
    case by_function:
      return joules_until(&draw->power, t_ns);
    case steps:
      return stepped_j(draw->history, t_ns);
    default:
      return (double)draw->told_mj * 1e-3;
  }
}

int64_t published_ns(const struct sensor* sensor, int64_t t_ns) {
  return (t_ns - sensor->phase_ns) / sensor->refresh_ns * sensor->refresh_ns + sensor->phase_ns;
}

unsigned long long energy_mj(const struct draw* draw, const struct sensor* sensor, double factor,
                             int64_t t_ns) {
  if (draw->kind == told && factor == 1) {
    return draw->told_mj;
  }
  return (unsigned long long)(drawn_j(draw, published_ns(sensor, t_ns)) * 1e3 * factor);
}

unsigned int power_mw(const struct draw* draw, const struct sensor* sensor, double factor,
                      int64_t t_ns) {
  const int64_t end_ns = published_ns(sensor, t_ns);
  const double joules = drawn_j(draw, end_ns) - drawn_j(draw, end_ns - sensor->window_ns);
  return (unsigned int)lround(joules * factor * 1e12 / (double)sensor->window_ns);
}
