// SPDX-License-Identifier: Apache-2.0
#include "refresh.hpp"

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "session.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace wattring::python {
namespace {

const char* name_of(Evidence evidence) {
  switch (evidence) {
    case Evidence::enough:
      return "enough";
    case Evidence::few_changes:
      return "few_changes";
    case Evidence::idle:
      return "idle";
    case Evidence::slow_polls:
      return "slow_polls";
    case Evidence::unsteady:
      break;
  }
  return "unsteady";
}

std::vector<ObservedRefresh> refresh_of(const Session& session, std::size_t source) {
  session.require_own_process();
  const Sampler& sampler = *session.samplers().at(source);
  return without_gil([&] { return observe_refresh(sampler.ring(), sampler.channels()); });
}

}  // namespace

void register_refresh(py::module_& module) {
  py::class_<ObservedRefresh>(module, "ObservedRefresh",
                              "What rows show of a channel's refresh: period_ns (0: unknown) and "
                              "the evidence for it, changes, and how long it was stale.")
      .def_readonly("period_ns", &ObservedRefresh::period_ns)
      .def_property_readonly("evidence",
                             [](const ObservedRefresh& found) { return name_of(found.evidence); })
      .def_readonly("changes", &ObservedRefresh::changes)
      .def_readonly("observed_ns", &ObservedRefresh::observed_ns)
      .def_property_readonly("stale_ns",
                             [](const ObservedRefresh& found) { return found.staleness.ns; })
      .def_property_readonly("stale_times",
                             [](const ObservedRefresh& found) { return found.staleness.times; })
      .def_property_readonly("stale",
                             [](const ObservedRefresh& found) { return found.staleness.now; });
  module.def("refresh", &refresh_of, py::arg("session"), py::arg("source"));
}

}  // namespace wattring::python
