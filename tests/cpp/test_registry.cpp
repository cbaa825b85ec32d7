// SPDX-License-Identifier: Apache-2.0
// The choice between sources: each domain once, from the best, and what was left out is named.
#include "full_machine.hpp"
#include "support.hpp"

namespace wattring {
namespace {

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
  ASSERT_EQ(selection.skipped.size(), 2U);
  EXPECT_EQ(selection.skipped[0].source, "rapl_msr");
  EXPECT_EQ(selection.skipped[0].code, "absent");
  EXPECT_EQ(selection.skipped[1].source, "nvml");
}

TEST(Registry, AutoNamesWhatIsRedundant) {
  const FullMachine machine;
  const Environment env = machine.environment();
  const Selection selection = open_sources(env, {"auto"});
  ASSERT_EQ(selection.sources.size(), 2U);
  EXPECT_EQ(selection.sources[0].name, "rapl_perf");
  EXPECT_EQ(selection.sources[1].name, "nvml") << "other devices: beside RAPL, not in its place";
  Names redundant;
  for (const Skipped& skipped : selection.skipped) {
    EXPECT_EQ(skipped.code, "redundant");
    redundant.push_back(skipped.source);
  }
  EXPECT_EQ(redundant, (Names{"rapl_msr", "rapl_powercap"}));
}

TEST(Registry, AutoGoesOnToTheNextWhereOneIsDenied) {
  const FullMachine machine;
  fake_perf::refuse(2, EACCES);
  const Environment env = machine.environment();
  const Selection selection = open_sources(env, {"auto"});
  ASSERT_EQ(selection.sources.size(), 2U);
  EXPECT_EQ(selection.sources[0].name, "rapl_msr");
  EXPECT_EQ(selection.skipped.at(0).source, "rapl_perf");
  EXPECT_EQ(selection.skipped.at(0).code, "denied");
  EXPECT_NE(selection.skipped.at(0).remedy, "");
}

TEST(Registry, NamedSourcesShareTheDomainsInTheirOrder) {
  const FullMachine machine;
  const Environment env = machine.environment();
  const Selection selection = open_sources(env, {"rapl_powercap", "rapl_perf"});
  ASSERT_EQ(selection.sources.size(), 1U);
  EXPECT_EQ(selection.sources[0].name, "rapl_powercap");
  EXPECT_EQ(selection.skipped.at(0).code, "redundant");
}

TEST(Registry, TheSimulatedMachineIsNeverChosenSilently) {
  const FakeMachine machine;
  const Environment env = machine.environment();
  const Error error = error_of([&] { open_sources(env, {"auto"}); });
  EXPECT_EQ(error.code(), Errc::absent);
  EXPECT_FALSE(contains(error.what(), "simulated"));
  const Selection selection = open_sources(env, {"simulated"});
  for (const Channel& c : selection.sources.at(0).source->channels()) {
    EXPECT_TRUE(contains(c.note, "SIMULATED"));
  }
}

TEST(Registry, NoSensorNamesEveryReason) {
  FakeMachine machine;
  machine.cpu(0, 0);
  const Environment env = machine.environment();
  const Error error = error_of([&] { open_sources(env, {"auto"}); });
  EXPECT_EQ(error.code(), Errc::absent);
  for (const SourceType* type : source_types()) {
    EXPECT_EQ(contains(error.what(), std::string(type->name) + ": "), type->preference > 0)
        << type->name;
  }
  EXPECT_NE(error.remedy(), "");
}

TEST(Registry, DeniedStaysDenied) {
  FakeMachine machine;
  machine.cpu(0, 0);
  machine.perf_pmu("0");
  machine.perf_event("energy-pkg", 2);
  fake_perf::refuse(2, EACCES);
  const Environment env = machine.environment();
  const Error error = error_of([&] { open_sources(env, {"auto"}); });
  EXPECT_EQ(error.code(), Errc::denied);
  EXPECT_TRUE(contains(error.what(), "Permission denied"));
  EXPECT_TRUE(contains(error.remedy(), "perf_event_paranoid"));
}

TEST(Registry, ASourceThatIsAskedForAndCannotOpenIsAnError) {
  FakeMachine machine;
  machine.cpu(0, 0);
  EXPECT_EQ(error_of([&] { open(machine, "rapl_perf"); }).code(), Errc::absent);
}

TEST(Registry, UnknownNamesAreAnsweredWithTheKnownOnes) {
  const FakeMachine machine;
  const Error error = error_of([&] { open(machine, "rapl"); });
  EXPECT_EQ(error.code(), Errc::invalid);
  for (const SourceType* type : source_types()) {
    EXPECT_TRUE(contains(error.remedy(), type->name));
  }
  const Environment env = machine.environment();
  EXPECT_EQ(error_of([&] { open_sources(env, {}); }).code(), Errc::invalid);
}

}  // namespace
}  // namespace wattring
