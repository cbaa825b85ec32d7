// SPDX-License-Identifier: Apache-2.0
#include "rapl.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace wattring::rapl {
namespace {

struct Facts {
  Domain domain;
  const char* channel;  // name of the powercap zone, and of the channel but for its number
  const char* event;    // perf
  double max_power_w;   // above what any such device draws
};

constexpr std::array<Facts, 5> all_facts{{
    {Domain::package, "package", "energy-pkg", 1000},
    {Domain::core, "core", "energy-cores", 1000},
    {Domain::uncore, "uncore", "energy-gpu", 1000},
    {Domain::dram, "dram", "energy-ram", 500},
    {Domain::psys, "psys", "energy-psys", 4000},
}};

const Facts& facts(Domain domain) {
  return *std::find_if(all_facts.begin(), all_facts.end(),
                       [domain](const Facts& f) { return f.domain == domain; });
}

// "package-1" → {1}, "package-1-die-0" → {1, 0}
std::optional<Place> place_of(const std::string& zone_name) {
  constexpr std::string_view package = "package-";
  constexpr std::string_view die = "-die-";
  if (!zone_name.starts_with(package)) {
    return std::nullopt;
  }
  const std::string numbers = zone_name.substr(package.size());
  const std::size_t split = numbers.find(die);
  const auto package_number = parse_number(numbers.substr(0, split));
  if (!package_number) {
    return std::nullopt;
  }
  Place place{static_cast<int>(*package_number), -1};
  if (split != std::string::npos) {
    const auto die_number = parse_number(numbers.substr(split + die.size()));
    if (!die_number) {
      return std::nullopt;
    }
    place.die = static_cast<int>(*die_number);
  }
  return place;
}

std::string parent_of(Domain domain, Place place) {
  switch (domain) {
    case Domain::core:
    case Domain::uncore:
      return channel_name(Domain::package, place);
    case Domain::package:
    case Domain::dram:
      return "psys";
    case Domain::psys:
      break;
  }
  return {};
}

}  // namespace

std::string channel_name(Domain domain, Place place) {
  // There is one platform; a second psys belongs to another package's part of the board.
  if (domain == Domain::psys && place.package == 0) {
    return "psys";
  }
  std::string name = std::string(facts(domain).channel) + '-' + std::to_string(place.package);
  if (place.die >= 0) {
    name += "-die-" + std::to_string(place.die);
  }
  return name;
}

Channel make_channel(Domain domain, Place place, const Machine& machine, const std::string& where) {
  const Facts& f = facts(domain);
  Channel channel;
  channel.name = channel_name(domain, place);
  channel.device = "package " + std::to_string(place.package) +
                   (place.die >= 0 ? " die " + std::to_string(place.die) : "") + ", " +
                   machine.model_name + ", " + where;
  channel.parent = parent_of(domain, place);
  channel.max_power_w = f.max_power_w;
  channel.refresh_ns = 1'000'000;  // SDM: about 1 ms; measured 0.976 to 1.0 ms
  if (domain == Domain::dram && machine.family == 6 && machine.model == 0x56) {
    channel.note = "Broadwell-D: the kernel's own drivers disagree about the unit; unverified";
  }
  return channel;
}

std::optional<Domain> domain_of_event(const std::string& event) {
  for (const Facts& f : all_facts) {
    if (event == f.event) {
      return f.domain;
    }
  }
  return std::nullopt;
}

std::optional<Zone> zone_at(const std::string& powercap_root, const std::string& directory) {
  const auto name_in = [&powercap_root](const std::string& zone) {
    return read_text(powercap_root + '/' + zone + "/name").value_or("");
  };
  const std::string name = name_in(directory);
  if (const auto place = place_of(name)) {
    return Zone{Domain::package, *place};
  }
  for (const Facts& f : all_facts) {
    if (f.domain != Domain::package && name == f.channel) {
      const std::string parent = directory.substr(0, directory.rfind(':'));
      return Zone{f.domain, place_of(name_in(parent)).value_or(Place{})};
    }
  }
  return std::nullopt;
}

std::vector<Lead> leads(const Machine& machine) {
  std::vector<Lead> found;
  for (const Cpu& cpu : machine.cpus) {
    const bool by_die = machine.intel() && machine.several_dies(cpu.package);
    const Place place{cpu.package, by_die ? cpu.die : -1};
    const auto same = [&place](const Lead& lead) { return lead.place == place; };
    if (std::none_of(found.begin(), found.end(), same)) {
      found.push_back({place, cpu.id});
    }
  }
  return found;
}

bool dram_unit_is_fixed(const Machine& machine) {
  // HSX, BDX, BDX-DE, SKX (and CLX, CPX), ICX, ICX-D, KNL, KNM.
  constexpr std::array models{0x3F, 0x4F, 0x56, 0x55, 0x6A, 0x6C, 0x57, 0x85};
  return machine.intel() && machine.family == 6 &&
         std::find(models.begin(), models.end(), machine.model) != models.end();
}

bool psys_counts_joules(const Machine& machine) {
  return machine.intel() && machine.family == 6 && (machine.model == 0x8F || machine.model == 0xCF);
}

double unit_of_register(const Machine& machine, std::uint64_t unit_register) {
  const auto exponent = static_cast<int>((unit_register >> 8) & 0x1F);
  // Linux drivers/powercap/intel_rapl_common.c, rapl_check_unit_atom.
  constexpr std::array silvermont{0x37, 0x4A, 0x5A, 0x4C};
  const bool atom =
      machine.intel() && machine.family == 6 &&
      std::find(silvermont.begin(), silvermont.end(), machine.model) != silvermont.end();
  return atom ? std::ldexp(1e-6, exponent) : std::ldexp(1.0, -exponent);
}

double unit_of_nanojoules(std::uint64_t nanojoules) {
  for (int exponent = 0; exponent < 32; ++exponent) {
    if (static_cast<std::uint64_t>(std::ldexp(1e9, -exponent)) == nanojoules) {
      return std::ldexp(1.0, -exponent);
    }
  }
  return static_cast<double>(nanojoules) * 1e-9;
}

void take_die(Opening& opening, Place die) {
  for (const Facts& f : all_facts) {
    if (f.domain != Domain::psys) {
      opening.taken.push_back(channel_name(f.domain, die));
    }
  }
}

bool mirrors(const std::function<std::uint64_t()>& one,
             const std::function<std::uint64_t()>& other) {
  // Two counters that agree by chance, to the energy of a few microseconds, three times in a row,
  // have never been seen: their starting points differ by joules.
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t before = one();
    const std::uint64_t between = other();
    const std::uint64_t after = one();
    if (between < before || between > after) {
      return false;
    }
  }
  return true;
}

}  // namespace wattring::rapl
