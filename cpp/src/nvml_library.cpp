// SPDX-License-Identifier: Apache-2.0
#include "nvml_library.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "environment.hpp"

namespace wattring::nvml {
namespace {

// nvmlPciInfo_t; the first version of its function fills in less of it.
struct PciInfo {
  std::array<char, 16> legacy_address;
  std::array<unsigned, 5> numbers;
  std::array<char, 32> address;
};
static_assert(sizeof(PciInfo) == 68);

void* load(const std::string& path) {
  // Never closed: the driver's library has threads and exit handlers of its own.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    if (path.find('/') != std::string::npos) {
      require_permission(path);
    }
    throw Error(Errc::absent, std::string("no NVIDIA driver's library: ") + reason,
                "install NVIDIA's driver (in a container: let it have the `utility` capability)");
  }
  return handle;
}

}  // namespace

template <typename Function>
Function* Library::symbol(const char* name) const {
  return reinterpret_cast<Function*>(dlsym(handle_, name));
}

template <typename Function>
Function* Library::symbol(const std::string& name, const char* version) const {
  Function* const newest = symbol<Function>((name + version).c_str());
  return newest != nullptr ? newest : symbol<Function>(name.c_str());
}

Library::Library(const std::string& path) : handle_(load(path)), owner_(getpid()) {
  auto* const init = symbol<int()>("nvmlInit", "_v2");
  const int code = init == nullptr ? function_not_found : init();
  if (code != success) {
    throw failure("nvmlInit", code);
  }
  energy_ = symbol<int(Device, unsigned long long*)>("nvmlDeviceGetTotalEnergyConsumption");
  power_ = symbol<int(Device, unsigned*)>("nvmlDeviceGetPowerUsage");
  fields_ = symbol<int(Device, int, FieldValue*)>("nvmlDeviceGetFieldValues");
}

Library::~Library() {
  auto* const shutdown = symbol<int()>("nvmlShutdown");
  if (shutdown != nullptr && getpid() == owner_) {
    shutdown();
  }
}

unsigned Library::device_count() const {
  auto* const get = symbol<int(unsigned*)>("nvmlDeviceGetCount", "_v2");
  unsigned count = 0;
  const int code = get == nullptr ? function_not_found : get(&count);
  if (code != success) {
    throw failure("nvmlDeviceGetCount", code);
  }
  return count;
}

Device Library::device(unsigned index) const {
  auto* const get = symbol<int(unsigned, Device*)>("nvmlDeviceGetHandleByIndex", "_v2");
  Device device = nullptr;
  const int code = get == nullptr ? function_not_found : get(index, &device);
  if (code != success) {
    throw failure("nvmlDeviceGetHandleByIndex", code);
  }
  return device;
}

std::string Library::driver_version() const {
  auto* const get = symbol<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
  std::array<char, 96> text{};
  return get != nullptr && get(text.data(), text.size()) == success ? text.data() : "";
}

std::string Library::device_text(const char* function, Device device) const {
  auto* const get = symbol<int(Device, char*, unsigned)>(function);
  std::array<char, 96> text{};
  return get != nullptr && get(device, text.data(), text.size()) == success ? text.data() : "";
}

std::string Library::name(Device device) const { return device_text("nvmlDeviceGetName", device); }

std::string Library::uuid(Device device) const { return device_text("nvmlDeviceGetUUID", device); }

std::string Library::pci_address(Device device) const {
  auto* const get = symbol<int(Device, PciInfo*)>("nvmlDeviceGetPciInfo", "_v3");
  PciInfo info{};
  if (get == nullptr || get(device, &info) != success) {
    return "";
  }
  return info.address[0] != '\0' ? info.address.data() : info.legacy_address.data();
}

unsigned Library::architecture(Device device) const {
  auto* const get = symbol<int(Device, unsigned*)>("nvmlDeviceGetArchitecture");
  unsigned architecture = 0;
  return get != nullptr && get(device, &architecture) == success ? architecture : 0;
}

Error Library::failure(const std::string& function, int code) const {
  auto* const text = symbol<const char*(int)>("nvmlErrorString");
  const std::string reason = function + ": " + (text != nullptr ? text(code) : "failed") +
                             " (NVML error " + std::to_string(code) + ")";
  switch (code) {
    case not_supported:
    case function_not_found:
      return {Errc::unsupported, reason};
    case no_permission:
      return {Errc::denied, reason,
              "open /dev/nvidia* to this user (in a container: pass the GPU on to it)"};
    case driver_not_loaded:
      return {Errc::absent, reason, "sudo modprobe nvidia"};
    case not_found:
    case gpu_not_found:
      return {Errc::absent, reason,
              "no NVIDIA GPU answers: `nvidia-smi` shows what the driver has"};
    case gpu_lost:
    case reset_required:
      return {Errc::io, reason, "reset the GPU, or reboot; `dmesg` shows the driver's Xid errors"};
    case version_mismatch:
      return {Errc::io, reason, "the driver was upgraded under the running system: reboot"};
    default:
      return {Errc::io, reason};
  }
}

int errno_of(int code) noexcept {
  switch (code) {
    case not_supported:
    case function_not_found:
      return ENOTSUP;
    case no_permission:
      return EPERM;
    case timeout:
    case no_data:
    case not_ready:
    case unknown:
      return EAGAIN;
    case gpu_lost:
    case reset_required:
    case version_mismatch:
      return ENODEV;
    default:
      return EIO;
  }
}

}  // namespace wattring::nvml
