// SPDX-License-Identifier: Apache-2.0
// The types and numbers of nvml.h (12.9 and 13.x) that fake_nvml.c and its companions need, under
// their own names.
#pragma once

#include <stdint.h>

enum {
  success = 0,
  uninitialized = 1,
  invalid_argument = 2,
  not_supported = 3,
  not_found = 6,
  insufficient_size = 7,
  argument_version_mismatch = 25,
};

enum { type_unsigned_int = 1, type_unsigned_long_long = 3 };  // nvmlValueType_t

typedef int nvmlReturn_t;
typedef struct nvmlDevice_st* nvmlDevice_t;

typedef struct {
  char busIdLegacy[16];
  unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
  char busId[32];
} nvmlPciInfo_t;

typedef union {
  double d;
  unsigned int u32;
  unsigned long long u64;
} nvmlValue_t;

typedef struct {
  unsigned int fieldId;
  unsigned int scopeId;
  int64_t timestamp;
  int64_t latencyUsec;
  int32_t valueType;
  nvmlReturn_t nvmlReturn;
  nvmlValue_t value;
} nvmlFieldValue_t;

typedef struct {
  unsigned long long timeStamp;
  nvmlValue_t sampleValue;
} nvmlSample_t;

typedef struct {
  unsigned int gpu, memory;
} nvmlUtilization_t;

typedef struct {
  unsigned long long total, free, used;
} nvmlMemory_t;

typedef struct {
  unsigned int version;
  int sensorType;
  int temperature;
} nvmlTemperature_t;

enum { temperature_version_1 = 0x100000C };

_Static_assert(sizeof(nvmlPciInfo_t) == 68 && sizeof(nvmlFieldValue_t) == 40, "as in nvml.h");
_Static_assert(sizeof(nvmlSample_t) == 16 && sizeof(nvmlTemperature_t) == 12, "as in nvml.h");
