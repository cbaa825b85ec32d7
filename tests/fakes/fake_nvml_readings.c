// SPDX-License-Identifier: Apache-2.0
// Energy, power, and what stands beside them. Temperature, clocks and utilisation are made up, but
// follow the instant power.
#include <math.h>
#include <stdlib.h>

#include "fake_nvml_state.h"

enum { limit_mw = 700000, least_limit_mw = 200000, samples_kept = 120 };
enum { reason_idle = 1, reason_power_cap = 4 };
enum { clock_graphics = 0, clock_sm = 1, clock_memory = 2, clock_video = 3 };

static int64_t now_ns(void) { return time_ns(CLOCK_MONOTONIC); }

static int has(int gpu, int kind) { return kind >= 0 && gpus[gpu].sensors.of[kind].refresh_ns > 0; }

static unsigned int power_at(int gpu, int kind, int scope, int64_t t_ns) {
  const struct gpu* of = &gpus[gpu];
  return power_mw(&of->draw, &of->sensors.of[kind], of->scopes[scope].factor, t_ns);
}

static unsigned int instant_mw(int gpu) {
  return has(gpu, instant) ? power_at(gpu, instant, scope_gpu, now_ns()) : 0;
}

static unsigned long long energy_of(int gpu, int scope) {
  const struct gpu* of = &gpus[gpu];
  return energy_mj(&of->draw, &of->sensors.of[counter], of->scopes[scope].factor, now_ns());
}

static nvmlReturn_t begin_reading(const char* function, nvmlDevice_t device, int* gpu, int kind) {
  const nvmlReturn_t code = begin(function, device, gpu);
  return code == success && !has(*gpu, kind) ? not_supported : code;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int* milliwatts) {
  int gpu = 0;
  nvmlReturn_t code = begin("nvmlDeviceGetPowerUsage", device, &gpu);
  const int kind = gpus[gpu].sensors.usage;
  code = code == success && !has(gpu, kind) ? not_supported : code;
  *milliwatts = code == success ? power_at(gpu, kind, scope_gpu, now_ns()) : *milliwatts;
  return end(code);
}

#ifndef FAKE_NVML_NO_ENERGY
nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long* mj) {
  int gpu = 0;
  const nvmlReturn_t code =
      begin_reading("nvmlDeviceGetTotalEnergyConsumption", device, &gpu, counter);
  *mj = code == success ? energy_of(gpu, scope_gpu) : *mj;
  return end(code);
}
#endif

#ifndef FAKE_NVML_NO_FIELDS
static void answer_energy(int gpu, nvmlFieldValue_t* field) {
  const int known = has(gpu, counter) && gpus[gpu].scopes[field->scopeId].has_energy;
  field->nvmlReturn = known ? success : not_supported;
  field->valueType = type_unsigned_long_long;
  field->value.u64 = known ? energy_of(gpu, (int)field->scopeId) : 0;
}

static void answer_power(int gpu, int kind, nvmlFieldValue_t* field) {
  field->nvmlReturn = has(gpu, kind) ? success : not_supported;
  field->valueType = type_unsigned_int;
  field->value.u32 = has(gpu, kind) ? power_at(gpu, kind, (int)field->scopeId, now_ns()) : 0;
}

static void answer(int gpu, nvmlFieldValue_t* field) {
  char name[48];
  snprintf(name, sizeof name, "nvmlDeviceGetFieldValues:%u", field->fieldId);
  const nvmlReturn_t failure = failure_of(name, gpu);
  field->timestamp = time_ns(CLOCK_REALTIME) / 1000;
  field->nvmlReturn = failure != success ? failure : not_supported;
  if (failure != success || field->scopeId >= number_of_scopes) {
    return;
  }
  switch (field->fieldId) {
    case 83:  // knows no scopes
      if (field->scopeId == scope_gpu) {
        answer_energy(gpu, field);
      }
      break;
    case 185:
      answer_power(gpu, average, field);
      break;
    case 186:
      answer_power(gpu, instant, field);
      break;
    case 190:
      field->nvmlReturn = field->scopeId == scope_gpu ? success : not_supported;
      field->valueType = type_unsigned_int;
      field->value.u32 = limit_mw;
      break;
    case 191:
      answer_energy(gpu, field);
      break;
    default:
      break;
  }
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int n, nvmlFieldValue_t* fields) {
  int gpu = 0;
  nvmlReturn_t code = begin("nvmlDeviceGetFieldValues", device, &gpu);
  if (code == success) {
    code = n > 0 ? not_supported : invalid_argument;
    for (int i = 0; i < n; ++i) {
      answer(gpu, &fields[i]);
      code = fields[i].nvmlReturn == success ? success : code;  // if any of them worked
    }
  }
  return end(code);
}
#endif

// Of the total power alone: the last updates of the instant sensor, the oldest first.
nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t device, int type, unsigned long long last_seen,
                                  int* value_type, unsigned int* count, nvmlSample_t* samples) {
  int gpu = 0;
  nvmlReturn_t code = begin_reading("nvmlDeviceGetSamples", device, &gpu, instant);
  code = code == success && type != 0 ? not_supported : code;
  if (code != success || (samples != NULL && *count == 0)) {
    return end(code != success ? code : invalid_argument);
  }
  *value_type = type_unsigned_int;
  if (samples == NULL) {
    *count = samples_kept;
    return end(success);
  }
  const struct sensor* sensor = &gpus[gpu].sensors.of[instant];
  const int64_t newest_ns = published_ns(sensor, now_ns());
  unsigned int n = 0;
  for (int64_t back = samples_kept - 1; back >= 0 && n < *count; --back) {
    const int64_t t_ns = newest_ns - back * sensor->refresh_ns;
    const int64_t stamp_us = (t_ns + realtime_less_monotonic_ns) / 1000;
    if (t_ns >= sensor->window_ns && (unsigned long long)stamp_us > last_seen) {
      samples[n].timeStamp = (unsigned long long)stamp_us;
      samples[n++].sampleValue.u32 = power_at(gpu, instant, scope_gpu, t_ns);
    }
  }
  *count = n;
  return end(n > 0 ? success : not_found);
}

static nvmlReturn_t say_limit(const char* function, nvmlDevice_t device, unsigned int* milliwatts) {
  int gpu = 0;
  const nvmlReturn_t code = begin(function, device, &gpu);
  *milliwatts = code == success ? limit_mw : *milliwatts;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int* milliwatts) {
  return say_limit("nvmlDeviceGetEnforcedPowerLimit", device, milliwatts);
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned int* milliwatts) {
  return say_limit("nvmlDeviceGetPowerManagementLimit", device, milliwatts);
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned int* least,
                                                          unsigned int* most) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetPowerManagementLimitConstraints", device, &gpu);
  *least = code == success ? least_limit_mw : *least;
  *most = code == success ? limit_mw : *most;
  return end(code);
}

static unsigned int temperature_of(int gpu) { return 30 + instant_mw(gpu) / 20000; }

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int* celsius) {
  int gpu = 0;
  nvmlReturn_t code = begin("nvmlDeviceGetTemperature", device, &gpu);
  code = code == success && sensor != 0 ? invalid_argument : code;
  *celsius = code == success ? temperature_of(gpu) : *celsius;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t* temperature) {
  int gpu = 0;
  nvmlReturn_t code = begin("nvmlDeviceGetTemperatureV", device, &gpu);
  if (code == success) {
    code = temperature->version != temperature_version_1 ? argument_version_mismatch
           : temperature->sensorType != 0                ? invalid_argument
                                                         : success;
  }
  temperature->temperature = code == success ? (int)temperature_of(gpu) : temperature->temperature;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned int* megahertz) {
  int gpu = 0;
  nvmlReturn_t code = begin("nvmlDeviceGetClockInfo", device, &gpu);
  code = code == success && (type < clock_graphics || type > clock_video) ? invalid_argument : code;
  if (code == success) {
    *megahertz = type == clock_memory ? 2619 : 345 + instant_mw(gpu) / 500;
  }
  return end(code);
}

static unsigned int percent_used(int gpu) {
  const unsigned int percent = instant_mw(gpu) / (limit_mw / 100);
  return percent < 100 ? percent : 100;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* percent) {
  int gpu = 0;
  nvmlReturn_t code = begin("nvmlDeviceGetUtilizationRates", device, &gpu);
  code = code == success && gpus[gpu].slices > 0 ? not_supported : code;
  if (code == success) {
    percent->gpu = percent_used(gpu);
    percent->memory = percent->gpu / 2;
  }
  return end(code);
}

// No meter of energy needs it, but CodeCarbon has no GPUs where it cannot be told.
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetMemoryInfo", device, &gpu);
  if (code == success) {
    *memory = (nvmlMemory_t){.total = 80ULL << 30, .free = 79ULL << 30, .used = 1ULL << 30};
  }
  return end(code);
}

static nvmlReturn_t say_reasons(const char* function, nvmlDevice_t device,
                                unsigned long long* reasons) {
  int gpu = 0;
  const nvmlReturn_t code = begin(function, device, &gpu);
  if (code == success) {
    *reasons = instant_mw(gpu) >= limit_mw ? reason_power_cap : 0;
    *reasons |= percent_used(gpu) == 0 ? reason_idle : 0;
  }
  return end(code);
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device,
                                                       unsigned long long* reasons) {
  return say_reasons("nvmlDeviceGetCurrentClocksThrottleReasons", device, reasons);
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device,
                                                    unsigned long long* reasons) {
  return say_reasons("nvmlDeviceGetCurrentClocksEventReasons", device, reasons);
}
