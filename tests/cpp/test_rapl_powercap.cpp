// SPDX-License-Identifier: Apache-2.0
// RAPL through the powercap class: identity, the register behind the microjoules, failures.
#include <cmath>

#include "counter.hpp"
#include "support.hpp"

namespace wattring {
namespace {

// Numbers that mislead: zone 0 is package 1, zone 1 is psys.
void misleading_zones(FakeMachine& machine) {
  machine.cpu(0, 0);
  machine.cpu(1, 1);
  machine.write("sys/class/powercap/intel-rapl/enabled", "1");  // the control type: no zone
  machine.zone("dtpm:0", "package-0", 1);                       // no energy counter
  machine.zone("intel-rapl:0", "package-1", 5'000'000);
  machine.zone("intel-rapl:0:0", "core", 1'000'000);
  machine.zone("intel-rapl:1", "psys", 9'000'000);
  machine.zone("intel-rapl:a", "package-0", 7'000'000);
  machine.zone("intel-rapl:a:0", "dram", 3'000'000);
}

TEST(RaplPowercap, IdentityComesFromNames) {
  FakeMachine machine;
  misleading_zones(machine);
  const auto opened = open(machine, "rapl_powercap");
  EXPECT_EQ(names(*opened.source), (Names{"package-1", "core-1", "psys", "package-0", "dram-0"}));
  EXPECT_EQ(channel(*opened.source, "core-1").parent, "package-1");
  EXPECT_EQ(channel(*opened.source, "package-0").parent, "psys");
  EXPECT_EQ(channel(*opened.source, "psys").parent, "");
  EXPECT_TRUE(contains(channel(*opened.source, "psys").device, "intel-rapl:1"));
}

struct UnitCase {
  std::uint64_t unit_nj;
  const char* range_uj;
  double scale;
};

class RaplPowercapUnit : public testing::TestWithParam<UnitCase> {};

TEST_P(RaplPowercapUnit, GivesTheRegisterBackExactlyAlsoAcrossItsWrap) {
  const UnitCase& c = GetParam();
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 0, c.range_uj);
  const auto opened = open(machine, "rapl_powercap");
  const Channel& package = opened.source->channels()[0];
  EXPECT_DOUBLE_EQ(package.scale, c.scale);
  EXPECT_EQ(package.modulus, range32);
  // What the kernel makes of the register.
  const auto read = [&](std::uint64_t raw) {
    machine.set_energy_uj("intel-rapl:0", std::to_string(raw * c.unit_nj / 1000));
    Sweep sweep(1);
    EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
    return sweep.raw()[0];
  };
  for (std::uint64_t raw = 0; raw < 1000; ++raw) {
    ASSERT_EQ(read(raw), raw);
    const std::uint64_t far = (raw * 0x9E37'79B9U) % range32;
    ASSERT_EQ(read(far), far);
    ASSERT_EQ(read(range32 - 1 - raw), range32 - 1 - raw);
  }
  Counter counter(package);
  counter.advance(read(range32 - 1), 0, 10);
  EXPECT_EQ(counter.advance(read(1), ms, ms + 10), 0U);
  EXPECT_EQ(counter.value(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Kernel, RaplPowercapUnit,
                         testing::Values(UnitCase{61'035, "262143328850", std::ldexp(1, -14)},
                                         UnitCase{15'258, "65532610987", std::ldexp(1, -16)},
                                         UnitCase{15'300, "65712999613", 15.3e-6},
                                         UnitCase{1'000'000'000, "4294967295000000", 1}),
                         [](const auto& test) { return std::to_string(test.param.unit_nj); });

TEST(RaplPowercap, ARangeOfAnotherDriverIsTakenInMicrojoules) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 999'999, "999999");
  const auto opened = open(machine, "rapl_powercap");
  EXPECT_DOUBLE_EQ(opened.source->channels()[0].scale, 1e-6);
  Counter counter(opened.source->channels()[0]);
  Sweep sweep(1);
  opened.source->read(sweep);
  counter.advance(sweep.raw()[0], 0, 10);
  machine.set_energy_uj("intel-rapl:0", "0");
  opened.source->read(sweep);
  counter.advance(sweep.raw()[0], ms, ms + 10);
  EXPECT_EQ(counter.value(), 1U);
}

TEST(RaplPowercap, TheKernelsOwnErrorOfDramIsSaid) {
  FakeMachine machine("GenuineIntel", 6, 0x55);
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 5);
  machine.zone("intel-rapl:0:0", "dram", 5, "65712999613");
  const auto opened = open(machine, "rapl_powercap");
  EXPECT_DOUBLE_EQ(channel(*opened.source, "dram-0").scale, 15.3e-6);
  EXPECT_TRUE(contains(channel(*opened.source, "dram-0").note, "0.27 %"));
  EXPECT_EQ(channel(*opened.source, "package-0").note, "");
}

TEST(RaplPowercap, MmioTwinsCountOnce) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.zone("intel-rapl-mmio:0", "package-0", 5'000'000);  // sorts first, is not taken first
  machine.zone("intel-rapl-mmio:0:0", "dram", 5'000'000);     // has no register beside it
  machine.zone("intel-rapl:0", "package-0", 6'000'000);
  const auto opened = open(machine, "rapl_powercap");
  EXPECT_EQ(names(*opened.source), (Names{"package-0", "dram-0"}));
  EXPECT_TRUE(contains(opened.source->channels()[0].device, "intel-rapl:0"));
  ASSERT_EQ(opened.skipped.size(), 1U);
  EXPECT_EQ(opened.skipped[0].code, "redundant");
  EXPECT_TRUE(contains(opened.skipped[0].reason, "intel-rapl-mmio:0"));
}

TEST(RaplPowercap, DiesThatMirrorACounterCountOnce) {
  FakeMachine machine;
  machine.two_dies();
  machine.zone("intel-rapl:0", "package-0-die-0", 5'000'000);
  machine.zone("intel-rapl:0:0", "dram", 1'000'000);
  machine.zone("intel-rapl:1", "package-0-die-1", 5'000'000);
  machine.zone("intel-rapl:1:0", "dram", 1'000'000);
  const auto mirrored = open(machine, "rapl_powercap");
  EXPECT_EQ(names(*mirrored.source), (Names{"package-0-die-0", "dram-0-die-0"}));
  EXPECT_EQ(mirrored.skipped.size(), 2U);
  machine.set_energy_uj("intel-rapl:1", "8000000");
  EXPECT_EQ(names(*open(machine, "rapl_powercap").source),
            (Names{"package-0-die-0", "dram-0-die-0", "package-0-die-1", "dram-0-die-1"}));
}

TEST(RaplPowercap, WithoutARangeTheChannelIsRefusedWithTheReason) {
  for (const char* range : {"", "rubbish"}) {
    FakeMachine machine;
    machine.cpu(0, 0);
    machine.zone("intel-rapl:0", "package-0", 5);
    machine.zone("intel-rapl:1", "psys", 5, range);
    const auto opened = open(machine, "rapl_powercap");
    EXPECT_EQ(names(*opened.source), (Names{"package-0"}));
    ASSERT_EQ(opened.skipped.size(), 1U);
    EXPECT_EQ(opened.skipped[0].channel, "psys");
    EXPECT_TRUE(contains(opened.skipped[0].reason, "wrap")) << opened.skipped[0].reason;
    EXPECT_TRUE(contains(opened.skipped[0].reason, "max_energy_range_uj"));
  }
}

TEST(RaplPowercap, WhereNoRangeIsKnownTheSourceIsRefused) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 5, "");
  const Error error = error_of([&] { open(machine, "rapl_powercap"); });
  EXPECT_EQ(error.code(), Errc::unsupported);
  EXPECT_TRUE(contains(error.what(), "max_energy_range_uj")) << error.what();
}

TEST(RaplPowercap, AmdsCoreZoneIsOneCoreAndRefused) {
  FakeMachine machine("AuthenticAMD", 0x19, 1);
  machine.cpu(0, 0);
  machine.zone("intel-rapl:0", "package-0", 5);
  machine.zone("intel-rapl:0:0", "core", 5);
  const auto opened = open(machine, "rapl_powercap");
  EXPECT_EQ(names(*opened.source), (Names{"package-0"}));
  ASSERT_EQ(opened.skipped.size(), 1U);
  EXPECT_EQ(opened.skipped[0].channel, "core-0");
  EXPECT_TRUE(contains(opened.skipped[0].remedy, "rapl_msr"));
}

TEST(RaplPowercap, RubbishFailsThatChannelOnlyAndIsOverWhenItIsOver) {
  for (const char* rubbish : {"nonsense", "", "-5", "12x", "99999999999999999999"}) {
    FakeMachine machine;
    misleading_zones(machine);
    const auto opened = open(machine, "rapl_powercap");
    Sweep sweep(5);
    machine.set_energy_uj("intel-rapl:0:0", rubbish);
    EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
    EXPECT_TRUE(sweep.failed(1)) << rubbish;
    EXPECT_FALSE(sweep.failed(0));
    EXPECT_EQ(sweep.error_number(), EBADMSG);
    sweep.clear();
    machine.set_energy_uj("intel-rapl:0:0", "1000061");
    EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
    EXPECT_FALSE(sweep.failed(1));
  }
}

TEST(RaplPowercap, WhatHoldsNoNumberIsNotTaken) {
  FakeMachine machine;
  misleading_zones(machine);
  machine.set_energy_uj("intel-rapl:0:0", "nonsense");
  const auto opened = open(machine, "rapl_powercap");
  EXPECT_EQ(names(*opened.source), (Names{"package-1", "psys", "package-0", "dram-0"}));
  ASSERT_EQ(opened.skipped.size(), 1U);
  EXPECT_EQ(opened.skipped[0].channel, "core-1");
}

TEST(RaplPowercap, FilesThatVanishEndTheSourceOnceAllHave) {
  FakeMachine machine;
  misleading_zones(machine);
  const auto opened = open(machine, "rapl_powercap");
  Sweep sweep(5);
  machine.remove("sys/class/powercap/intel-rapl:a:0/energy_uj");
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
  EXPECT_TRUE(sweep.failed(4));
  for (const char* zone : {"intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:a"}) {
    machine.remove(std::string("sys/class/powercap/") + zone + "/energy_uj");
  }
  sweep.clear();
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::gone);
}

}  // namespace
}  // namespace wattring
