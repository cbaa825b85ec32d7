// SPDX-License-Identifier: Apache-2.0
// Multi-instance GPUs: their mode and their slices.
#include "fake_nvml_state.h"

// Ampere, Hopper, Blackwell; some of their products do not either.
static int has_mig(int gpu) {
  const unsigned int architecture = gpus[gpu].architecture;
  return architecture == 7 || architecture == 9 || architecture == 10;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int* current,
                                  unsigned int* pending) {
  int gpu = 0;
  nvmlReturn_t code = begin("nvmlDeviceGetMigMode", device, &gpu);
  code = code == success && !has_mig(gpu) ? not_supported : code;
  if (code == success) {
    *current = *pending = gpus[gpu].slices > 0;
  }
  return end(code);
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int* is_slice_of_gpu) {
  int gpu = 0, position = -1;
  const nvmlReturn_t code = begin_any("nvmlDeviceIsMigDeviceHandle", device, &gpu, &position);
  *is_slice_of_gpu = code == success ? position >= 0 : *is_slice_of_gpu;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int* count) {
  int gpu = 0;
  const nvmlReturn_t code = begin("nvmlDeviceGetMaxMigDeviceCount", device, &gpu);
  *count = code == success ? (gpus[gpu].slices > 0 ? most_slices : 0) : *count;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index,
                                                 nvmlDevice_t* slice) {
  int gpu = 0;
  nvmlReturn_t code = begin("nvmlDeviceGetMigDeviceHandleByIndex", device, &gpu);
  if (code == success) {
    code = !has_mig(gpu)               ? not_supported
           : index >= most_slices      ? invalid_argument
           : is_slice(gpu, (int)index) ? success
                                       : not_found;
  }
  *slice = code == success ? handle_of(gpu, (int)index) : *slice;
  return end(code);
}

nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t slice,
                                                          nvmlDevice_t* device) {
  int gpu = 0, position = -1;
  nvmlReturn_t code =
      begin_any("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", slice, &gpu, &position);
  code = code == success && position < 0 ? invalid_argument : code;
  *device = code == success ? handle_of(gpu, -1) : *device;
  return end(code);
}
