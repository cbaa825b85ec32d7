// SPDX-License-Identifier: Apache-2.0
#include "fake_perf.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "clock.hpp"

namespace wattring::fake_perf {
namespace {

struct Event {
  int cpu;
  std::uint64_t config;
  std::uint64_t at_opening;
};

struct State {
  std::map<std::pair<int, std::uint64_t>, std::uint64_t> counters;  // by CPU and config
  std::map<int, int> mirrors;
  std::map<int, std::uint64_t> drifts;
  std::map<std::uint64_t, int> refused;
  std::map<int, std::vector<Event>> groups;  // by the leader's descriptor
  int read_error = 0;
  std::int64_t slow_ns = 0;
  int open_count = 0;
};

std::mutex mutex;
State state;

// Allocates nothing: reads must not, and one that did would hide in here.
std::uint64_t counter(int cpu, std::uint64_t config) {
  const auto mirrored = state.mirrors.find(cpu);
  const auto at =
      state.counters.find({mirrored == state.mirrors.end() ? cpu : mirrored->second, config});
  return at == state.counters.end() ? 0 : at->second;
}

}  // namespace

void reset() {
  const std::lock_guard lock(mutex);
  state = {};
}

void set(int cpu, std::uint64_t config, std::uint64_t value) {
  const std::lock_guard lock(mutex);
  state.counters[{cpu, config}] = value;
}

void mirror(int cpu, int that) {
  const std::lock_guard lock(mutex);
  state.mirrors[cpu] = that;
}

void drift(int cpu, std::uint64_t step) {
  const std::lock_guard lock(mutex);
  state.drifts[cpu] = step;
}

void refuse(std::uint64_t config, int error_number) {
  const std::lock_guard lock(mutex);
  state.refused[config] = error_number;
}

void fail_reads(int error_number) {
  const std::lock_guard lock(mutex);
  state.read_error = error_number;
}

void slow_reads(std::int64_t duration_ns) {
  const std::lock_guard lock(mutex);
  state.slow_ns = duration_ns;
}

int opened() {
  const std::lock_guard lock(mutex);
  return state.open_count;
}

int open(perf_event_attr* attr, pid_t pid, int cpu, int group_fd, unsigned long flags) {
  const std::lock_guard lock(mutex);
  // What the kernel's PMU insists on, and close-on-exec besides.
  if (attr->type != type || attr->size != sizeof *attr || pid != -1 || cpu < 0 ||
      attr->sample_period != 0 || attr->exclude_kernel != 0 || attr->exclude_user != 0 ||
      attr->config == 0 || attr->config > 0xFF || flags != PERF_FLAG_FD_CLOEXEC ||
      attr->read_format != PERF_FORMAT_GROUP) {
    errno = EINVAL;
    return -1;
  }
  if (const auto at = state.refused.find(attr->config);
      at != state.refused.end() && at->second != 0) {
    errno = at->second;
    return -1;
  }
  if (group_fd >= 0 && state.groups.at(group_fd).front().cpu != cpu) {
    errno = EINVAL;
    return -1;
  }
  ++state.open_count;
  const int fd = eventfd(0, EFD_CLOEXEC);
  std::vector<Event>& group = state.groups[group_fd < 0 ? fd : group_fd];
  if (group_fd < 0) {
    group.clear();  // the number of a descriptor that was closed
  }
  group.push_back({cpu, attr->config, counter(cpu, attr->config)});
  return fd;
}

ssize_t read(int fd, void* to, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  if (state.slow_ns > 0) {
    sleep_for(state.slow_ns);
  }
  if (state.read_error != 0) {
    errno = state.read_error;
    return state.read_error == end_of_file ? 0 : -1;
  }
  for (auto& [key, value] : state.counters) {
    const auto drift = state.drifts.find(key.first);
    value += drift == state.drifts.end() ? 0 : drift->second;
  }
  const std::vector<Event>& events = state.groups.at(fd);
  const std::size_t size = (1 + events.size()) * sizeof(std::uint64_t);
  if (bytes < size) {
    errno = ENOSPC;
    return -1;
  }
  auto* words = static_cast<std::uint64_t*>(to);
  words[0] = events.size();
  for (std::size_t i = 0; i < events.size(); ++i) {
    words[1 + i] = counter(events[i].cpu, events[i].config) - events[i].at_opening;
  }
  return static_cast<ssize_t>(size);
}

}  // namespace wattring::fake_perf
