// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

// The NVIDIA driver's library on a fake machine: tests/fakes/fake_nvml.c, which says what all of
// this means, built as a shared library. The tests are linked to it and so share its GPUs with
// whoever opens the file.
namespace wattring::fake_nvml {

// The library, and those of older drivers: of functions' first versions alone, without the energy,
// without field values.
std::string library();
std::string library_of_old_names();
std::string library_without_energy();
std::string library_without_fields();

// For whoever initialises a library from now on; an empty sensor is "hopper".
void configure(const std::string& gpus, const std::string& failures = "",
               const std::string& sensor = "");

// At once.
void set(int gpu, unsigned long long millijoules);
std::int64_t power(int gpu, double watts);  // Of a GPU "steps"; returns now.
void fail(const std::string& failures);

// The energy that a GPU has used until a time; what a sensor says of it comes later.
double true_mj(int gpu, std::int64_t t_ns);

int users();
int calls(const std::string& function);  // Its newest version stands for all.
int energy_calls();
std::int64_t busy_ns();  // What calls about GPUs took, all threads together.

}  // namespace wattring::fake_nvml
