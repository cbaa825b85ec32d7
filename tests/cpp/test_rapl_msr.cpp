// SPDX-License-Identifier: Apache-2.0
// RAPL through /dev/cpu/N/msr: units, scope, identity, failures.
#include <cmath>

#include "counter.hpp"
#include "support.hpp"

namespace wattring {
namespace {

constexpr std::uint64_t esu14 = 0xA0E03;
constexpr std::uint64_t esu16 = 0xA1003;

void intel_registers(const FakeMachine& machine, int cpu, std::uint64_t package = 1000) {
  machine.msr(cpu, 0x606, esu14);
  machine.msr(cpu, 0x611, package);
  machine.msr(cpu, 0x619, 2000);
}

TEST(RaplMsr, ReadsOneCpuPerPackageAndOnlyRegistersThatAnswer) {
  FakeMachine machine;
  machine.two_packages();
  intel_registers(machine, 0);
  intel_registers(machine, 2, 3000);
  const auto opened = open(machine, "rapl_msr");
  EXPECT_EQ(names(*opened.source), (Names{"package-0", "dram-0", "package-1", "dram-1"}));
  Sweep sweep(4);
  ASSERT_EQ(opened.source->read(sweep), ReadStatus::ok);
  EXPECT_EQ(sweep.raw()[0], 1000U);
  EXPECT_EQ(sweep.raw()[2], 3000U);
}

struct UnitCase {
  const char* what;
  int model;
  std::uint64_t unit_register;
  double package_j;
  double dram_j;
  double psys_j;
};

class RaplMsrUnit : public testing::TestWithParam<UnitCase> {};

TEST_P(RaplMsrUnit, ComesFromTheRegisterOrTheModel) {
  const UnitCase& c = GetParam();
  FakeMachine machine("GenuineIntel", 6, c.model);
  machine.cpu(0, 0);
  machine.msr(0, 0x606, c.unit_register);
  machine.msr(0, 0x611, 1000);
  machine.msr(0, 0x619, 2000);
  machine.msr(0, 0x64D, 7);
  const auto opened = open(machine, "rapl_msr");
  EXPECT_DOUBLE_EQ(channel(*opened.source, "package-0").scale, c.package_j);
  EXPECT_DOUBLE_EQ(channel(*opened.source, "dram-0").scale, c.dram_j);
  EXPECT_DOUBLE_EQ(channel(*opened.source, "psys").scale, c.psys_j);
  EXPECT_EQ(channel(*opened.source, "dram-0").modulus, range32);
  EXPECT_EQ(channel(*opened.source, "dram-0").quantum, 1U);
}

const double u14 = std::ldexp(1, -14);
const double u16 = std::ldexp(1, -16);

INSTANTIATE_TEST_SUITE_P(ByModel, RaplMsrUnit,
                         testing::Values(UnitCase{"client", 0x5E, esu14, u14, u14, u14},
                                         UnitCase{"SandyBridge", 0x2A, esu16, u16, u16, u16},
                                         UnitCase{"HaswellX", 0x3F, esu14, u14, u16, u14},
                                         UnitCase{"BroadwellX", 0x4F, esu14, u14, u16, u14},
                                         UnitCase{"BroadwellD", 0x56, esu14, u14, u16, u14},
                                         UnitCase{"SkylakeX", 0x55, esu14, u14, u16, u14},
                                         UnitCase{"IceLakeX", 0x6A, esu14, u14, u16, u14},
                                         UnitCase{"IceLakeD", 0x6C, esu14, u14, u16, u14},
                                         UnitCase{"KnightsLanding", 0x57, esu14, u14, u16, u14},
                                         UnitCase{"KnightsMill", 0x85, esu14, u14, u16, u14},
                                         UnitCase{"SapphireRapids", 0x8F, esu14, u14, u14, 1},
                                         UnitCase{"EmeraldRapids", 0xCF, esu14, u14, u14, 1},
                                         UnitCase{"Silvermont", 0x37, 5 << 8, 32e-6, 32e-6, 32e-6},
                                         UnitCase{"Airmont", 0x4C, 5 << 8, 32e-6, 32e-6, 32e-6}),
                         [](const auto& test) { return test.param.what; });

TEST(RaplMsr, TheUpperHalfOfARegisterIsNotEnergy) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.msr(0, 0x606, esu14);
  machine.msr(0, 0x611, 0xDEAD'BEEF'0000'0007);
  // Stands at 0 but for reserved bits: absent, by the kernel's own rule.
  machine.msr(0, 0x639, 0xDEAD'BEEF'0000'0000);
  const auto opened = open(machine, "rapl_msr");
  EXPECT_EQ(names(*opened.source), (Names{"package-0"}));
  Sweep sweep(1);
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
  EXPECT_EQ(sweep.raw()[0], 7U);
}

TEST(RaplMsr, AWrapIsUndoneWhereItIsRead) {
  FakeMachine machine;
  machine.cpu(0, 0);
  intel_registers(machine, 0, 0xFFFF'FFFF);
  const auto opened = open(machine, "rapl_msr");
  Counter counter(opened.source->channels()[0]);
  Sweep sweep(2);
  opened.source->read(sweep);
  counter.advance(sweep.raw()[0], 0, 10);
  machine.msr(0, 0x611, 0);  // the very next count
  opened.source->read(sweep);
  EXPECT_EQ(counter.advance(sweep.raw()[0], ms, ms + 10), 0U);
  EXPECT_EQ(counter.value(), 1U);
}

// In a file, registers with successive numbers overlap. AMD's unit, core and package registers
// are such: seen from the unit's first byte, the core's counter starts one byte on, the package's
// two. Whoever wants them all non-zero, with energy status unit 16, writes this.
constexpr std::uint64_t amd_registers = 0x0056'7812'340A'1003;

void amd_cpu(const FakeMachine& machine, int cpu) {
  machine.msr(cpu, 0xC0010299, amd_registers);
  machine.msr(cpu, 0xC00102A1, 0);  // lest the file end inside the package's
}

TEST(RaplMsr, AmdReadsEveryPhysicalCoreOnce) {
  FakeMachine machine("AuthenticAMD", 0x19, 1);
  for (int id = 0; id < 4; ++id) {
    machine.cpu(id, 0, 0, id % 2);  // two cores of two threads
    amd_cpu(machine, id);
  }
  const auto opened = open(machine, "rapl_msr");
  EXPECT_EQ(names(*opened.source), (Names{"package-0", "package-0-core-0", "package-0-core-1"}));
  EXPECT_DOUBLE_EQ(channel(*opened.source, "package-0").scale, u16);
  EXPECT_DOUBLE_EQ(channel(*opened.source, "package-0-core-1").scale, u16);
  EXPECT_EQ(channel(*opened.source, "package-0-core-1").parent, "package-0");
  Sweep sweep(3);
  ASSERT_EQ(opened.source->read(sweep), ReadStatus::ok);
  EXPECT_EQ(sweep.raw()[0], (amd_registers >> 16) & 0xFFFF'FFFF);
  EXPECT_EQ(sweep.raw()[1], (amd_registers >> 8) & 0xFFFF'FFFF);
}

TEST(RaplMsr, AmdPackagesAreNeverSplitByDie) {
  FakeMachine machine("AuthenticAMD", 0x17, 0x31);
  machine.two_dies();
  for (int id = 0; id < 4; ++id) {
    amd_cpu(machine, id);
  }
  EXPECT_EQ(names(*open(machine, "rapl_msr").source).front(), "package-0");
  EXPECT_EQ(names(*open(machine, "rapl_msr").source).size(), 5U);  // one package, four cores
}

TEST(RaplMsr, AmdCoresAreLeftOutOfTheAutomaticChoiceWithTheReason) {
  FakeMachine machine("AuthenticAMD", 0x19, 1);
  machine.cpu(0, 0);
  amd_cpu(machine, 0);
  const Environment env = machine.environment();
  const Selection selection = open_sources(env, {"auto"});
  EXPECT_EQ(names(*selection.sources.at(0).source), (Names{"package-0"}));
  const auto costly = std::count_if(selection.skipped.begin(), selection.skipped.end(),
                                    [](const Skipped& s) { return s.code == "costly"; });
  EXPECT_EQ(costly, 1);
}

TEST(RaplMsr, DiesThatMirrorACounterCountOnce) {
  FakeMachine machine("GenuineIntel", 6, 0x55);
  machine.two_dies();
  intel_registers(machine, 0, 4711);
  intel_registers(machine, 2, 4711);
  const auto mirrored = open(machine, "rapl_msr");
  EXPECT_EQ(names(*mirrored.source), (Names{"package-0-die-0", "dram-0-die-0"}));
  ASSERT_EQ(mirrored.skipped.size(), 1U);
  EXPECT_EQ(mirrored.skipped[0].channel, "package-0-die-1");
  EXPECT_EQ(mirrored.skipped[0].code, "redundant");
  machine.msr(2, 0x611, 999'999);
  EXPECT_EQ(names(*open(machine, "rapl_msr").source),
            (Names{"package-0-die-0", "dram-0-die-0", "package-0-die-1", "dram-0-die-1"}));
}

TEST(RaplMsr, EqualCountersOfTwoPackagesAreNoMirror) {
  FakeMachine machine;
  machine.two_packages();
  intel_registers(machine, 0, 4711);
  intel_registers(machine, 2, 4711);
  EXPECT_EQ(names(*open(machine, "rapl_msr").source).size(), 4U);
}

TEST(RaplMsr, WithoutAUnitTheReasonIsNamed) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.msr(0, 0x606, 0);  // as on parts whose RAPL moved to TPMI
  machine.msr(0, 0x611, 1000);
  const Error error = error_of([&] { open(machine, "rapl_msr"); });
  EXPECT_EQ(error.code(), Errc::absent);
  EXPECT_TRUE(contains(error.what(), "unit register")) << error.what();
}

TEST(RaplMsr, RegistersThatAllStandAtZeroAreAbsent) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.msr(0, 0x606, esu14);
  machine.msr(0, 0x64D, 0);
  EXPECT_EQ(error_of([&] { open(machine, "rapl_msr"); }).code(), Errc::absent);
}

TEST(RaplMsr, OtherVendorsAreUnsupported) {
  FakeMachine machine("CentaurHauls", 7, 0x3B);
  machine.cpu(0, 0);
  intel_registers(machine, 0);
  const Error error = error_of([&] { open(machine, "rapl_msr"); });
  EXPECT_EQ(error.code(), Errc::unsupported);
  EXPECT_TRUE(contains(error.what(), "CentaurHauls"));
}

TEST(RaplMsr, AShortReadFailsAndAVanishedDeviceIsGone) {
  FakeMachine machine;
  machine.cpu(0, 0);
  intel_registers(machine, 0);
  const auto opened = open(machine, "rapl_msr");
  Sweep sweep(2);
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
  machine.truncate("dev/cpu/0/msr");
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::failed);
  EXPECT_EQ(sweep.error_number(), EIO);
  sweep.clear();
  machine.remove("dev/cpu/0/msr");
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::gone);
}

TEST(RaplMsr, OnePackageThatVanishesLeavesTheOther) {
  FakeMachine machine;
  machine.two_packages();
  intel_registers(machine, 0);
  intel_registers(machine, 2);
  const auto opened = open(machine, "rapl_msr");
  machine.remove("dev/cpu/2/msr");
  Sweep sweep(4);
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
  EXPECT_FALSE(sweep.failed(0));
  EXPECT_TRUE(sweep.failed(2));
  EXPECT_TRUE(sweep.failed(3));
}

}  // namespace
}  // namespace wattring
