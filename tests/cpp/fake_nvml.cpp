// SPDX-License-Identifier: Apache-2.0
#include "fake_nvml.hpp"

#include <cstdlib>

extern "C" {
void fake_nvml_set(int gpu, unsigned long long mj);
long long fake_nvml_power(int gpu, double watts);
double fake_nvml_true_mj(int gpu, long long t_ns);
void fake_nvml_fail(const char* failures);
int fake_nvml_calls(const char* function);
long long fake_nvml_busy_ns();
int fake_nvml_users();
}

namespace wattring::fake_nvml {

std::string library() { return FAKE_NVML; }
std::string library_of_old_names() { return FAKE_NVML_OLD_NAMES; }
std::string library_without_energy() { return FAKE_NVML_NO_ENERGY; }
std::string library_without_fields() { return FAKE_NVML_NO_FIELDS; }

void configure(const std::string& gpus, const std::string& failures, const std::string& sensor) {
  setenv("FAKE_NVML", gpus.c_str(), 1);
  setenv("FAKE_NVML_FAIL", failures.c_str(), 1);
  setenv("FAKE_NVML_SENSOR", sensor.c_str(), 1);
}

void set(int gpu, unsigned long long millijoules) { fake_nvml_set(gpu, millijoules); }
std::int64_t power(int gpu, double watts) { return fake_nvml_power(gpu, watts); }
double true_mj(int gpu, std::int64_t t_ns) { return fake_nvml_true_mj(gpu, t_ns); }
void fail(const std::string& failures) { fake_nvml_fail(failures.c_str()); }

int users() { return fake_nvml_users(); }
int calls(const std::string& function) { return fake_nvml_calls(function.c_str()); }
int energy_calls() { return calls("nvmlDeviceGetTotalEnergyConsumption"); }
std::int64_t busy_ns() { return fake_nvml_busy_ns(); }

}  // namespace wattring::fake_nvml
