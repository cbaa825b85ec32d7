// SPDX-License-Identifier: Apache-2.0
// What every source promises, over every source that was built in: a new one is checked by being
// there.
#include <set>

#include "counter.hpp"
#include "counting_new.hpp"
#include "full_machine.hpp"
#include "support.hpp"

namespace wattring {
namespace {

std::vector<const SourceType*> all_types() {
  return {source_types().begin(), source_types().end()};
}
// Those that read hardware, which here is a fake.
std::vector<const SourceType*> real_types() {
  std::vector<const SourceType*> real = all_types();
  std::erase_if(real, [](const SourceType* type) { return type->preference == 0; });
  return real;
}
std::string name_of_test(const testing::TestParamInfo<const SourceType*>& test) {
  return test.param->name;
}

class Contract : public testing::TestWithParam<const SourceType*> {
 protected:
  std::unique_ptr<Source> open_source() const {
    return wattring::open(machine_, GetParam()->name).source;
  }
  FullMachine machine_;
};
class RealContract : public Contract {};

INSTANTIATE_TEST_SUITE_P(All, Contract, testing::ValuesIn(all_types()), name_of_test);
INSTANTIATE_TEST_SUITE_P(Hardware, RealContract, testing::ValuesIn(real_types()), name_of_test);

TEST(Registry, HasTheSourcesOfTheTree) {
  std::set<std::string> found;
  for (const SourceType* type : all_types()) {
    found.insert(type->name);
    EXPECT_NE(std::string(type->summary), "");
  }
  EXPECT_EQ(found.size(), all_types().size());
  for (const char* name : {"nvml", "rapl_msr", "rapl_perf", "rapl_powercap", "simulated"}) {
    EXPECT_EQ(found.count(name), 1U) << name;
  }
}

TEST_P(Contract, ChannelsAreNamedOnceAndFullyDescribed) {
  const auto source = open_source();
  std::set<std::string> found;
  ASSERT_FALSE(source->channels().empty());
  for (const Channel& c : source->channels()) {
    EXPECT_TRUE(found.insert(c.name).second) << c.name << " twice";
    EXPECT_NE(c.device, "") << c.name;
    EXPECT_GT(c.scale, 0) << c.name;
    EXPECT_GT(c.max_power_w, 0) << c.name;
    EXPECT_GE(c.quantum, 1U) << c.name;
    EXPECT_GE(c.refresh_ns, 0) << c.name;
    EXPECT_NE(c.parent, c.name);
  }
}

TEST_P(Contract, ChannelsStayAndComeBackTheSame) {
  const auto source = open_source();
  const Names before = names(*source);
  const Channel* where = source->channels().data();
  Sweep sweep(source->channels().size());
  for (int i = 0; i < 10; ++i) {
    source->read(sweep);
  }
  EXPECT_EQ(source->channels().data(), where);
  EXPECT_EQ(names(*source), before);
  EXPECT_EQ(names(*open_source()), before);
}

TEST_P(Contract, ChannelsThatAnotherSourceReadsAreLeftOut) {
  const Environment env = machine_.environment();
  Opening opening{.env = env};
  const std::string first = open_source()->channels()[0].name;
  opening.taken = {first};
  const auto source = GetParam()->open(opening);
  for (const Channel& c : source->channels()) {
    EXPECT_NE(c.name, first);
  }
  opening.taken = names(*open_source());
  EXPECT_TRUE(GetParam()->open(opening)->channels().empty());
}

TEST_P(Contract, AReadSetsEveryValueAndAllocatesNothing) {
  const auto source = open_source();
  constexpr std::uint64_t untouched = 0xA5A5'A5A5'A5A5'A5A5;
  Sweep sweep(source->channels().size());
  for (std::uint64_t& raw : sweep.raw()) {
    raw = untouched;
  }
  const std::uint64_t before = allocations();
  for (int i = 0; i < 100; ++i) {
    sweep.clear();
    ASSERT_EQ(source->read(sweep), ReadStatus::ok);
  }
  EXPECT_EQ(allocations(), before);
  for (std::size_t i = 0; i < source->channels().size(); ++i) {
    EXPECT_FALSE(sweep.failed(i));
    EXPECT_NE(sweep.raw()[i], untouched) << source->channels()[i].name;
    if (source->channels()[i].modulus != 0) {
      EXPECT_LT(sweep.raw()[i], source->channels()[i].modulus);
    }
  }
  EXPECT_GT((std::make_unique<int>(0), allocations()), before) << "nothing is being counted";
}

// The machine moves at 100 W; every counter counts 100 J in a second, through a wrap.
TEST_P(RealContract, AHundredWattsForASecondAreAHundredJoules) {
  const auto source = open_source();
  const std::size_t n = source->channels().size();
  std::vector<Counter> counters(source->channels().begin(), source->channels().end());
  std::vector<std::uint64_t> last(n);
  Sweep sweep(n);
  for (std::int64_t t_ns = 0; t_ns <= 1000 * ms; t_ns += 50 * ms) {
    machine_.stand_at(100 * static_cast<double>(t_ns) * 1e-9);
    ASSERT_EQ(source->read(sweep), ReadStatus::ok);
    for (std::size_t i = 0; i < n; ++i) {
      if (source->channels()[i].kind != Kind::counter) {
        continue;
      }
      EXPECT_EQ(counters[i].advance(sweep.raw()[i], t_ns, t_ns + 100), 0U);
      EXPECT_GE(counters[i].value(), last[i]);
      last[i] = counters[i].value();
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const Channel& c = source->channels()[i];
    if (c.kind != Kind::counter) {
      continue;
    }
    // Nothing but the rounding to the hardware's unit.
    EXPECT_NEAR(static_cast<double>(last[i]) * c.scale, 100,
                static_cast<double>(c.quantum) * c.scale)
        << c.name;
  }
}

TEST_P(RealContract, WhatIsNotThereIsAbsentWithAReason) {
  FakeMachine machine;
  machine.cpu(0, 0);
  const Error error = error_of([&] { open(machine, GetParam()->name); });
  EXPECT_EQ(error.code(), Errc::absent);
  EXPECT_NE(std::string(error.what()), "");
  EXPECT_NE(error.remedy(), "");
}

TEST_P(RealContract, BrokenReadsFailOnEveryChannelAndAllocateNothing) {
  const auto source = open_source();
  machine_.break_all();
  Sweep sweep(source->channels().size());
  const std::uint64_t before = allocations();
  EXPECT_EQ(source->read(sweep), ReadStatus::failed);
  EXPECT_EQ(allocations(), before);
  EXPECT_NE(sweep.error_number(), 0);
  for (std::size_t i = 0; i < source->channels().size(); ++i) {
    EXPECT_TRUE(sweep.failed(i));
  }
}

TEST_P(RealContract, AVanishedDeviceIsGone) {
  const auto source = open_source();
  machine_.vanish();
  Sweep sweep(source->channels().size());
  EXPECT_EQ(source->read(sweep), ReadStatus::gone);
}

}  // namespace
}  // namespace wattring
