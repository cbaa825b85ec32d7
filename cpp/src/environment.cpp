// SPDX-License-Identifier: Apache-2.0
#include "environment.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "error.hpp"

namespace wattring {
namespace {

// NOLINTNEXTLINE(misc-const-correctness): the kernel writes attr->size on E2BIG
int system_perf_open(perf_event_attr* attr, pid_t pid, int cpu, int group_fd, unsigned long flags) {
  return static_cast<int>(syscall(SYS_perf_event_open, attr, pid, cpu, group_fd, flags));
}

ssize_t system_perf_read(int fd, void* to, std::size_t bytes) { return ::read(fd, to, bytes); }

template <typename Function>
void load_symbol(void* library, const char* path, const char* name, Function& to) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) {
    throw Error(Errc::invalid, std::string("WATTRING_PERF_LIBRARY ") + path + " has no " + name,
                "unset WATTRING_PERF_LIBRARY");
  }
  to = reinterpret_cast<Function>(symbol);
}

// Where the user's configuration is (XDG Base Directory Specification); empty: nowhere.
std::string configuration_folder() {
  const char* folder = std::getenv("XDG_CONFIG_HOME");
  if (folder != nullptr && *folder == '/') {  // a relative one is to be ignored
    return folder;
  }
  const char* home = std::getenv("HOME");
  return home != nullptr && *home != '\0' ? std::string(home) + "/.config" : "";
}

}  // namespace

Environment::Environment() : perf_open(system_perf_open), perf_read(system_perf_read) {}

Environment Environment::from_variables() {
  Environment env;
  const auto take = [](const char* variable, std::string& to) {
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0') {
      to = value;
    }
  };
  take("WATTRING_SYSFS", env.sys);
  take("WATTRING_DEV", env.dev);
  take("WATTRING_PROC", env.proc);
  take("WATTRING_NVML_LIBRARY", env.nvml);
  take("WATTRING_SIMULATED", env.simulated);
  if (const std::string folder = configuration_folder(); !folder.empty()) {
    env.calibration = folder + "/wattring/sensors";
  }
  take("WATTRING_CALIBRATION", env.calibration);
  std::string path;
  take("WATTRING_PERF_LIBRARY", path);
  if (!path.empty()) {
    // Never closed: file descriptors that it handed out may outlive this call.
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      throw Error(Errc::invalid, std::string("WATTRING_PERF_LIBRARY: ") + dlerror(),
                  "unset WATTRING_PERF_LIBRARY");
    }
    load_symbol(library, path.c_str(), "wattring_perf_open", env.perf_open);
    load_symbol(library, path.c_str(), "wattring_perf_read", env.perf_read);
  }
  return env;
}

std::optional<std::string> read_text(const std::string& path) {
  const File file = File::open_readonly(path);
  if (!file) {
    return std::nullopt;
  }
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = ::read(file.fd(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return std::nullopt;
    }
    if (n == 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  if (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

std::optional<std::uint64_t> parse_number(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

std::uint64_t read_number(const std::string& path) {
  const std::optional<std::string> text = read_text(path);
  if (!text) {
    const int error_number = errno;
    throw Error(errc_of_errno(error_number), path + ": " + errno_text(error_number));
  }
  const std::optional<std::uint64_t> number = parse_number(*text);
  if (!number) {
    std::string shown = text->substr(0, 40);
    std::replace_if(shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    throw Error(Errc::unsupported, path + " holds no number: '" + shown + "'");
  }
  return *number;
}

void require_permission(const std::string& path) {
  const File file = File::open_readonly(path);
  const int error_number = errno;
  if (!file && errc_of_errno(error_number) == Errc::denied) {
    throw Error(Errc::denied, path + ": " + errno_text(error_number),
                "a container's security profile may hide it: measure outside, or let it through");
  }
}

std::vector<std::string> list_directory(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) {
    return names;
  }
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') {
      names.emplace_back(entry->d_name);
    }
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<int> parse_cpu_list(const std::string& text) {
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int first = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc()) {
      break;
    }
    int last = first;
    if (parsed.ptr < end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
      if (parsed.ec != std::errc()) {
        break;
      }
    }
    for (int cpu = first; cpu <= last; ++cpu) {
      cpus.push_back(cpu);
    }
    at = parsed.ptr;
    if (at < end && *at == ',') {
      ++at;
    } else {
      break;
    }
  }
  return cpus;
}

File::~File() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

File File::open_readonly(const std::string& path) noexcept {
  return File(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace wattring
