// SPDX-License-Identifier: Apache-2.0
// NVIDIA's management library as a shared library of the same C ABI (nvml.h, 12.9 and 13.x), to be
// built as libnvidia-ml.so.1. A GPU's energy is made when it is asked for, from CLOCK_MONOTONIC and
// a power function, so that the true energy between any two time stamps is known exactly.
//
// Read from the environment when the library is initialised:
//   FAKE_NVML             "const:100,square:50:700:0.5,set": one GPU each; watts, or low, high,
//                         period in seconds, or an energy that fake_nvml_set() says
//   FAKE_NVML_FAIL        "nvmlInit_v2=9,nvmlDeviceGetUUID@1=4,*@0=15": what a function returns;
//                         behind the @, for one GPU alone; *: every function of a GPU
//   FAKE_NVML_REFRESH_NS  time between two updates of a GPU's sensor (100000000)
//   FAKE_NVML_DELAY_NS    time that each call about a GPU takes (0)
//
// Compiled with FAKE_NVML_OLD_NAMES it has the first versions of functions alone, with
// FAKE_NVML_NO_ENERGY no function for the energy: libraries of older drivers.
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
  acquire();
  if (!is_mine()) {
    users = 0;
    owner = getpid();
    ++generation;
    read_environment();
  }
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
  acquire();
  if (!is_mine()) {
    return end(uninitialized);
  }
  --users;
  return end(success);
}

const char* nvmlErrorString(nvmlReturn_t code) {
  switch (code) {
    case not_supported:
      return "Not Supported";
    case 4:
      return "Insufficient Permissions";
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
                                const char* text) {
  acquire();
  const nvmlReturn_t code = is_mine() ? failure_of(function, -1) : uninitialized;
  return end(code == success ? put_text(to, length, text) : code);
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* to, unsigned int length) {
  return system_text("nvmlSystemGetDriverVersion", to, length, "550.54.15");
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char* to, unsigned int length) {
  return system_text("nvmlSystemGetNVMLVersion", to, length, "12.550.54.15");
}

nvmlReturn_t VERSIONED(nvmlDeviceGetCount, _v2)(unsigned int* count) {
  acquire();
  const nvmlReturn_t code = is_mine() ? failure_of("nvmlDeviceGetCount_v2", -1) : uninitialized;
  if (code == success) {
    *count = (unsigned int)number_of_gpus;
  }
  return end(code);
}

nvmlReturn_t VERSIONED(nvmlDeviceGetHandleByIndex, _v2)(unsigned int index, nvmlDevice_t* device) {
  acquire();
  nvmlReturn_t code = is_mine() ? success : uninitialized;
  if (code == success && index >= (unsigned int)number_of_gpus) {
    code = invalid_argument;
  }
  if (code == success) {
    code = failure_of("nvmlDeviceGetHandleByIndex_v2", (int)index);
  }
  if (code == success) {
    *device = handle_of((int)index);
  }
  return end(code);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* to, unsigned int length) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetUUID", device, &gpu);
  char text[64];
  snprintf(text, sizeof text, "GPU-fa4e0000-0000-4000-8000-00000000000%d", gpu);
  return end(code == success ? put_text(to, length, text) : code);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* to, unsigned int length) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetName", device, &gpu);
  return end(code == success ? put_text(to, length, "NVIDIA Fake H100") : code);
}

nvmlReturn_t VERSIONED(nvmlDeviceGetPciInfo, _v3)(nvmlDevice_t device, nvmlPciInfo_t* info) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetPciInfo_v3", device, &gpu);
  if (code == success) {
    const unsigned int bus = 0x17 + (unsigned int)gpu;
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

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int* index) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetIndex", device, &gpu);
  *index = code == success ? (unsigned int)gpu : *index;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int* milliwatts) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetPowerUsage", device, &gpu);
  *milliwatts = code == success ? mean_power_mw(gpu, 1000000000) : *milliwatts;  // as on Hopper
  return end(code);
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned int* architecture) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetArchitecture", device, &gpu);
  *architecture = code == success ? 9 : *architecture;
  return end(code);
}

#ifndef FAKE_NVML_NO_ENERGY
nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long* mj) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetTotalEnergyConsumption", device, &gpu);
  ++energy_calls;
  *mj = code == success ? energy_mj(gpu) : *mj;
  return end(code);
}
#endif

static void answer(int gpu, nvmlFieldValue_t* field) {
  field->timestamp = time_ns(CLOCK_REALTIME) / 1000;
  field->nvmlReturn = field->scopeId == 0 ? success : not_supported;
  switch (field->fieldId) {
    case 83:
    case 191:
      field->valueType = 3;
      field->value.u64 = energy_mj(gpu);
      break;
    case 185:
      field->valueType = 1;
      field->value.u32 = mean_power_mw(gpu, 1000000000);
      break;
    case 186:
      field->valueType = 1;
      field->value.u32 = mean_power_mw(gpu, 25000000);
      break;
    default:
      field->nvmlReturn = not_supported;
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

// For the tests. They live beside the library in one process: whoever opens the same file talks to
// the same GPUs.

// What a GPU without a function has used up.
void fake_nvml_set(int gpu, unsigned long long mj) {
  acquire();
  told_mj[gpu] = mj;
  release();
}

// Like FAKE_NVML_FAIL, at once and in its place.
void fake_nvml_fail(const char* failures) {
  acquire();
  snprintf(failing, sizeof failing, "%s", failures);
  release();
}

// How often nvmlDeviceGetTotalEnergyConsumption was called.
int fake_nvml_energy_calls(void) {
  acquire();
  const int calls = energy_calls;
  release();
  return calls;
}

// Inits of this process without a shutdown.
int fake_nvml_users(void) {
  acquire();
  const int n = is_mine() ? users : 0;
  release();
  return n;
}
