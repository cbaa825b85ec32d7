// SPDX-License-Identifier: Apache-2.0
#include "fake_nvml.hpp"

#include <cstdlib>

extern "C" {
void fake_nvml_set(int gpu, unsigned long long mj);
void fake_nvml_fail(const char* failures);
int fake_nvml_energy_calls();
int fake_nvml_users();
}

namespace wattring::fake_nvml {

std::string library() { return FAKE_NVML; }
std::string library_of_old_names() { return FAKE_NVML_OLD_NAMES; }
std::string library_without_energy() { return FAKE_NVML_NO_ENERGY; }

void configure(const std::string& gpus, const std::string& failures) {
  setenv("FAKE_NVML", gpus.c_str(), 1);
  setenv("FAKE_NVML_FAIL", failures.c_str(), 1);
}

void set(int gpu, unsigned long long millijoules) { fake_nvml_set(gpu, millijoules); }
void fail(const std::string& failures) { fake_nvml_fail(failures.c_str()); }

int users() { return fake_nvml_users(); }
int energy_calls() { return fake_nvml_energy_calls(); }

}  // namespace wattring::fake_nvml
