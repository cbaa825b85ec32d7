// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "environment.hpp"

namespace wattring {

struct Cpu {
  int id = 0;
  int package = 0;
  int die = 0;
  int core = 0;
};

// The processor as /proc/cpuinfo and the topology directories describe it.
struct Machine {
  std::string vendor;  // "GenuineIntel", "AuthenticAMD", "HygonGenuine"
  std::string model_name;
  int family = 0;
  int model = 0;
  std::vector<Cpu> cpus;  // online ones, by id

  static Machine read(const Environment& env);

  bool intel() const { return vendor == "GenuineIntel"; }
  bool amd() const { return vendor == "AuthenticAMD" || vendor == "HygonGenuine"; }
  const Cpu* find(int cpu) const;
  bool several_dies(int package) const;
};

}  // namespace wattring
