// SPDX-License-Identifier: Apache-2.0
// RAPL through the perf PMU `power`: groups, scope, TPMI's missing wrap, refusals.
#include "counter.hpp"
#include "support.hpp"

namespace wattring {
namespace {

constexpr std::uint64_t pkg = 2;
constexpr std::uint64_t cores = 1;
constexpr std::uint64_t ram = 3;
constexpr std::uint64_t psys = 5;

void pmu(const FakeMachine& machine, const std::string& cpumask) {
  machine.perf_pmu(cpumask);
  machine.perf_event("energy-cores", cores);
  machine.perf_event("energy-pkg", pkg);
  machine.perf_event("energy-ram", ram);
}

TEST(RaplPerf, OneGroupPerPackageThePackageLeading) {
  FakeMachine machine;
  machine.two_packages();
  pmu(machine, "0,2");
  const auto opened = open(machine, "rapl_perf");
  EXPECT_EQ(names(*opened.source),
            (Names{"package-0", "core-0", "dram-0", "package-1", "core-1", "dram-1"}));
  EXPECT_DOUBLE_EQ(channel(*opened.source, "dram-1").scale, 1.0 / 4294967296.0);
  fake_perf::set(0, pkg, 111);
  fake_perf::set(2, ram, 777);
  Sweep sweep(6);
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
  EXPECT_EQ(sweep.raw()[0], 111U);
  EXPECT_EQ(sweep.raw()[5], 777U);
}

TEST(RaplPerf, AMaskThatListsEveryCpuIsThinned) {
  FakeMachine machine;
  machine.two_packages();
  pmu(machine, "0-3");
  const auto opened = open(machine, "rapl_perf");
  EXPECT_EQ(fake_perf::opened(), 6);
  EXPECT_EQ(opened.source->channels().size(), 6U);
}

TEST(RaplPerf, AMaskOfOneCpuPerDieIsOneEventPerDie) {
  FakeMachine machine("GenuineIntel", 6, 0x55);
  machine.two_dies();
  machine.perf_pmu("0,2");
  machine.perf_event("energy-pkg", pkg);
  fake_perf::set(0, pkg, 0);
  fake_perf::set(2, pkg, 0);
  fake_perf::drift(0, 262'144);
  fake_perf::drift(2, 2 * 262'144);
  EXPECT_EQ(names(*open(machine, "rapl_perf").source),
            (Names{"package-0-die-0", "package-0-die-1"}));
}

TEST(RaplPerf, DiesThatMirrorACounterCountOnce) {
  FakeMachine machine("GenuineIntel", 6, 0x55);
  machine.two_dies();
  machine.perf_pmu("0,2");
  machine.perf_event("energy-pkg", pkg);
  fake_perf::set(0, pkg, 1000);
  fake_perf::drift(0, 262'144);
  fake_perf::mirror(2, 0);
  const auto opened = open(machine, "rapl_perf");
  EXPECT_EQ(names(*opened.source), (Names{"package-0-die-0"}));
  ASSERT_EQ(opened.skipped.size(), 1U);
  EXPECT_EQ(opened.skipped[0].channel, "package-0-die-1");
  EXPECT_EQ(opened.skipped[0].code, "redundant");
}

TEST(RaplPerf, CountersThatStandStillAreNotTakenForMirrors) {
  FakeMachine machine("GenuineIntel", 6, 0x55);
  machine.two_dies();
  machine.perf_pmu("0,2");
  machine.perf_event("energy-pkg", pkg);
  EXPECT_EQ(open(machine, "rapl_perf").source->channels().size(), 2U);
}

TEST(RaplPerf, AbsentDomainsAreDroppedWithTheReason) {
  FakeMachine machine;
  machine.cpu(0, 0);
  pmu(machine, "0");
  fake_perf::refuse(ram, EINVAL);
  const auto opened = open(machine, "rapl_perf");
  EXPECT_EQ(names(*opened.source), (Names{"package-0", "core-0"}));
  ASSERT_EQ(opened.skipped.size(), 1U);
  EXPECT_EQ(opened.skipped[0].channel, "dram-0");
  EXPECT_TRUE(contains(opened.skipped[0].reason, "energy-ram"));
}

TEST(RaplPerf, OnlyDomainsWithAnEventAreOpened) {
  // On TPMI every number opens; what is not in the events directory reads 0.
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.perf_pmu("0");
  machine.perf_event("energy-pkg", pkg);
  machine.write("sys/bus/event_source/devices/power/events/energy-ram", "event=0x03");
  machine.write("sys/bus/event_source/devices/power/events/energy-ram.unit", "Watts");
  machine.write("sys/bus/event_source/devices/power/events/energy-ram.scale", "1");
  EXPECT_EQ(names(*open(machine, "rapl_perf").source), (Names{"package-0"}));
  EXPECT_EQ(fake_perf::opened(), 1);
}

TEST(RaplPerf, SapphireRapidsPsysIsNotOffered) {
  FakeMachine machine("GenuineIntel", 6, 0x8F);
  machine.cpu(0, 0);
  pmu(machine, "0");
  machine.perf_event("energy-psys", psys);
  const auto opened = open(machine, "rapl_perf");
  EXPECT_EQ(names(*opened.source), (Names{"package-0", "core-0", "dram-0"}));
  ASSERT_EQ(opened.skipped.size(), 1U);
  EXPECT_TRUE(contains(opened.skipped[0].reason, "whole joules"));
}

TEST(RaplPerf, PsysContainsThePackageWhichContainsTheCores) {
  FakeMachine machine;
  machine.cpu(0, 0);
  pmu(machine, "0");
  machine.perf_event("energy-psys", psys);
  const auto opened = open(machine, "rapl_perf");
  EXPECT_EQ(channel(*opened.source, "core-0").parent, "package-0");
  EXPECT_EQ(channel(*opened.source, "package-0").parent, "psys");
  EXPECT_EQ(channel(*opened.source, "dram-0").parent, "psys");
  EXPECT_EQ(channel(*opened.source, "psys").parent, "");
}

TEST(RaplPerf, ARefusalIsDeniedWithTheParanoidLevelAndTheRemedy) {
  for (const int error_number : {EACCES, EPERM}) {
    FakeMachine machine;
    machine.cpu(0, 0);
    pmu(machine, "0");
    machine.write("proc/sys/kernel/perf_event_paranoid", "2");
    fake_perf::refuse(pkg, error_number);
    const Error error = error_of([&] { open(machine, "rapl_perf"); });
    EXPECT_EQ(error.code(), Errc::denied);
    EXPECT_TRUE(contains(error.what(), "perf_event_paranoid is 2")) << error.what();
    EXPECT_TRUE(contains(error.remedy(), "sysctl"));
  }
}

// --- TPMI: its driver adds steps of a 32-bit register and does not care for the wrap.

constexpr std::uint64_t factor = 262'143;  // the driver's 2^32 × 61035 nJ, cut

struct Tpmi {
  FakeMachine machine;
  std::unique_ptr<Source> source;
  std::int64_t t_ns = 0;
  std::uint64_t count = 0;
  std::uint64_t before = 0;
  std::unique_ptr<Counter> counter;

  explicit Tpmi(std::uint64_t raw) : before(raw) {
    machine.cpu(0, 0);
    machine.perf_pmu("0");
    machine.perf_event("energy-pkg", pkg);
    machine.zone("intel-rapl:0", "package-0", 5);
    source = open(machine, "rapl_perf").source;
    counter = std::make_unique<Counter>(source->channels()[0]);
    advance(raw);
  }
  // The register moves; the driver adds the plain difference; the meter reads.
  std::uint64_t advance(std::uint64_t raw) {
    count += (raw - before) * factor;
    before = raw;
    fake_perf::set(0, pkg, count);
    Sweep sweep(1);
    EXPECT_EQ(source->read(sweep), ReadStatus::ok);
    t_ns += ms;
    return counter->advance(sweep.raw()[0], t_ns, t_ns + 10);
  }
};

TEST(RaplPerfTpmi, TheFallAtAWrapIsRepaired) {
  Tpmi tpmi(range32 - 700);
  EXPECT_EQ(tpmi.source->channels()[0].modulus, range32 * factor);
  EXPECT_EQ(tpmi.advance(range32 - 300), 0U);
  EXPECT_EQ(tpmi.advance(500), 0U);
  EXPECT_EQ(tpmi.advance(1500), 0U);
  EXPECT_EQ(tpmi.counter->value(), (400 + 800 + 1000) * factor);
}

TEST(RaplPerfTpmi, AFailedRegisterReadInventsNothing) {
  Tpmi tpmi(3'000'000'000);
  EXPECT_EQ(tpmi.advance(3'000'001'000), 0U);
  EXPECT_EQ(tpmi.advance(0), row::reset);
  EXPECT_NE(tpmi.advance(3'000'002'000) & row::reset, 0U);
  EXPECT_EQ(tpmi.advance(3'000'003'000), 0U);
  EXPECT_GE(tpmi.counter->value(), 2000 * factor);
  EXPECT_LE(tpmi.counter->value(), 3000 * factor);
}

TEST(RaplPerf, WithoutPowercapTheUnitIsTakenForTheLargest) {
  FakeMachine machine;
  machine.cpu(0, 0);
  pmu(machine, "0");
  machine.zone("intel-rapl:0", "package-0", 5);
  const auto opened = open(machine, "rapl_perf");
  EXPECT_EQ(channel(*opened.source, "package-0").quantum, factor + 1);
  EXPECT_EQ(channel(*opened.source, "core-0").quantum, range32);  // 1 J
  EXPECT_EQ(channel(*opened.source, "core-0").modulus, 0U);
}

TEST(RaplPerf, ReadErrorsFailAndEndOfFileIsGone) {
  FakeMachine machine;
  machine.cpu(0, 0);
  pmu(machine, "0");
  const auto opened = open(machine, "rapl_perf");
  Sweep sweep(3);
  fake_perf::fail_reads(EIO);
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::failed);
  EXPECT_EQ(sweep.error_number(), EIO);
  sweep.clear();
  fake_perf::fail_reads(fake_perf::end_of_file);
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::gone);
  sweep.clear();
  fake_perf::fail_reads(0);
  EXPECT_EQ(opened.source->read(sweep), ReadStatus::ok);
}

TEST(RaplPerf, APmuWithoutATypeOrAnEventIsNotOpened) {
  FakeMachine machine;
  machine.cpu(0, 0);
  EXPECT_EQ(error_of([&] { open(machine, "rapl_perf"); }).code(), Errc::absent);
  machine.perf_pmu("0");
  EXPECT_EQ(error_of([&] { open(machine, "rapl_perf"); }).code(), Errc::absent);
  machine.perf_event("energy-pkg", pkg);
  machine.write("sys/bus/event_source/devices/power/type", "rubbish");
  const Error error = error_of([&] { open(machine, "rapl_perf"); });
  EXPECT_EQ(error.code(), Errc::unsupported);
  EXPECT_TRUE(contains(error.what(), "rubbish"));
}

}  // namespace
}  // namespace wattring
