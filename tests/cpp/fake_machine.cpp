// SPDX-License-Identifier: Apache-2.0
#include "fake_machine.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace wattring {

namespace fs = std::filesystem;

FakeMachine::FakeMachine(const std::string& vendor, int family, int model) {
  std::string path = (fs::temp_directory_path() / "wattring-XXXXXX").string();
  root_ = mkdtemp(path.data());
  // Open to all, so that a test of permissions meets those of the file it is about.
  fs::permissions(root_, fs::perms{0755});
  write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: " + vendor +
                            "\ncpu family\t: " + std::to_string(family) +
                            "\nmodel\t\t: " + std::to_string(model) + "\nmodel name\t: Fake\n");
  fs::create_directories(root_ / "sys");
  fs::create_directories(root_ / "dev");
  fake_perf::reset();
  fake_nvml::configure("");
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

void FakeMachine::two_packages() {
  for (int id = 0; id < 4; ++id) {
    cpu(id, id / 2, 0, id % 2);
  }
}

void FakeMachine::two_dies() {
  for (int id = 0; id < 4; ++id) {
    cpu(id, 0, id / 2, id);
  }
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
  // In place and in one system call: a reader holds the file open, as it holds a sysfs attribute
  // open, and must never see half a number. What a longer number leaves behind comes after the
  // newline.
  const std::string line = text + '\n';
  const int fd = ::open(path("sys/class/powercap/" + directory + "/energy_uj").c_str(), O_WRONLY);
  if (pwrite(fd, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    std::abort();
  }
  close(fd);
}

void FakeMachine::perf_pmu(const std::string& cpumask) const {
  write("sys/bus/event_source/devices/power/type", std::to_string(fake_perf::type));
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
    truncate(name);
  }
  fs::remove_all(root_ / name);
}

void FakeMachine::truncate(const std::string& name) const { fs::resize_file(root_ / name, 0); }

Environment FakeMachine::environment() const {
  Environment env;
  env.sys = path("sys");
  env.dev = path("dev");
  env.proc = path("proc");
  env.nvml = nvml_.empty() ? path("libnvidia-ml.so.1") : nvml_;
  env.perf_open = fake_perf::open;
  env.perf_read = fake_perf::read;
  return env;
}

}  // namespace wattring
