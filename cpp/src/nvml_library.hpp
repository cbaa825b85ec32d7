// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
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

// What nvmlDeviceGetFieldValues takes and gives (nvmlFieldValue_t).
struct FieldValue {
  unsigned field = 0;
  unsigned scope = 0;  // older headers call it unused and want a zero
  std::int64_t timestamp_us = 0;
  std::int64_t latency_us = 0;
  int type = 0;
  int code = 0;
  union Value {
    double d;
    unsigned u32;
    std::uint64_t u64 = 0;
  } value{};

  // Of whichever integer type the driver has chosen.
  std::uint64_t integer() const noexcept {
    constexpr int u32 = 1;
    return type == u32 ? value.u32 : value.u64;
  }
};
static_assert(sizeof(FieldValue) == 40);

enum Field : unsigned {
  total_energy = 83,     // mJ since the driver was loaded
  power_average = 185,   // mW, mean of a second
  power_instant = 186,   // mW
  power_limit = 190,     // mW, as it is enforced
  energy_of_scope = 191  // mJ
};
enum Scope : unsigned { gpu = 0, module = 1, memory = 2 };

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
  // As NVML numbers them; 0: unknown.
  unsigned architecture(Device device) const;

  // Millijoules since the driver was loaded. Returns a code.
  int energy_mj(Device device, unsigned long long& energy) const noexcept {
    return energy_ == nullptr ? function_not_found : energy_(device, &energy);
  }

  // Milliwatts. Returns a code, as those below.
  int power_mw(Device device, unsigned& power) const noexcept {
    return power_ == nullptr ? function_not_found : power_(device, &power);
  }
  // Several quantities in one call; each has a code of its own.
  int fields(Device device, std::span<FieldValue> values) const noexcept {
    return fields_ == nullptr ? function_not_found
                              : fields_(device, static_cast<int>(values.size()), values.data());
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
  int (*power_)(Device, unsigned*) = nullptr;
  int (*fields_)(Device, int, FieldValue*) = nullptr;
};

// The errno that stands for a code in a sampler's statistics; ENODEV: the GPU will not come back.
int errno_of(int code) noexcept;

}  // namespace wattring::nvml
