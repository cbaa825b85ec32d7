// SPDX-License-Identifier: Apache-2.0
#include "session.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>

#include "bindings.hpp"
#include "rows.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace wattring::python {
namespace {

// (by whose word, {UUID: note}), as VisibleGpus.
using VisibleGpusArgument = std::pair<std::string, std::map<std::string, std::string>>;

const Sampler& sampler_at(const Session& session, std::size_t source) {
  session.require_own_process();
  return *session.samplers().at(source);
}

std::span<std::uint64_t> words_of(py::array& array) {
  return {static_cast<std::uint64_t*>(array.mutable_data()),
          static_cast<std::size_t>(array.nbytes()) / sizeof(std::uint64_t)};
}

// Rows from `cursor` on as a copy: (array, next cursor, rows lost).
py::tuple read_rows(const Session& session, std::size_t source, std::uint64_t cursor,
                    const py::dtype& dtype) {
  const Ring& ring = sampler_at(session, source).ring();
  const std::uint64_t from = std::max(cursor, ring.oldest());
  const std::uint64_t head = ring.head();
  py::array rows(dtype, static_cast<py::ssize_t>(head > from ? head - from : 0));
  const std::span<std::uint64_t> words = words_of(rows);
  // Nothing that owns a Python object stands on the stack where the thread may be ended.
  const py::handle held = rows.release();
  const Ring::Copied copied = without_gil([&] { return ring.read(cursor, words); });
  auto kept = py::reinterpret_steal<py::object>(held);
  if (copied.rows * ring.words_per_row() < words.size()) {
    kept = kept[py::slice(0, static_cast<py::ssize_t>(copied.rows), 1)];
  }
  return py::make_tuple(kept, cursor, copied.lost);
}

// The live rows themselves, read-only; `session` is the array's base.
py::array view_rows(const py::object& session, std::size_t source, const py::dtype& dtype) {
  const Ring& ring = sampler_at(session.cast<const Session&>(), source).ring();
  const std::uint64_t head = ring.head();
  const std::uint64_t oldest = ring.oldest();
  py::array rows(dtype, {static_cast<py::ssize_t>(head - oldest)}, {}, ring.address(oldest),
                 session);
  rows.attr("flags").attr("writeable") = false;
  return rows;
}

py::object dict_of(const std::optional<Adaptive::Stats>& stats) {
  if (!stats) {
    return py::none();
  }
  constexpr std::array states{"learning", "following", "fixed"};
  constexpr std::array reasons{
      "",
      "no counter says how often it publishes",
      "no counter moves often enough to tell its updates",
      "the updates keep to no beat",
      "this machine wakes the sampling thread too late",
  };
  const auto per = [](std::uint64_t n, std::uint64_t of) {
    return of == 0 ? 0.0 : static_cast<double>(n) / static_cast<double>(of);
  };
  py::dict d;
  d["state"] = states.at(static_cast<std::size_t>(stats->state));
  d["reason"] = reasons.at(static_cast<std::size_t>(stats->reason));
  d["updates"] = stats->due;
  d["seen_share"] = std::min(1.0, per(stats->seen, stats->due));
  d["reads_per_update"] = per(stats->reads, stats->due);
  return d;
}

py::dict stats_of(Session& session, std::size_t source) {
  const Sampler& sampler = sampler_at(session, source);
  const SamplerStats stats = sampler.stats();
  const auto quantiles = [](const std::array<double, 5>& ns) {
    py::dict d;
    d["p50"] = ns[0];
    d["p90"] = ns[1];
    d["p99"] = ns[2];
    d["p99.9"] = ns[3];
    d["max"] = ns[4];
    return d;
  };
  py::dict d;
  d["period_ns"] = sampler.period_ns();
  d["auto"] = dict_of(stats.adaptive);
  d["samples"] = stats.samples;
  d["spared"] = stats.spared;
  d["read_s"] = stats.read_s;
  d["missed"] = stats.missed;
  d["retries"] = stats.retries;
  d["failed"] = stats.failed;
  d["last_errno"] = stats.last_errno;
  d["running"] = stats.running;
  d["gone"] = stats.gone;
  d["ambiguous"] = stats.ambiguous;
  d["resets"] = stats.resets;
  d["lateness_ns"] = quantiles(stats.lateness_ns);
  d["read_ns"] = quantiles(stats.read_ns);
  d["cpu_s"] = stats.cpu_s;
  d["refused"] = stats.refused;
  d["dropped"] = session.windows().dropped();
  return d;
}

// The newest row: (t_end_ns, readings in the unit of their channels, None for one that failed);
// None before the first.
py::object newest_row(const Session& session, std::size_t source) {
  const Sampler& sampler = sampler_at(session, source);
  const Ring& ring = sampler.ring();
  std::vector<std::uint64_t> words(ring.words_per_row());
  for (;;) {
    std::uint64_t cursor = ring.head();
    if (cursor-- == 0) {
      return py::none();
    }
    if (ring.read(cursor, words).rows == 1) {
      break;
    }
  }
  const Rows row(words, ring.words_per_row());
  py::list readings;
  for (std::size_t i = 0; i < sampler.channels().size(); ++i) {
    if ((row.marks(0, i) & row::failed) != 0) {
      readings.append(py::none());
    } else {
      readings.append(static_cast<double>(row.reading(0, i)) * sampler.channels()[i].scale);
    }
  }
  return py::make_tuple(row.t_end(0), readings);
}

py::dict dict_of(const Bounded& energy) {
  py::dict d;
  d["lower_j"] = energy.lower_j;
  d["energy_j"] = energy.value_j;
  d["upper_j"] = energy.upper_j;
  return d;
}

py::dict dict_of(const LedgerEntry& entry) {
  py::list channels;
  for (std::size_t i = 0; i < entry.channels.size(); ++i) {
    const ChannelTotals& totals = entry.channels[i];
    py::dict d;
    d["inclusive"] = dict_of(entry.inclusive(i));
    d["exclusive"] = dict_of(entry.exclusive(i));
    d["summed_j"] = totals.summed_j.get();
    d["min_j"] = totals.min_j;
    d["max_j"] = totals.max_j;
    d["unbounded"] = totals.unbounded;
    d["still"] = totals.still;
    d["failed"] = totals.failed;
    d["ambiguous"] = totals.ambiguous;
    d["reset"] = totals.reset;
    channels.append(d);
  }
  py::dict d;
  d["name"] = entry.name;
  d["count"] = entry.count;
  d["overlapped"] = entry.overlapped;
  d["cut_off"] = entry.cut_off;
  d["lost"] = entry.lost;
  d["ns"] = entry.covered.ns;
  d["exclusive_ns"] = entry.exclusive_ns();
  d["summed_ns"] = entry.summed_ns;
  d["min_ns"] = entry.min_ns;
  d["max_ns"] = entry.max_ns;
  d["channels"] = channels;
  return d;
}

py::dict report_of(Session& session) {
  const WindowReport report = without_gil([&] { return session.windows().report(); });
  py::list names;
  for (const LedgerEntry& entry : report.names) {
    names.append(dict_of(entry));
  }
  py::dict d;
  d["names"] = names;
  d["open"] = report.open;
  d["pending"] = report.pending;
  d["dropped"] = report.dropped;
  d["late"] = report.late;
  return d;
}

// ([(name, t_begin_ns, t_end_ns), …], next cursor, windows lost).
py::tuple ended_windows(Session& session, std::uint64_t cursor) {
  std::uint64_t lost = 0;
  const auto ended = without_gil([&] { return session.windows().ended(cursor, lost); });
  py::list found;
  for (const Windows::Ended& window : ended) {
    found.append(py::make_tuple(window.name, window.t_begin_ns, window.t_end_ns));
  }
  return py::make_tuple(found, cursor, lost);
}

// The environment is a copy, here and for a session: another thread may change the original
// meanwhile.
std::pair<std::vector<Channel>, std::vector<Skipped>> probe(Environment env,
                                                            const std::string& name) {
  Selection selection = without_gil([&] { return open_sources(env, {name}); });
  std::vector<Channel> channels;
  for (const OpenedSource& opened : selection.sources) {
    const auto of_source = opened.source->channels();
    channels.insert(channels.end(), of_source.begin(), of_source.end());
  }
  return {std::move(channels), std::move(selection.skipped)};
}

std::vector<std::tuple<std::string, std::string, int>> list_types() {
  std::vector<std::tuple<std::string, std::string, int>> types;
  for (const SourceType* type : source_types()) {
    types.emplace_back(type->name, type->summary, type->preference);
  }
  return types;
}

constexpr std::array kinds{"counter", "gauge", "integral", "variance"};

const char* name_of(Kind kind) { return kinds.at(static_cast<std::size_t>(kind)); }

Kind kind_of(const std::string& name) {
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (name == kinds.at(i)) {
      return static_cast<Kind>(i);
    }
  }
  throw Error(Errc::invalid, "no channel is of kind '" + name + "'");
}

void register_values(py::module_& module) {
  py::class_<Environment>(
      module, "Environment",
      "Where sensors are looked for: roots of /sys, /dev and /proc, the library for "
      "NVIDIA's GPUs and what was measured of their sensors. For tests.")
      .def(py::init<>())
      .def_static("from_variables", &Environment::from_variables)
      .def_readwrite("sys", &Environment::sys)
      .def_readwrite("dev", &Environment::dev)
      .def_readwrite("proc", &Environment::proc)
      .def_readwrite("nvml", &Environment::nvml)
      .def_readwrite("calibration", &Environment::calibration)
      .def_readwrite("simulated", &Environment::simulated);
  py::class_<Channel>(
      module, "Channel",
      "One column of a source: name, device (whose energy it is), kind, scale (units "
      "per tick), unit, refresh_ns, averaging_ns (what it publishes is the mean over that "
      "time), wrap_s at max_power_w, parent (the channel that already contains this energy), "
      "note (what the sensor adds to the bounds).\n\n"
      "kind: counter (cumulative energy), gauge (a momentary quantity), integral (cumulative "
      "energy, integrated from a power by the sampler), variance (of the integral before it). "
      "has_energy: the first and the third.")
      .def(py::init([](std::string name, std::string device, std::string note, std::string parent,
                       const std::string& kind, std::string unit, double scale,
                       std::uint64_t modulus, std::uint64_t quantum, std::int64_t refresh_ns,
                       std::int64_t averaging_ns, double max_power_w) {
             return Channel{std::move(name), std::move(device), std::move(note), std::move(parent),
                            kind_of(kind),   std::move(unit),   scale,           modulus,
                            quantum,         refresh_ns,        averaging_ns,    max_power_w};
           }),
           py::kw_only(), py::arg("name"), py::arg("device"), py::arg("note"), py::arg("parent"),
           py::arg("kind"), py::arg("unit"), py::arg("scale"), py::arg("modulus"),
           py::arg("quantum"), py::arg("refresh_ns"), py::arg("averaging_ns"),
           py::arg("max_power_w"))
      .def_readonly("name", &Channel::name)
      .def_readonly("device", &Channel::device)
      .def_readonly("note", &Channel::note)
      .def_readonly("parent", &Channel::parent)
      .def_property_readonly("kind", [](const Channel& c) { return name_of(c.kind); })
      .def_readonly("unit", &Channel::unit)
      .def_readonly("scale", &Channel::scale)
      .def_readonly("modulus", &Channel::modulus)
      .def_readonly("quantum", &Channel::quantum)
      .def_readonly("refresh_ns", &Channel::refresh_ns)
      .def_readonly("averaging_ns", &Channel::averaging_ns)
      .def_readonly("max_power_w", &Channel::max_power_w)
      .def_property_readonly("has_energy", &Channel::has_energy)
      .def_property_readonly("wrap_s", &Channel::wrap_s);
  py::class_<Skipped>(module, "Skipped",
                      "Something that was not taken: source, channel (empty: the whole source), "
                      "code, reason, remedy.")
      .def(py::init([](std::string source, std::string channel, std::string code,
                       std::string reason, std::string remedy) {
             return Skipped{std::move(source), std::move(channel), std::move(code),
                            std::move(reason), std::move(remedy)};
           }),
           py::kw_only(), py::arg("source"), py::arg("channel"), py::arg("code"), py::arg("reason"),
           py::arg("remedy"))
      .def_readonly("source", &Skipped::source)
      .def_readonly("channel", &Skipped::channel)
      .def_readonly("code", &Skipped::code)
      .def_readonly("reason", &Skipped::reason)
      .def_readonly("remedy", &Skipped::remedy);
  py::class_<Mark>(module, "Mark",
                   "A settled time stamp: t_ns, and where every counter stood then.")
      .def_readonly("t_ns", &Mark::t_ns);
  py::class_<ChannelEnergy>(module, "ChannelEnergy",
                            "Energy of one counter between two marks, with bounds, in joules.")
      .def_readonly("lower_j", &ChannelEnergy::lower_j)
      .def_readonly("value_j", &ChannelEnergy::value_j)
      .def_readonly("upper_j", &ChannelEnergy::upper_j)
      .def_readonly("still", &ChannelEnergy::still)
      .def_readonly("failed", &ChannelEnergy::failed)
      .def_readonly("ambiguous", &ChannelEnergy::ambiguous)
      .def_readonly("reset", &ChannelEnergy::reset)
      .def_readonly("gap", &ChannelEnergy::gap)
      .def_readonly("lost", &ChannelEnergy::lost);
}

}  // namespace

void register_session(py::module_& module) {
  register_values(module);
  module.def("source_types", &list_types);
  module.def("probe", &probe, py::arg("env"), py::arg("source"));
  py::class_<Session>(module, "Session", py::is_final(), "The native part of wattring.Session.")
      .def(py::init([](Environment env, const std::vector<std::string>& sources,
                       std::optional<std::int64_t> period_ns, std::size_t rows, int cpu,
                       int priority, std::int64_t spin_ns, double budget,
                       std::optional<VisibleGpusArgument> visible_gpus,
                       std::vector<std::string> gpu_gauges) {
             env.gpu_gauges = std::move(gpu_gauges);
             if (visible_gpus) {
               env.visible_gpus = {std::move(visible_gpus->first), std::move(visible_gpus->second)};
             }
             SamplerOptions options{.rows = rows,
                                    .cpu = cpu,
                                    .priority = priority,
                                    .adaptive = !period_ns,
                                    .spin_ns = spin_ns,
                                    .budget = budget};
             options.period_ns = period_ns.value_or(options.period_ns);
             return without_gil([&] { return std::make_unique<Session>(env, sources, options); });
           }),
           py::arg("env"), py::arg("sources"), py::arg("period_ns"), py::arg("rows"),
           py::arg("cpu"), py::arg("priority"), py::arg("spin_ns"), py::arg("budget"),
           py::arg("visible_gpus"), py::arg("gpu_gauges"))
      .def("start", [](Session& session) { without_gil([&] { session.start(); }); })
      .def("stop", [](Session& session) { without_gil([&] { session.stop(); }); })
      .def_property_readonly("running", &Session::running)
      .def_property_readonly("skipped", &Session::skipped)
      .def("names",
           [](const Session& session) {
             std::vector<std::string> names;
             for (const auto& sampler : session.samplers()) {
               names.push_back(sampler->name());
             }
             return names;
           })
      .def("channels",
           [](const Session& session, std::size_t source) {
             const auto channels = session.samplers().at(source)->channels();
             return std::vector<Channel>(channels.begin(), channels.end());
           })
      .def("capacity",
           [](const Session& session, std::size_t source) {
             return session.samplers().at(source)->ring().rows();
           })
      .def("stats", &stats_of)
      .def("newest_row", &newest_row)
      .def("report", &report_of)
      .def("ended_windows", &ended_windows, py::arg("cursor"))
      .def(
          "mark",
          [](const Session& session, std::int64_t t_ns) {
            return without_gil([&] { return session.mark(t_ns); });
          },
          py::arg("t_ns"))
      .def(
          "between",
          [](const Session& session, const Mark& begin, const Mark& end) {
            return without_gil([&] { return session.between(begin, end); });
          },
          py::arg("begin"), py::arg("end"))
      .def("read_rows", &read_rows, py::arg("source"), py::arg("cursor"), py::arg("dtype"))
      .def("view_rows", &view_rows, py::arg("source"), py::arg("dtype"));
}

}  // namespace wattring::python
