// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

#include "error.hpp"

namespace wattring::nvml {

// The driver's own types and codes (nvml.h); what is not listed is some other failure.
using Device = struct nvmlDevice_st*;
enum Code : int {
  success = 0,
  not_supported = 3,
  no_permission = 4,
  not_found = 6,
  driver_not_loaded = 9,
  timeout = 10,
  function_not_found = 13,
  gpu_lost = 15,
  reset_required = 16,
  version_mismatch = 18,
  no_data = 21,
  not_ready = 27,
  gpu_not_found = 28,
  unknown = 999,
};

// The NVIDIA driver's management library, loaded when it is asked for, because most machines have
// none, and initialised for as long as this lives: without persistence mode the driver would put a
// GPU down between two reads. A function that an old driver lacks answers function_not_found.
class Library {
 public:
  // Throws Error (absent, denied, unsupported, io) with the remedy.
  explicit Library(const std::string& path);
  // In a child of fork nothing is shut down: what was initialised is the parent's.
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  unsigned device_count() const;        // Throws Error.
  Device device(unsigned index) const;  // Throws Error: one GPU of several may be denied.
  std::string driver_version() const;   // Empty where it isn't said, as the following are.
  std::string name(Device device) const;
  std::string uuid(Device device) const;
  std::string pci_address(Device device) const;

  // Millijoules since the driver was loaded. Returns a code.
  int energy_mj(Device device, unsigned long long& energy) const noexcept {
    return energy_ == nullptr ? function_not_found : energy_(device, &energy);
  }

  // What a function's refusal means to people.
  Error failure(const std::string& function, int code) const;

 private:
  template <typename Function>
  Function* symbol(const char* name) const;
  // Under the name of its version, else under that of its first one, as old drivers have it.
  template <typename Function>
  Function* symbol(const std::string& name, const char* version) const;
  std::string device_text(const char* function, Device device) const;

  void* handle_;
  pid_t owner_;
  int (*energy_)(Device, unsigned long long*) = nullptr;
};

// The errno that stands for a code in a sampler's statistics; ENODEV: the GPU will not come back.
int errno_of(int code) noexcept;

}  // namespace wattring::nvml
