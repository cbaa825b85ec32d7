// SPDX-License-Identifier: Apache-2.0
#include "timeline.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>

#include "bindings.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace wattring::python {
namespace {

using Times = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

std::span<const std::int64_t> span_of(const Times& times) {
  return {times.data(), static_cast<std::size_t>(times.size())};
}

// Rows of a structured array.
Rows rows_of(const py::array& rows, const std::vector<Channel>& channels) {
  const std::size_t width = row::first_reading + channels.size();
  const auto bytes = static_cast<std::size_t>(rows.nbytes());
  if (rows.ndim() != 1 || static_cast<std::size_t>(rows.itemsize()) != width * 8 ||
      (rows.size() > 1 && rows.strides(0) != rows.itemsize())) {
    throw Error(Errc::invalid, "these are no samples of such channels",
                "give rows as a session wrote them");
  }
  const std::span<const std::uint64_t> words(static_cast<const std::uint64_t*>(rows.data()),
                                             bytes / 8);
  return {words, width};
}

// The Timeline refers to the array's memory: the caller keeps it.
std::unique_ptr<Timeline> open_rows(const py::array& array, const std::vector<Channel>& channels) {
  const Rows rows = rows_of(array, channels);
  return without_gil([&] { return std::make_unique<Timeline>(rows, channels); });
}

void check_rows(const py::array& array, const std::vector<Channel>& channels) {
  const Rows rows = rows_of(array, channels);
  without_gil([&] { Timeline::check(rows, channels); });
}

// (lower, value, upper), each of shape (channels, windows).
py::tuple between(const Timeline& timeline, const Times& t0_ns, const Times& t1_ns) {
  if (t0_ns.ndim() != 1 || t1_ns.ndim() != 1 || t0_ns.size() != t1_ns.size()) {
    throw Error(Errc::invalid, "begins and ends of windows differ in number",
                "give two arrays of shape (n,)");
  }
  const auto channels = static_cast<py::ssize_t>(timeline.channels().size());
  const auto make = [&] { return py::array_t<double>({channels, t0_ns.size()}); };
  py::array_t<double> lower = make();
  py::array_t<double> value = make();
  py::array_t<double> upper = make();
  const auto all = static_cast<std::size_t>(channels * t0_ns.size());
  const Timeline::Energies to{
      {lower.mutable_data(), all}, {value.mutable_data(), all}, {upper.mutable_data(), all}};
  const std::span<const std::int64_t> begins = span_of(t0_ns);
  const std::span<const std::int64_t> ends = span_of(t1_ns);
  py::tuple found = py::make_tuple(lower, value, upper);
  without_gil([&] { timeline.between(begins, ends, to); });
  return found;
}

// (t_ns, value in ticks, row), each of shape (n,).
py::tuple knots(const Timeline& timeline, std::size_t channel) {
  if (channel >= timeline.channels().size() || !timeline.channels()[channel].has_energy()) {
    throw Error(Errc::invalid, "no counter has this number");
  }
  const std::vector<Knot> found = without_gil([&] { return timeline.knots(channel); });
  const auto n = static_cast<py::ssize_t>(found.size());
  py::array_t<std::int64_t> t_ns(n);
  py::array_t<std::uint64_t> value(n);
  py::array_t<std::int64_t> row(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    const Knot& knot = found[static_cast<std::size_t>(i)];
    t_ns.mutable_at(i) = knot.t_ns;
    value.mutable_at(i) = knot.value;
    row.mutable_at(i) = static_cast<std::int64_t>(knot.row);
  }
  return py::make_tuple(t_ns, value, row);
}

}  // namespace

void register_timeline(py::module_& module) {
  py::class_<Timeline>(module, "Timeline", py::is_final(),
                       "Kept rows of one source, for energies by the million.")
      .def(py::init(&open_rows), py::arg("rows"), py::arg("channels"), py::keep_alive<1, 2>())
      .def_static("check", &check_rows, py::arg("rows"), py::arg("channels"))
      .def("between", &between, py::arg("t0_ns"), py::arg("t1_ns"))
      .def(
          "energy",
          [](const Timeline& timeline, std::int64_t t0_ns, std::int64_t t1_ns) {
            return without_gil([&] { return timeline.energy(t0_ns, t1_ns); });
          },
          py::arg("t0_ns"), py::arg("t1_ns"))
      .def("knots", &knots, py::arg("channel"));
}

}  // namespace wattring::python
