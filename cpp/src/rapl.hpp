// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "channel.hpp"
#include "machine.hpp"
#include "source.hpp"

// What the RAPL interfaces have in common: names, containment, units, quirks by model.
namespace wattring::rapl {

enum class Domain : std::uint8_t { package, core, uncore, dram, psys };

inline constexpr std::uint64_t register_range = std::uint64_t{1} << 32;

// Where a counter lives. die < 0: it counts for the whole package.
struct Place {
  int package = 0;
  int die = -1;
  bool operator==(const Place&) const = default;
};

// A counter channel with all but its unit: name, parent, device, refresh, power limit.
// `where` names the register or file.
Channel make_channel(Domain domain, Place place, const Machine& machine, const std::string& where);

// "package-0", "core-0", "dram-1-die-0", "psys".
std::string channel_name(Domain domain, Place place);

// The domain of a perf event ("energy-cores", …).
std::optional<Domain> domain_of_event(const std::string& event);

// What a zone of the powercap class counts, from its name and its parent's. Identity never comes
// from the numbers in directory names: they are only the order in which zones were registered.
struct Zone {
  Domain domain;
  Place place;
};
std::optional<Zone> zone_at(const std::string& powercap_root, const std::string& directory);

// The places in which this processor keeps RAPL counters: one a package, or one a die on Intel
// parts with several dies (AMD and Hygon: always the package), each with the first of its CPUs.
struct Lead {
  Place place;
  int cpu;
};
std::vector<Lead> leads(const Machine& machine);

// Models whose DRAM counter has a fixed unit of 2^-16 J, whatever the unit register says
// (Linux arch/x86/events/rapl.c, model_hsx and model_knl).
bool dram_unit_is_fixed(const Machine& machine);
// Sapphire and Emerald Rapids: psys counts whole joules, and perf offers it without probing.
bool psys_counts_joules(const Machine& machine);
// Joules per count from bits 12:8 of the unit register: 2^-n J, on Silvermont 2^n µJ.
double unit_of_register(const Machine& machine, std::uint64_t unit_register);

// The kernel cuts units to whole nanojoules (61035 for 2^-14 J); this gives back the power of two,
// or the nanojoules where no power of two fits.
double unit_of_nanojoules(std::uint64_t nanojoules);

// True when the two readers return the same counter: each reading of one lies between two of the
// other. Several dies of a package may mirror one counter, which must be counted once.
bool mirrors(const std::function<std::uint64_t()>& one,
             const std::function<std::uint64_t()>& other);
// Of a die that mirrors another: no other source is to read it either.
void take_die(Opening& opening, Place die);

}  // namespace wattring::rapl
