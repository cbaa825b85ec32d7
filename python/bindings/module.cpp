// SPDX-License-Identifier: Apache-2.0
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "clock.hpp"
#include "wattring/version.h"

namespace py = pybind11;

namespace {

constexpr const char* elsewhere =
    "wattring cannot be used in a sub-interpreter - use it in the main one, or in a process of its "
    "own";

bool is_main_interpreter() { return PyInterpreterState_Get() == PyInterpreterState_Main(); }

}  // namespace

PYBIND11_MODULE(_core_of_main, module, py::mod_gil_not_used()) {
  if (!is_main_interpreter()) {
    throw py::import_error(elsewhere);
  }
  module.doc() = "The native core of wattring. Use the package `wattring`, not this module.";
  module.attr("__version__") = WATTRING_VERSION;
  module.def("now_ns", &wattring::now_ns, "CLOCK_MONOTONIC in nanoseconds.");
  wattring::python::register_errors();
  wattring::python::register_session(module);
  wattring::python::register_refresh(module);
  wattring::python::register_window(module);
  wattring::python::register_timeline(module);
}

// Before Python 3.12 pybind11's own part of this would wait for ever for a GIL that its thread
// holds.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  if (!is_main_interpreter()) {
    PyErr_SetString(PyExc_ImportError, elsewhere);
    return nullptr;
  }
  return PyInit__core_of_main();
}
