// SPDX-License-Identifier: Apache-2.0
#include "bindings.hpp"

namespace py = pybind11;

namespace wattring::python {

void raise(const Error& error) {
  // The classes live in Python, where people catch, document and subclass them.
  const py::object classes = py::module_::import("wattring.errors").attr("by_code");
  const py::object type = classes[py::str(name_of(error.code()))];
  const py::object exception = type(error.what(), error.remedy());
  PyErr_SetObject(type.ptr(), exception.ptr());
}

void register_errors() {
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) {
        std::rethrow_exception(pointer);
      }
    } catch (const Error& error) {
      raise(error);
    }
  });
}

}  // namespace wattring::python
