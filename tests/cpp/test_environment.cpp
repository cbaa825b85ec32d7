// SPDX-License-Identifier: Apache-2.0
// The outside world as text: files, lists, the processor's description.
#include "environment.hpp"

#include "machine.hpp"
#include "rapl.hpp"
#include "support.hpp"

namespace wattring {
namespace {

TEST(CpuList, FollowsTheKernelsFormat) {
  EXPECT_EQ(parse_cpu_list("0"), (std::vector{0}));
  EXPECT_EQ(parse_cpu_list("0-2,5"), (std::vector{0, 1, 2, 5}));
  EXPECT_EQ(parse_cpu_list("0,112"), (std::vector{0, 112}));
  EXPECT_EQ(parse_cpu_list(""), (std::vector<int>{}));
  EXPECT_EQ(parse_cpu_list("1,x"), (std::vector{1}));
  EXPECT_EQ(parse_cpu_list("0-99999999999"), (std::vector<int>{}));
}

TEST(Files, AMissingOrRubbishNumberNamesItsFile) {
  const FakeMachine machine;
  machine.write("sys/good", "42");
  machine.write("sys/rubbish", "4\x01two");
  EXPECT_EQ(read_number(machine.path("sys/good")), 42U);
  const Error absent = error_of([&] { read_number(machine.path("sys/none")); });
  EXPECT_EQ(absent.code(), Errc::absent);
  EXPECT_TRUE(contains(absent.what(), "sys/none"));
  const Error rubbish = error_of([&] { read_number(machine.path("sys/rubbish")); });
  EXPECT_EQ(rubbish.code(), Errc::unsupported);
  EXPECT_TRUE(contains(rubbish.what(), "4?two")) << "no control character reaches a terminal";
}

TEST(Files, NumbersAreWholeOrNone) {
  EXPECT_EQ(parse_number("18446744073709551615"), ~std::uint64_t{0});
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616"}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
}

TEST(Machine, IsReadFromCpuinfoAndTopology) {
  FakeMachine fake("AuthenticAMD", 25, 17);
  fake.two_packages();
  const Machine machine = Machine::read(fake.environment());
  EXPECT_TRUE(machine.amd());
  EXPECT_FALSE(machine.intel());
  EXPECT_EQ(machine.family, 25);
  EXPECT_EQ(machine.model, 17);
  EXPECT_EQ(machine.model_name, "Fake");
  ASSERT_EQ(machine.cpus.size(), 4U);
  EXPECT_EQ(machine.find(3)->package, 1);
  EXPECT_EQ(machine.find(3)->core, 1);
  EXPECT_EQ(machine.find(4), nullptr);
  EXPECT_FALSE(machine.several_dies(0));
}

TEST(Machine, OfflineCpusAreNotLookedAt) {
  FakeMachine fake;
  fake.two_packages();
  fake.write("sys/devices/system/cpu/online", "1,3");
  const auto leads = rapl::leads(Machine::read(fake.environment()));
  ASSERT_EQ(leads.size(), 2U);
  EXPECT_EQ(leads[0].cpu, 1);
  EXPECT_EQ(leads[1].cpu, 3);
}

TEST(Machine, NumbersThatTheKernelDoesNotHaveAreZero) {
  FakeMachine fake;
  fake.cpu(0, -1, -1, -1);
  const Machine machine = Machine::read(fake.environment());
  EXPECT_EQ(machine.cpus.at(0).package, 0);
  EXPECT_EQ(machine.cpus.at(0).die, 0);
}

TEST(Machine, OneLeadPerPackageOrDie) {
  FakeMachine intel;
  intel.two_dies();
  const auto by_die = rapl::leads(Machine::read(intel.environment()));
  ASSERT_EQ(by_die.size(), 2U);
  EXPECT_EQ(by_die[1].place, (rapl::Place{0, 1}));
  EXPECT_EQ(by_die[1].cpu, 2);
  FakeMachine amd("AuthenticAMD", 25, 17);
  amd.two_dies();
  const auto by_package = rapl::leads(Machine::read(amd.environment()));
  ASSERT_EQ(by_package.size(), 1U);
  EXPECT_EQ(by_package[0].place, (rapl::Place{0, -1}));
}

}  // namespace
}  // namespace wattring
