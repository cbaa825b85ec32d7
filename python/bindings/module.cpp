// SPDX-License-Identifier: Apache-2.0
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "clock.hpp"
#include "wattring/version.h"

namespace py = pybind11;

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
  module.doc() = "The native core of wattring. Use the package `wattring`, not this module.";
  module.attr("__version__") = WATTRING_VERSION;
  module.def("now_ns", &wattring::now_ns, "CLOCK_MONOTONIC in nanoseconds.");
  wattring::python::register_errors();
  wattring::python::register_session(module);
  wattring::python::register_refresh(module);
  wattring::python::register_window(module);
  wattring::python::register_timeline(module);
}
