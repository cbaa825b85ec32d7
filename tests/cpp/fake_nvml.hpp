// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

// The NVIDIA driver's library on a fake machine: tests/fakes/fake_nvml.c, which says what all of
// this means, built as a shared library. The tests are linked to it and so share its GPUs with
// whoever opens the file.
namespace wattring::fake_nvml {

// The library, and those of older drivers: of functions' first versions alone, without the energy.
std::string library();
std::string library_of_old_names();
std::string library_without_energy();

// For whoever initialises a library from now on.
void configure(const std::string& gpus, const std::string& failures = "");

// At once.
void set(int gpu, unsigned long long millijoules);
void fail(const std::string& failures);

int users();
int energy_calls();

}  // namespace wattring::fake_nvml
