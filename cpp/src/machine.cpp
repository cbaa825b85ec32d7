// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

#include <algorithm>
#include <optional>
#include <sstream>

namespace wattring {
namespace {

// Where there is nothing to number, the kernel publishes -1 or no file at all.
int number_or_zero(const std::optional<std::string>& text) {
  return static_cast<int>(parse_number(text.value_or("")).value_or(0));
}

// "model name\t: Some CPU" → {"model name", "Some CPU"}
std::pair<std::string, std::string> split_line(const std::string& line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos) {
    return {};
  }
  const std::size_t key_end = line.find_last_not_of(" \t", colon - 1);
  const std::size_t value_start = line.find_first_not_of(" \t", colon + 1);
  return {line.substr(0, key_end + 1),
          value_start == std::string::npos ? "" : line.substr(value_start)};
}

}  // namespace

Machine Machine::read(const Environment& env) {
  Machine machine;
  std::istringstream lines(read_text(env.proc + "/cpuinfo").value_or(""));
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    const auto [key, value] = split_line(line);
    if (key == "vendor_id") {
      machine.vendor = value;
    } else if (key == "model name") {
      machine.model_name = value;
    } else if (key == "cpu family") {
      machine.family = number_or_zero(value);
    } else if (key == "model") {
      machine.model = number_or_zero(value);
    }
  }
  const std::string root = env.sys + "/devices/system/cpu";
  for (const int id : parse_cpu_list(read_text(root + "/online").value_or("0"))) {
    const std::string topology = root + "/cpu" + std::to_string(id) + "/topology/";
    machine.cpus.push_back({.id = id,
                            .package = number_or_zero(read_text(topology + "physical_package_id")),
                            .die = number_or_zero(read_text(topology + "die_id")),
                            .core = number_or_zero(read_text(topology + "core_id"))});
  }
  return machine;
}

const Cpu* Machine::find(int cpu) const {
  const auto at =
      std::find_if(cpus.begin(), cpus.end(), [cpu](const Cpu& c) { return c.id == cpu; });
  return at == cpus.end() ? nullptr : &*at;
}

bool Machine::several_dies(int package) const {
  int die = -1;
  for (const Cpu& cpu : cpus) {
    if (cpu.package == package && die != -1 && cpu.die != die) {
      return true;
    }
    if (cpu.package == package) {
      die = cpu.die;
    }
  }
  return false;
}

}  // namespace wattring
