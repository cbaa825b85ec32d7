// SPDX-License-Identifier: Apache-2.0
// Each source over a fake machine: units, identity, refusals, failures.
#include <gtest/gtest.h>

#include <cmath>

#include "error.hpp"
#include "fake_machine.hpp"
#include "registry.hpp"

namespace wattring {
namespace {

std::vector<std::string> names(const Source& source) {
  std::vector<std::string> found;
  for (const Channel& channel : source.channels()) {
    found.push_back(channel.name);
  }
  return found;
}

const Channel& channel(const Source& source, const std::string& name) {
  for (const Channel& c : source.channels()) {
    if (c.name == name) {
      return c;
    }
  }
  throw std::runtime_error("no channel " + name);
}

std::unique_ptr<Source> open(const FakeMachine& machine, const std::string& name,
                             std::vector<Skipped>* skipped = nullptr) {
  const Environment env = machine.environment();
  Selection selection = open_sources(env, {name});
  if (skipped != nullptr) {
    *skipped = selection.skipped;
  }
  return std::move(selection.sources.at(0).source);
}

using Names = std::vector<std::string>;

// --- rapl_msr

TEST(RaplMsr, OneDevicePerPackageAndOnlyRegistersThatAnswer) {
  FakeMachine machine;
  for (int id = 0; id < 4; ++id) {
    machine.cpu(id, id / 2, 0, id % 2);
  }
  for (const int cpu : {0, 2}) {
    machine.msr(cpu, 0x606, 0xA0E03);
    machine.msr(cpu, 0x611, 1000);
    machine.msr(cpu, 0x619, 2000);
  }
  const auto source = open(machine, "rapl_msr");
  EXPECT_EQ(names(*source), (Names{"package-0", "dram-0", "package-1", "dram-1"}));
  EXPECT_DOUBLE_EQ(channel(*source, "package-1").scale, std::ldexp(1, -14));
  EXPECT_EQ(channel(*source, "package-1").modulus, std::uint64_t{1} << 32);
  EXPECT_EQ(channel(*source, "dram-0").parent, "psys");
}

TEST(RaplMsr, DramUnitIsFixedOnServerModels) {
  FakeMachine machine("GenuineIntel", 6, 0x55);
  machine.cpu(0, 0);
  machine.msr(0, 0x606, 0xA0E03);
  machine.msr(0, 0x611, 1000);
  machine.msr(0, 0x619, 2000);
  const auto source = open(machine, "rapl_msr");
  EXPECT_DOUBLE_EQ(channel(*source, "package-0").scale, std::ldexp(1, -14));
  EXPECT_DOUBLE_EQ(channel(*source, "dram-0").scale, std::ldexp(1, -16));
}

TEST(RaplMsr, SilvermontCountsMicrojoules) {
  FakeMachine machine("GenuineIntel", 6, 0x37);
  machine.cpu(0, 0);
  machine.msr(0, 0x606, 5 << 8);
  machine.msr(0, 0x611, 1000);
  EXPECT_DOUBLE_EQ(channel(*open(machine, "rapl_msr"), "package-0").scale, 32e-6);
}

TEST(RaplMsr, SapphireRapidsPsysCountsJoules) {
  FakeMachine machine("GenuineIntel", 6, 0x8F);
  machine.cpu(0, 0);
  machine.msr(0, 0x606, 0xA0E03);
  machine.msr(0, 0x611, 1000);
  machine.msr(0, 0x64D, 7);
  EXPECT_DOUBLE_EQ(channel(*open(machine, "rapl_msr"), "psys").scale, 1.0);
}

TEST(RaplMsr, AmdReadsEveryPhysicalCoreOnce) {
  FakeMachine machine("AuthenticAMD", 0x19, 1);
  for (int id = 0; id < 4; ++id) {
    machine.cpu(id, 0, 0, id % 2);  // two cores of two threads
    // In a file, registers with successive numbers overlap: the unit is 0x...0A1003, the core's
    // counter starts one byte later, the package's two.
    machine.msr(id, 0xC0010299, 0x0056'7812'340A'1003);
    machine.msr(id, 0xC00102A1, 0);  // lest the file end inside them
  }
  const auto source = open(machine, "rapl_msr");
  EXPECT_EQ(names(*source), (Names{"package-0", "package-0-core-0", "package-0-core-1"}));
  EXPECT_DOUBLE_EQ(channel(*source, "package-0").scale, std::ldexp(1, -16));
  EXPECT_EQ(channel(*source, "package-0-core-1").parent, "package-0");
}

TEST(RaplMsr, DiesThatMirrorACounterCountOnce) {
  FakeMachine machine("GenuineIntel", 6, 0x55);
  machine.cpu(0, 0, 0);
  machine.cpu(1, 0, 1);
  for (const int cpu : {0, 1}) {
    machine.msr(cpu, 0x606, 0xA0E03);
    machine.msr(cpu, 0x611, 4711);
  }
  std::vector<Skipped> skipped;
  EXPECT_EQ(names(*open(machine, "rapl_msr", &skipped)), (Names{"package-0-die-0"}));
  ASSERT_EQ(skipped.size(), 1U);
  EXPECT_EQ(skipped[0].channel, "package-0-die-1");
  machine.msr(1, 0x611, 999'999);
  EXPECT_EQ(names(*open(machine, "rapl_msr")), (Names{"package-0-die-0", "package-0-die-1"}));
}

TEST(RaplMsr, AVanishedDeviceIsGoneAndAZeroUnitIsRefused) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.msr(0, 0x606, 0xA0E03);
  machine.msr(0, 0x611, 1000);
  const auto source = open(machine, "rapl_msr");
  Sweep sweep(1);
  EXPECT_EQ(source->read(sweep), ReadStatus::ok);
  machine.remove("dev/cpu/0/msr");
  EXPECT_EQ(source->read(sweep), ReadStatus::gone);
  machine.msr(0, 0x611, 1000);
  try {
    open(machine, "rapl_msr");
    FAIL() << "opened without a unit";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::absent);
  }
}

// --- rapl_powercap

FakeMachine& two_packages(FakeMachine& machine) {
  machine.cpu(0, 0);
  machine.cpu(1, 1);
  // Numbers that mislead: zone 0 is package 1, zone 1 is psys.
  machine.zone("intel-rapl:0", "package-1", 5'000'000);
  machine.zone("intel-rapl:0:0", "core", 1'000'000);
  machine.zone("intel-rapl:1", "psys", 9'000'000);
  machine.zone("intel-rapl:a", "package-0", 7'000'000);
  machine.zone("intel-rapl:a:0", "dram", 3'000'000);
  return machine;
}

TEST(RaplPowercap, IdentityComesFromNames) {
  FakeMachine machine;
  const auto source = open(two_packages(machine), "rapl_powercap");
  EXPECT_EQ(names(*source), (Names{"package-1", "core-1", "psys", "package-0", "dram-0"}));
  EXPECT_EQ(channel(*source, "core-1").parent, "package-1");
  EXPECT_EQ(channel(*source, "package-0").parent, "psys");
}

TEST(RaplPowercap, TheRegisterIsHadBackFromMicrojoules) {
  struct Case {
    std::uint64_t unit_nj;
    const char* range;
    double scale;
  };
  for (const Case& c :
       {Case{61'035, "262143328850", std::ldexp(1, -14)},
        Case{15'258, "65532610987", std::ldexp(1, -16)}, Case{15'300, "65712999613", 15.3e-6}}) {
    FakeMachine machine;
    machine.cpu(0, 0);
    machine.zone("intel-rapl:0", "package-0", 0, c.range);
    const auto source = open(machine, "rapl_powercap");
    EXPECT_DOUBLE_EQ(source->channels()[0].scale, c.scale);
    EXPECT_EQ(source->channels()[0].modulus, std::uint64_t{1} << 32);
    Sweep sweep(1);
    for (const std::uint64_t raw : {0ULL, 1ULL, 2ULL, 12'345'678ULL, 4'294'967'295ULL}) {
      machine.set_energy_uj("intel-rapl:0", std::to_string(raw * c.unit_nj / 1000));
      ASSERT_EQ(source->read(sweep), ReadStatus::ok);
      EXPECT_EQ(sweep.raw()[0], raw) << c.unit_nj;
    }
  }
}

TEST(RaplPowercap, MmioTwinsAndMirroredDiesCountOnce) {
  FakeMachine machine;
  machine.cpu(0, 0, 0);
  machine.cpu(1, 0, 1);
  machine.zone("intel-rapl-mmio:0", "package-0-die-0", 5'000'000);
  machine.zone("intel-rapl:0", "package-0-die-0", 5'000'000);
  machine.zone("intel-rapl:1", "package-0-die-1", 5'000'000);
  std::vector<Skipped> skipped;
  EXPECT_EQ(names(*open(machine, "rapl_powercap", &skipped)), (Names{"package-0-die-0"}));
  EXPECT_EQ(skipped.size(), 2U);
  machine.set_energy_uj("intel-rapl:1", "8000000");
  EXPECT_EQ(names(*open(machine, "rapl_powercap")), (Names{"package-0-die-0", "package-0-die-1"}));
}

TEST(RaplPowercap, WithoutARangeTheChannelIsRefusedWithTheReason) {
  for (const char* range : {"", "rubbish"}) {
    FakeMachine machine;
    machine.cpu(0, 0);
    machine.zone("intel-rapl:0", "package-0", 5);
    machine.zone("intel-rapl:1", "psys", 5, range);
    std::vector<Skipped> skipped;
    EXPECT_EQ(names(*open(machine, "rapl_powercap", &skipped)), (Names{"package-0"}));
    ASSERT_EQ(skipped.size(), 1U);
    EXPECT_NE(skipped[0].reason.find("wrap"), std::string::npos) << skipped[0].reason;
  }
}

TEST(RaplPowercap, AmdCoreZoneIsOneCoreAndRefused) {
  FakeMachine machine("AuthenticAMD", 0x19, 1);
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 5);
  machine.zone("intel-rapl:0:0", "core", 5);
  EXPECT_EQ(names(*open(machine, "rapl_powercap")), (Names{"package-0"}));
}

TEST(RaplPowercap, RubbishFailsThatChannelAndRemovalEndsTheSource) {
  FakeMachine machine;
  const auto source = open(two_packages(machine), "rapl_powercap");
  Sweep sweep(5);
  machine.set_energy_uj("intel-rapl:0:0", "nonsense");
  EXPECT_EQ(source->read(sweep), ReadStatus::ok);
  EXPECT_TRUE(sweep.failed(1));
  EXPECT_FALSE(sweep.failed(0));
  sweep.clear();
  for (const char* zone :
       {"intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:a", "intel-rapl:a:0"}) {
    machine.remove(std::string("sys/class/powercap/") + zone + "/energy_uj");
  }
  EXPECT_EQ(source->read(sweep), ReadStatus::gone);
}

// --- rapl_perf

FakeMachine& with_perf(FakeMachine& machine, const std::string& cpumask) {
  machine.perf_pmu(cpumask);
  machine.perf_event("energy-pkg", 2);
  machine.perf_event("energy-cores", 1);
  machine.perf_event("energy-ram", 3);
  return machine;
}

TEST(RaplPerf, OneGroupPerPackageThePackageLeading) {
  FakeMachine machine;
  for (int id = 0; id < 4; ++id) {
    machine.cpu(id, id / 2, 0, id % 2);
  }
  const auto source = open(with_perf(machine, "0,2"), "rapl_perf");
  EXPECT_EQ(names(*source),
            (Names{"package-0", "core-0", "dram-0", "package-1", "core-1", "dram-1"}));
  fake_perf::set(2, 3, 777);
  Sweep sweep(6);
  EXPECT_EQ(source->read(sweep), ReadStatus::ok);
  EXPECT_EQ(sweep.raw()[5], 777U);
}

TEST(RaplPerf, AMaskThatListsEveryCpuIsThinned) {
  FakeMachine machine;
  for (int id = 0; id < 4; ++id) {
    machine.cpu(id, id / 2, 0, id % 2);
  }
  open(with_perf(machine, "0-3"), "rapl_perf");
  EXPECT_EQ(fake_perf::opened(), 6);
}

TEST(RaplPerf, AbsentDomainsAreDroppedAndRefusalIsDenied) {
  FakeMachine machine;
  machine.cpu(0, 0);
  with_perf(machine, "0");
  fake_perf::refuse(3, EINVAL);
  EXPECT_EQ(names(*open(machine, "rapl_perf")), (Names{"package-0", "core-0"}));
  machine.write("proc/sys/kernel/perf_event_paranoid", "2");
  fake_perf::refuse(2, EACCES);
  try {
    open(machine, "rapl_perf");
    FAIL() << "opened without permission";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::denied);
    EXPECT_NE(std::string(error.what()).find("perf_event_paranoid is 2"), std::string::npos);
    EXPECT_NE(error.remedy().find("sysctl"), std::string::npos);
  }
}

TEST(RaplPerf, TheFallOfTpmiEventsFollowsFromPowercap) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 5);
  const auto source = open(with_perf(machine, "0"), "rapl_perf");
  EXPECT_EQ(channel(*source, "package-0").modulus, (std::uint64_t{1} << 32) * 262'143);
  EXPECT_EQ(channel(*source, "core-0").modulus, 0U);
}

TEST(RaplPerf, ReadErrorsFailAndEndOfFileIsGone) {
  FakeMachine machine;
  machine.cpu(0, 0);
  const auto source = open(with_perf(machine, "0"), "rapl_perf");
  Sweep sweep(3);
  fake_perf::fail_reads(EIO);
  EXPECT_EQ(source->read(sweep), ReadStatus::failed);
  EXPECT_EQ(sweep.error_number(), EIO);
  sweep.clear();
  fake_perf::fail_reads(-1);
  EXPECT_EQ(source->read(sweep), ReadStatus::gone);
}

// --- the choice between them

TEST(Registry, AutoTakesEachDomainOnceFromTheBestInterface) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.perf_pmu("0");
  machine.perf_event("energy-pkg", 2);
  machine.zone("intel-rapl:0", "package-0", 5);
  machine.zone("intel-rapl:0:0", "dram", 5);
  const Environment env = machine.environment();
  const Selection selection = open_sources(env, {"auto"});
  ASSERT_EQ(selection.sources.size(), 2U);
  EXPECT_EQ(selection.sources[0].name, "rapl_perf");
  EXPECT_EQ(names(*selection.sources[0].source), (Names{"package-0"}));
  EXPECT_EQ(selection.sources[1].name, "rapl_powercap");
  EXPECT_EQ(names(*selection.sources[1].source), (Names{"dram-0"}));
  ASSERT_EQ(selection.skipped.size(), 1U);
  EXPECT_EQ(selection.skipped[0].source, "rapl_msr");
  EXPECT_EQ(selection.skipped[0].code, "absent");
}

TEST(Registry, DeniedStaysDenied) {
  FakeMachine machine;
  machine.cpu(0, 0);
  with_perf(machine, "0");
  fake_perf::refuse(2, EACCES);
  const Environment env = machine.environment();
  try {
    open_sources(env, {"auto"});
    FAIL() << "opened without permission";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::denied);
    EXPECT_NE(std::string(error.what()).find("Permission denied"), std::string::npos);
  }
}

}  // namespace
}  // namespace wattring
