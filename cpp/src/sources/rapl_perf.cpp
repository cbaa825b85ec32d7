// SPDX-License-Identifier: Apache-2.0
// RAPL energy through the kernel's perf `power` PMU: one group of events per package or die, one
// read(2) for all of them.
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "clock.hpp"
#include "error.hpp"
#include "rapl.hpp"
#include "source.hpp"

namespace wattring {
namespace {

using rapl::Domain;

constexpr std::size_t most_events = 8;

struct Event {
  Domain domain;
  std::string name;  // "energy-pkg"
  std::uint64_t config;
  double scale;
};

// The event that counts the package leads its group.
std::vector<Event> find_events(const std::string& root) {
  std::vector<Event> events;
  for (const std::string& name : list_directory(root + "/events")) {
    const auto domain = rapl::domain_of_event(name);
    const std::string text = read_text(root + "/events/" + name).value_or("");
    if (!domain || !text.starts_with("event=")) {
      continue;
    }
    const std::string scale = read_text(root + "/events/" + name + ".scale").value_or("");
    const std::string unit = read_text(root + "/events/" + name + ".unit").value_or("");
    const double joules = std::strtod(scale.c_str(), nullptr);
    if (unit != "Joules" || !(joules > 0)) {
      continue;
    }
    events.push_back({*domain, name, std::strtoull(text.c_str() + 6, nullptr, 16), joules});
  }
  std::stable_partition(events.begin(), events.end(),
                        [](const Event& e) { return e.domain == Domain::package; });
  return events;
}

class RaplPerf final : public Source {
 public:
  explicit RaplPerf(Opening& opening)
      : machine_(Machine::read(opening.env)), perf_read_(opening.env.perf_read) {
    const std::string root = opening.env.sys + "/bus/event_source/devices/power";
    if (!read_text(root + "/type")) {
      require_permission(root + "/type");
      throw Error(Errc::absent, "no perf PMU named power in " + opening.env.sys,
                  "sudo modprobe rapl (a virtual machine has none)");
    }
    type_ = static_cast<std::uint32_t>(read_number(root + "/type"));
    std::vector<Event> events = find_events(root);
    if (machine_.intel() && rapl::psys_counts_joules(machine_)) {
      std::erase_if(events, [](const Event& e) { return e.domain == Domain::psys; });
      opening.skip("psys", "unsupported",
                   "this model's psys counts whole joules and the kernel offers it unprobed");
    }
    if (events.empty()) {
      throw Error(Errc::absent, root + " offers no energy event");
    }
    for (const rapl::Lead& lead : places(root)) {
      add_group(opening, events, lead);
      drop_mirror(opening, lead.place);
    }
    if (channels_.empty() && !found_) {
      throw Error(Errc::absent, "none of the energy events in " + root + " could be opened");
    }
  }

  std::span<const Channel> channels() const noexcept override { return channels_; }

  ReadStatus read(Sweep& sweep) noexcept override {
    std::size_t first = 0;
    for (const Group& group : groups_) {
      const std::size_t n = group.files.size();
      // PERF_FORMAT_GROUP: the number of events, then their values.
      std::array<std::uint64_t, 1 + most_events> words;
      const ssize_t got = perf_read_(group.files.front().fd(), words.data(), sizeof words);
      if (got == static_cast<ssize_t>((1 + n) * sizeof(std::uint64_t)) && words[0] == n) {
        for (std::size_t i = 0; i < n; ++i) {
          sweep.set(first + i, words[1 + i]);
        }
      } else {
        // End of file: the event's CPU is gone (perf_event_open(2)).
        const int error_number = got < 0 ? errno : ENODEV;
        for (std::size_t i = 0; i < n; ++i) {
          sweep.fail(first + i, error_number);
        }
      }
      first += n;
    }
    return sweep.outcome();
  }

 private:
  struct Group {
    rapl::Place place;
    std::vector<File> files;  // the leader first
  };

  // One CPU per counter, from the PMU's cpumask. The kernel accepts an event on every CPU of a
  // package and counts the same joules each time, so a mask with more CPUs than counters (TPMI on
  // newer kernels, AMD on some) must be thinned.
  std::vector<rapl::Lead> places(const std::string& root) const {
    const std::vector<int> mask = parse_cpu_list(read_text(root + "/cpumask").value_or("0"));
    const auto thinned = [this, &mask](bool by_die) {
      std::vector<rapl::Lead> leads;
      for (const int id : mask) {
        const Cpu* cpu = machine_.find(id);
        const int package = cpu != nullptr ? cpu->package : 0;
        const bool die = by_die && cpu != nullptr && machine_.several_dies(package);
        const rapl::Place place{package, die ? cpu->die : -1};
        const auto same = [&place](const rapl::Lead& lead) { return lead.place == place; };
        if (std::none_of(leads.begin(), leads.end(), same)) {
          leads.push_back({place, id});
        }
      }
      return leads;
    };
    const std::vector<rapl::Lead> by_die = thinned(true);
    return machine_.intel() && by_die.size() == mask.size() ? by_die : thinned(false);
  }

  int open_event(const Opening& opening, const Event& event, int cpu, int leader) const {
    perf_event_attr attr{};
    attr.type = type_;
    attr.size = sizeof attr;
    attr.config = event.config;
    attr.read_format = PERF_FORMAT_GROUP;
    return opening.env.perf_open(&attr, -1, cpu, leader, PERF_FLAG_FD_CLOEXEC);
  }

  void add_group(Opening& opening, const std::vector<Event>& events, const rapl::Lead& lead) {
    Group group{.place = lead.place, .files = {}};
    for (const Event& event : events) {
      Channel channel =
          rapl::make_channel(event.domain, lead.place, machine_,
                             "perf power/" + event.name + "/ on CPU " + std::to_string(lead.cpu));
      if (opening.is_taken(channel.name)) {
        found_ = true;
        continue;
      }
      if (group.files.size() == most_events) {
        break;
      }
      const int leader = group.files.empty() ? -1 : group.files.front().fd();
      File file(open_event(opening, event, lead.cpu, leader));
      if (!file) {
        refuse(opening, channel.name, event, errno);
        continue;
      }
      channel.scale = event.scale;
      const std::uint64_t factor = ticks_per_count(opening.env, channel.name, event.scale);
      channel.modulus = factor * rapl::register_range;
      // One more than the factor, which TPMI cuts and the MSR driver does not; where nothing tells,
      // the largest unit of any RAPL counter, 1 J.
      channel.quantum = factor > 0 ? factor + 1 : static_cast<std::uint64_t>(1 / event.scale);
      group.files.push_back(std::move(file));
      channels_.push_back(std::move(channel));
      found_ = true;
    }
    if (!group.files.empty()) {
      groups_.push_back(std::move(group));
    }
  }

  std::int64_t leader_value(const Group& group) const {
    std::array<std::uint64_t, 1 + most_events> words{};
    perf_read_(group.files.front().fd(), words.data(), sizeof words);
    return static_cast<std::int64_t>(words[1]);
  }

  // Events count from their opening, so two dies that show one counter differ by a constant, to the
  // last tick, through many updates.
  bool mirror(const Group& one, const Group& other) const {
    std::int64_t least = std::numeric_limits<std::int64_t>::min();
    std::int64_t most = std::numeric_limits<std::int64_t>::max();
    std::int64_t last = 0;
    int updates = 0;
    for (int i = 0; i < 20 && least <= most; ++i) {
      const std::int64_t before = leader_value(one);
      const std::int64_t between = leader_value(other);
      const std::int64_t after = leader_value(one);
      least = std::max(least, before - between);
      most = std::min(most, after - between);
      updates += i > 0 && after != last ? 1 : 0;
      last = after;
      sleep_for(1'000'000);
    }
    return least <= most && updates >= 5;
  }

  void drop_mirror(Opening& opening, rapl::Place place) {
    if (groups_.empty() || place.die < 0 || groups_.back().place != place) {
      return;
    }
    for (std::size_t i = 0; i + 1 < groups_.size(); ++i) {
      if (groups_[i].place.package == place.package && mirror(groups_[i], groups_.back())) {
        const std::size_t n = groups_.back().files.size();
        opening.skip(channels_[channels_.size() - n].name, "redundant",
                     "this die shows the counters of another die of its package");
        rapl::take_die(opening, place);
        channels_.resize(channels_.size() - n);
        groups_.pop_back();
        return;
      }
    }
  }

  static void refuse(Opening& opening, const std::string& channel, const Event& event,
                     int error_number) {
    if (error_number == EACCES || error_number == EPERM) {
      const std::string paranoid =
          read_text(opening.env.proc + "/sys/kernel/perf_event_paranoid").value_or("unreadable");
      throw Error(Errc::denied,
                  "perf power/" + event.name + "/: " + errno_text(error_number) +
                      " (perf_event_paranoid is " + paranoid + ")",
                  "sudo sysctl kernel.perf_event_paranoid=0, or give the interpreter CAP_PERFMON: "
                  "see `wattring doctor`");
    }
    opening.skip(channel, name_of(errc_of_errno(error_number)),
                 "perf power/" + event.name + "/: " + errno_text(error_number));
  }

  // perf counts in 2^-32 J, the register behind it in its own unit: the ticks of the one per count
  // of the other, from the unit that the powercap zone of the same domain publishes, readable by
  // all; 0 where there is none. It matters most with TPMI, whose driver takes its steps from a
  // 32-bit register without caring for the wrap: there the 64-bit count falls by 2^32 × this factor
  // (Linux drivers/powercap/intel_rapl_common.c).
  static std::uint64_t ticks_per_count(const Environment& env, const std::string& channel,
                                       double scale) {
    const std::string root = env.sys + "/class/powercap";
    for (const std::string& directory : list_directory(root)) {
      const auto zone = rapl::zone_at(root, directory);
      const auto range_uj =
          parse_number(read_text(root + "/" + directory + "/max_energy_range_uj").value_or(""));
      if (zone && range_uj && rapl::channel_name(zone->domain, zone->place) == channel) {
        const double unit_nj = std::round(static_cast<double>(*range_uj) * 1000 / 4294967295.0);
        return static_cast<std::uint64_t>(unit_nj * 1e-9 / scale);
      }
    }
    return 0;
  }

  Machine machine_;
  ssize_t (*perf_read_)(int, void*, std::size_t);
  std::uint32_t type_ = 0;
  std::vector<Channel> channels_;
  std::vector<Group> groups_;
  bool found_ = false;
};

}  // namespace

extern const SourceType rapl_perf_source;
const SourceType rapl_perf_source{
    .name = "rapl_perf",
    .summary = "RAPL energy through perf events (the kernel's power PMU)",
    .preference = 1,
    .open = [](Opening& opening) -> std::unique_ptr<Source> {
      return std::make_unique<RaplPerf>(opening);
    }};

}  // namespace wattring
