// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/perf_event.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace wattring {

// The GPUs that a program may use, of those that the machine has.
struct VisibleGpus {
  std::string said;                          // by whom: "CUDA_VISIBLE_DEVICES=1"
  std::map<std::string, std::string> notes;  // by UUID, for its channel; may be empty
};

// All that sources see of the outside world: where the kernel's trees begin, how perf events are
// opened and read, and which library knows the GPUs. Tests put a fake here, at the operating
// system's boundary, and the product's own code is what runs.
struct Environment {
  std::string sys = "/sys";
  std::string dev = "/dev";
  std::string proc = "/proc";
  // perf_event_open(2) and read(2) on what it returned.
  int (*perf_open)(perf_event_attr* attr, pid_t pid, int cpu, int group_fd, unsigned long flags);
  ssize_t (*perf_read)(int fd, void* to, std::size_t bytes);
  // The NVIDIA driver's management library, a path or a name that the loader finds.
  std::string nvml = "libnvidia-ml.so.1";
  // What "auto" measures of its GPUs; nothing: all of them.
  std::optional<VisibleGpus> visible_gpus;
  // Power functions of the simulated machine, e.g. "package-0=square:20:80:0.5,dram-0=const:5".
  std::string simulated;

  Environment();
  // The machine's own, changed by WATTRING_SYSFS, WATTRING_DEV, WATTRING_PROC (other roots),
  // WATTRING_PERF_LIBRARY (a shared library that exports wattring_perf_open and
  // wattring_perf_read), WATTRING_NVML_LIBRARY and WATTRING_SIMULATED. Throws Error when the
  // library cannot be loaded.
  static Environment from_variables();
};

// Content of a small file without its last newline; nothing, with errno set, when it can't be read.
std::optional<std::string> read_text(const std::string& path);
// The same, where a missing or rubbish number is an error that names the file. Throws Error.
std::uint64_t read_number(const std::string& path);
std::optional<std::uint64_t> parse_number(const std::string& text);

// For what looks absent and may only be hidden. Throws Error(denied) when it is permission that
// lacks.
void require_permission(const std::string& path);

// Names in a directory, sorted; empty when it can't be read (errno set).
std::vector<std::string> list_directory(const std::string& path);

// "0-2,5" → 0 1 2 5, the kernel's list format. Rubbish ends the list.
std::vector<int> parse_cpu_list(const std::string& text);

// Owns a file descriptor.
class File {
 public:
  File() = default;
  explicit File(int fd) noexcept : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File();
  static File open_readonly(const std::string& path) noexcept;  // fd() < 0 and errno on failure

  int fd() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace wattring
