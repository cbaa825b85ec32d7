// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "environment.hpp"

// A machine of two packages with three registers each, in plain files: what a read costs here is
// the system call, without the hardware behind it.
namespace wattring::bench {

inline constexpr std::array<off_t, 3> registers{0x611, 0x639, 0x619};
inline constexpr std::size_t channels = 6;

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text << '\n';
}

inline Environment environment_at(const std::filesystem::path& root) {
  Environment env;
  env.sys = (root / "sys").string();
  env.dev = (root / "dev").string();
  env.proc = (root / "proc").string();
  return env;
}

// Another, of as many powercap zones.
inline std::filesystem::path zone(const std::filesystem::path& root, std::size_t i) {
  return root / "sys/class/powercap" / ("intel-rapl:" + std::to_string(i));
}

inline Environment make_zones(const std::filesystem::path& root, std::size_t count) {
  write_text(root / "proc/cpuinfo", "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t: 94");
  for (std::size_t i = 0; i < count; ++i) {
    write_text(zone(root, i) / "name", "package-" + std::to_string(i));
    write_text(zone(root, i) / "energy_uj", "123456789012");
    write_text(zone(root, i) / "max_energy_range_uj", "262143328850");
  }
  return environment_at(root);
}

inline Environment make_machine(const std::filesystem::path& root) {
  write_text(root / "proc/cpuinfo", "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t: 94");
  const std::filesystem::path cpus = root / "sys/devices/system/cpu";
  write_text(cpus / "online", "0-1");
  for (int cpu = 0; cpu < 2; ++cpu) {
    const std::string number = std::to_string(cpu);
    write_text(cpus / ("cpu" + number) / "topology/physical_package_id", number);
    const std::filesystem::path device = root / "dev/cpu" / number / "msr";
    std::filesystem::create_directories(device.parent_path());
    const int fd = open(device.c_str(), O_RDWR | O_CREAT, 0600);
    const auto put = [fd](off_t address, std::uint64_t value) {
      if (pwrite(fd, &value, sizeof value, address) != sizeof value) {
        std::abort();
      }
    };
    put(0x606, 0xA0E03);
    for (const off_t address : registers) {
      put(address, 1000);
    }
    close(fd);
  }
  return environment_at(root);
}

}  // namespace wattring::bench
