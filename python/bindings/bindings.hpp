// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/pybind11.h>

#include "error.hpp"

namespace wattring::python {

// Maps Error to the classes of wattring.errors.
void register_errors();
// Sets it as Python's current exception.
void raise(const Error& error);
// Environment, Channel, Skipped, Session and the functions beside them.
void register_session(pybind11::module_& module);
// ObservedRefresh, and the function that finds them.
void register_refresh(pybind11::module_& module);
void register_window(pybind11::module_& module);
void register_timeline(pybind11::module_& module);

}  // namespace wattring::python
