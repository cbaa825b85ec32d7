// SPDX-License-Identifier: Apache-2.0
// NVIDIA's management library as a shared library of the same C ABI (nvml.h, 12.9 and 13.x), to be
// built, with its companions fake_nvml_*.c, as libnvidia-ml.so.1. What a GPU has used is made when
// it is asked for, from CLOCK_MONOTONIC and a power function, so that the true energy between any
// two time stamps is known exactly.
//
// Read from the environment when the library is initialised:
//   FAKE_NVML             "const:100,square:50:700:0.5,set,steps": one GPU each; a power function
//                         (fake_power.h), or an energy that fake_nvml_set() says, or the power that
//                         fake_nvml_power() says
//   FAKE_NVML_FAIL        "nvmlInit_v2=9,nvmlDeviceGetUUID@1=4,*@0=15": what a function returns;
//                         behind the @, for one GPU alone; *: every function of a GPU;
//                         "nvmlDeviceGetFieldValues:186@1=3": the code of one field
//   FAKE_NVML_DELAY_NS    time that each call about a GPU takes (0)
//   FAKE_NVML_DRIVER      the driver's version (550.54.15)
//   FAKE_NVML_MIG         "1:2": GPU 1 is in MIG mode and has two slices, with a hole between
//   FAKE_NVML_REFRESH_NS  time between two updates of every sensor, whatever follows says
// Where ';' separates what each GPU has, the last entry being that of all further ones:
//   FAKE_NVML_SENSOR      "counter=100,instant=100/25,average=100/1000,usage=average": refresh, and
//                         window of the mean, in ms, of the energy counter, of the instant and of
//                         the averaged power, and which of these nvmlDeviceGetPowerUsage says; what
//                         is left out is not supported. Or hopper (as above), ga100, ampere, volta,
//                         pascal (fake_nvml_sensor.c)
//   FAKE_NVML_ARCH        number of the architecture (9)
//   FAKE_NVML_NAME        name of the product (NVIDIA Fake H100)
//   FAKE_NVML_SCOPES      "memory=0.2,module=1.4": power and energy of further scopes, as multiples
//                         of the GPU's own; "memory=0.2/power": without the energy. The power of
//                         other scopes is 0, as drivers say it
//
// Compiled with FAKE_NVML_OLD_NAMES it has the first versions of functions alone, with
// FAKE_NVML_NO_ENERGY no function for the energy, with FAKE_NVML_NO_FIELDS none for field values:
// libraries of older drivers.
//
// This file: the library itself, and who the GPUs are.
#include <stdio.h>
#include <string.h>

#include "fake_nvml_state.h"

#ifdef FAKE_NVML_OLD_NAMES
#define VERSIONED(name, version) name
#else
#define VERSIONED(name, version) name##version
#endif

static nvmlReturn_t put_text(char* to, unsigned int length, const char* text) {
  if (to == NULL) {
    return invalid_argument;
  }
  if (strlen(text) >= length) {
    return insufficient_size;
  }
  strcpy(to, text);
  return success;
}

static nvmlReturn_t init(const char* function) {
  begin_system(function);
  initialise();
  const nvmlReturn_t code = failure_of(function, -1);
  users += code == success ? 1 : 0;
  return end(code);
}

nvmlReturn_t VERSIONED(nvmlInit, _v2)(void) { return init("nvmlInit_v2"); }

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
  (void)flags;
  return init("nvmlInitWithFlags");
}

nvmlReturn_t nvmlShutdown(void) {
  const nvmlReturn_t code = begin_system("nvmlShutdown");
  users -= code == success ? 1 : 0;
  return end(code);
}

const char* nvmlErrorString(nvmlReturn_t code) {
  switch (code) {
    case not_supported:
      return "Not Supported";
    case 4:
      return "Insufficient Permissions";
    case not_found:
      return "Not Found";
    case 9:
      return "Driver Not Loaded";
    case 15:
      return "GPU is lost";
    case 18:
      return "Driver/library version mismatch";
    default:
      return "Unknown Error";
  }
}

static nvmlReturn_t system_text(const char* function, char* to, unsigned int length,
                                const char* prefix) {
  nvmlReturn_t code = begin_system(function);
  code = code == success ? failure_of(function, -1) : code;
  char text[96];
  snprintf(text, sizeof text, "%s%s", prefix, driver);
  return end(code == success ? put_text(to, length, text) : code);
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* to, unsigned int length) {
  return system_text("nvmlSystemGetDriverVersion", to, length, "");
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char* to, unsigned int length) {
  return system_text("nvmlSystemGetNVMLVersion", to, length, "12.");
}

nvmlReturn_t VERSIONED(nvmlDeviceGetCount, _v2)(unsigned int* count) {
  nvmlReturn_t code = begin_system("nvmlDeviceGetCount_v2");
  code = code == success ? failure_of("nvmlDeviceGetCount_v2", -1) : code;
  *count = code == success ? (unsigned int)number_of_gpus : *count;
  return end(code);
}

static void uuid_of(int gpu, int position, char to[64]) {
  if (position < 0) {
    snprintf(to, 64, "GPU-fa4e0000-0000-4000-8000-00000000000%d", gpu);
  } else {
    snprintf(to, 64, "MIG-fa4e0000-0000-4000-8000-0000000000%d%d", gpu, position);
  }
}

static unsigned int bus_of(int gpu) { return 0x17 + (unsigned int)gpu; }

// Ends a call that seeks a GPU, or a slice of it; gpu -1: there is no such one.
static nvmlReturn_t end_search(const char* function, int gpu, int position, nvmlReturn_t absent,
                               nvmlDevice_t* device) {
  const nvmlReturn_t code = gpu < 0 ? absent : failure_of(function, gpu);
  *device = code == success ? handle_of(gpu, position) : *device;
  return end(code);
}

nvmlReturn_t VERSIONED(nvmlDeviceGetHandleByIndex, _v2)(unsigned int index, nvmlDevice_t* device) {
  const char* function = "nvmlDeviceGetHandleByIndex_v2";
  const nvmlReturn_t code = begin_system(function);
  const int gpu = code == success && index < (unsigned int)number_of_gpus ? (int)index : -1;
  return end_search(function, gpu, -1, code == success ? invalid_argument : code, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  const char* function = "nvmlDeviceGetHandleByUUID";
  const nvmlReturn_t code = begin_system(function);
  int gpu = -1, position = -1;
  for (int g = 0; code == success && g < number_of_gpus; ++g) {
    for (int p = -1; p < most_slices; ++p) {
      char own[64];
      uuid_of(g, p, own);
      if ((p < 0 || is_slice(g, p)) && strcmp(uuid, own) == 0) {
        gpu = g;
        position = p;
      }
    }
  }
  return end_search(function, gpu, position, code == success ? not_found : code, device);
}

nvmlReturn_t VERSIONED(nvmlDeviceGetHandleByPciBusId, _v2)(const char* address,
                                                           nvmlDevice_t* device) {
  const char* function = "nvmlDeviceGetHandleByPciBusId_v2";
  const nvmlReturn_t code = begin_system(function);
  unsigned int domain = 0, bus = 0, slot = 0;
  const int parts = sscanf(address, "%x:%x:%x", &domain, &bus, &slot);
  int gpu = -1;
  for (int g = 0; code == success && parts == 3 && g < number_of_gpus; ++g) {
    gpu = domain == 0 && bus == bus_of(g) && slot == 0 ? g : gpu;
  }
  return end_search(function, gpu, -1, code == success ? not_found : code, device);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* to, unsigned int length) {
  int gpu = 0, position = -1;
  const nvmlReturn_t code = begin_any("nvmlDeviceGetUUID", device, &gpu, &position);
  char text[64];
  uuid_of(gpu, position, text);
  return end(code == success ? put_text(to, length, text) : code);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* to, unsigned int length) {
  int gpu = 0, position = -1;
  const nvmlReturn_t code = begin_any("nvmlDeviceGetName", device, &gpu, &position);
  char text[128];
  snprintf(text, sizeof text, "%s%s", gpus[gpu].name, position < 0 ? "" : " MIG 1g.10gb");
  return end(code == success ? put_text(to, length, text) : code);
}

nvmlReturn_t VERSIONED(nvmlDeviceGetPciInfo, _v3)(nvmlDevice_t device, nvmlPciInfo_t* info) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetPciInfo_v3", device, &gpu);
  if (code == success) {
    const unsigned int bus = bus_of(gpu);
    snprintf(info->busIdLegacy, sizeof info->busIdLegacy, "0000:%02X:00.0", bus);
#ifndef FAKE_NVML_OLD_NAMES  // whose struct ends before
    info->domain = 0;
    info->bus = bus;
    info->device = 0;
    info->pciDeviceId = 0x233010DE;
    info->pciSubSystemId = 0x16C110DE;
    snprintf(info->busId, sizeof info->busId, "00000000:%02X:00.0", bus);
#endif
  }
  return end(code);
}

// Of a slice, the index that its handle is asked for by.
nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int* index) {
  int gpu = 0, position = -1;
  const nvmlReturn_t code = begin_any("nvmlDeviceGetIndex", device, &gpu, &position);
  *index = code == success ? (unsigned int)(position < 0 ? gpu : position) : *index;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int* minor) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetMinorNumber", device, &gpu);
  *minor = code == success ? (unsigned int)gpu : *minor;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned int* architecture) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetArchitecture", device, &gpu);
  *architecture = code == success ? gpus[gpu].architecture : *architecture;
  return end(code);
}
