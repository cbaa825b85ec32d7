// SPDX-License-Identifier: Apache-2.0
#include "fake_machine.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace wattring {

namespace fs = std::filesystem;

FakeMachine::FakeMachine(const std::string& vendor, int family, int model) {
  std::string path = (fs::temp_directory_path() / "wattring-XXXXXX").string();
  root_ = mkdtemp(path.data());
  write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: " + vendor +
                            "\ncpu family\t: " + std::to_string(family) +
                            "\nmodel\t\t: " + std::to_string(model) + "\nmodel name\t: Fake\n");
  fs::create_directories(root_ / "sys");
  fs::create_directories(root_ / "dev");
  fake_perf::reset();
}

FakeMachine::~FakeMachine() { fs::remove_all(root_); }

void FakeMachine::cpu(int id, int package, int die, int core) {
  const std::string base = "sys/devices/system/cpu/";
  const std::string topology = base + "cpu" + std::to_string(id) + "/topology/";
  write(topology + "physical_package_id", std::to_string(package));
  write(topology + "die_id", std::to_string(die));
  write(topology + "core_id", std::to_string(core));
  cpus_ += (cpus_.empty() ? "" : ",") + std::to_string(id);
  write(base + "online", cpus_);
}

void FakeMachine::write(const std::string& name, const std::string& text) const {
  fs::create_directories((root_ / name).parent_path());
  std::ofstream(root_ / name) << text << '\n';
}

void FakeMachine::msr(int cpu, std::uint64_t address, std::uint64_t value) const {
  const fs::path path = root_ / "dev/cpu" / std::to_string(cpu) / "msr";
  fs::create_directories(path.parent_path());
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
  if (pwrite(fd, &value, sizeof value, static_cast<off_t>(address)) != sizeof value) {
    std::abort();
  }
  close(fd);
}

void FakeMachine::zone(const std::string& directory, const std::string& name,
                       std::uint64_t energy_uj, const std::string& range_uj) const {
  const std::string base = "sys/class/powercap/" + directory;
  write(base + "/name", name);
  write(base + "/energy_uj", std::to_string(energy_uj));
  if (!range_uj.empty()) {
    write(base + "/max_energy_range_uj", range_uj);
  }
}

void FakeMachine::set_energy_uj(const std::string& directory, const std::string& text) const {
  // In place: a reader holds the file open, as it holds a sysfs attribute open.
  std::fstream file(root_ / "sys/class/powercap" / directory / "energy_uj");
  file << text << '\n';
}

void FakeMachine::perf_pmu(const std::string& cpumask) const {
  write("sys/bus/event_source/devices/power/type", "23");
  write("sys/bus/event_source/devices/power/cpumask", cpumask);
}

void FakeMachine::perf_event(const std::string& name, int config) const {
  const std::string base = "sys/bus/event_source/devices/power/events/" + name;
  write(base, "event=0x0" + std::to_string(config));
  write(base + ".unit", "Joules");
  write(base + ".scale", "2.3283064365386962890625e-10");
}

void FakeMachine::remove(const std::string& name) const {
  if (fs::is_regular_file(root_ / name)) {
    fs::resize_file(root_ / name, 0);
  }
  fs::remove_all(root_ / name);
}

Environment FakeMachine::environment() const {
  Environment env;
  env.sys = (root_ / "sys").string();
  env.dev = (root_ / "dev").string();
  env.proc = (root_ / "proc").string();
  env.perf_open = fake_perf::open;
  env.perf_read = fake_perf::read;
  return env;
}

namespace fake_perf {
namespace {
struct Event {
  int cpu;
  std::uint64_t config;
};
std::map<std::pair<int, std::uint64_t>, std::uint64_t> values;
std::map<std::uint64_t, int> refused;
std::map<int, std::vector<Event>> groups;  // by the leader's descriptor
int read_error = 0;
int open_count = 0;
}  // namespace

void reset() {
  values.clear();
  refused.clear();
  groups.clear();
  read_error = 0;
  open_count = 0;
}
void set(int cpu, std::uint64_t config, std::uint64_t value) { values[{cpu, config}] = value; }
void refuse(std::uint64_t config, int error_number) { refused[config] = error_number; }
void fail_reads(int error_number) { read_error = error_number; }
int opened() { return open_count; }

int open(perf_event_attr* attr, pid_t pid, int cpu, int group_fd, unsigned long) {
  // What the kernel's PMU insists on.
  if (attr->type != 23 || pid != -1 || attr->sample_period != 0 || attr->exclude_kernel != 0) {
    errno = EINVAL;
    return -1;
  }
  if (refused[attr->config] != 0) {
    errno = refused[attr->config];
    return -1;
  }
  ++open_count;
  const int fd = eventfd(0, 0);
  groups[group_fd < 0 ? fd : group_fd].push_back({cpu, attr->config});
  return fd;
}

ssize_t read(int fd, void* to, std::size_t bytes) {
  if (read_error != 0) {
    errno = read_error;
    return read_error == -1 ? 0 : -1;
  }
  const std::vector<Event>& events = groups.at(fd);
  const std::size_t size = (1 + events.size()) * sizeof(std::uint64_t);
  if (bytes < size) {
    errno = ENOSPC;
    return -1;
  }
  auto* words = static_cast<std::uint64_t*>(to);
  words[0] = events.size();
  for (std::size_t i = 0; i < events.size(); ++i) {
    words[1 + i] = values[{events[i].cpu, events[i].config}];
  }
  return static_cast<ssize_t>(size);
}

}  // namespace fake_perf
}  // namespace wattring
