// SPDX-License-Identifier: Apache-2.0
// GPUs that the program which measures cannot see: left out with "auto", and said.
#include "support.hpp"

namespace wattring {
namespace {

std::string uuid(int gpu) {
  return "GPU-fa4e0000-0000-4000-8000-00000000000" + std::to_string(gpu);
}

class NvmlVisibleTest : public testing::Test {
 protected:
  NvmlVisibleTest() { machine_.nvml(fake_nvml::library()); }
  Selection select(const std::vector<std::string>& sources,
                   std::map<std::string, std::string> notes,
                   const std::string& failures = "") const {
    fake_nvml::configure("set,set,set", failures, "counter=100");
    Environment env = machine_.environment();
    env.visible_gpus = VisibleGpus{"VARIABLE=2", std::move(notes)};
    return open_sources(env, sources);
  }
  FakeMachine machine_;
};

TEST_F(NvmlVisibleTest, AutoTakesWhatIsVisibleUnderItsOwnName) {
  const Selection selection = select({"auto"}, {{uuid(2), "of a kind"}});
  ASSERT_EQ(selection.sources.size(), 1U);
  Source& source = *selection.sources[0].source;
  EXPECT_EQ(names(source), (Names{"gpu-2"}));
  EXPECT_TRUE(contains(source.channels()[0].note, "; of a kind"));
  Names hidden;
  for (const Skipped& skipped : selection.skipped) {
    if (skipped.source == "nvml") {
      EXPECT_EQ(skipped.code, "hidden");
      EXPECT_EQ(skipped.reason, "VARIABLE=2 leaves it out");
      EXPECT_EQ(skipped.remedy, "sources=\"all\"");
      hidden.push_back(skipped.channel);
    }
  }
  EXPECT_EQ(hidden, (Names{"gpu-0", "gpu-1"}));
  fake_nvml::set(0, 1);
  fake_nvml::set(2, 3);
  Sweep sweep(1);
  EXPECT_EQ(source.read(sweep), ReadStatus::ok);
  EXPECT_EQ(sweep.raw()[0], 3U);
}

TEST_F(NvmlVisibleTest, WhatIsAskedForIsThereWhetherVisibleOrNot) {
  for (const std::string only : {"all", "nvml"}) {
    const Selection selection = select({only}, {});
    ASSERT_EQ(selection.sources.size(), 1U);
    EXPECT_EQ(names(*selection.sources[0].source), (Names{"gpu-0", "gpu-1", "gpu-2"}));
    for (const Skipped& skipped : selection.skipped) {
      EXPECT_NE(skipped.code, "hidden");
    }
  }
}

TEST_F(NvmlVisibleTest, ANoteThatIsEmptyChangesNothing) {
  const Selection selection = select({"auto"}, {{uuid(0), ""}});
  EXPECT_FALSE(selection.sources.at(0).source->channels()[0].note.ends_with("; "));
}

TEST_F(NvmlVisibleTest, AllHiddenIsSaidOnceAndTheRestIsMeasured) {
  machine_.zone("intel-rapl:0", "package-0", 5);
  const Selection selection = select({"auto"}, {});
  ASSERT_EQ(selection.sources.size(), 1U);
  EXPECT_EQ(selection.sources[0].name, "rapl_powercap");
  const Skipped& last = selection.skipped.back();
  EXPECT_EQ(last.source + last.channel + " " + last.code, "nvml hidden");
  EXPECT_EQ(last.reason, "VARIABLE=2 leaves it out");
  EXPECT_NE(selection.skipped.at(selection.skipped.size() - 2).source, "nvml");
}

TEST_F(NvmlVisibleTest, WithNothingElseAllHiddenIsTheReason) {
  const Error error = error_of([&] { select({"auto"}, {}); });
  EXPECT_EQ(error.code(), Errc::absent);
  EXPECT_TRUE(contains(error.what(), "nvml: VARIABLE=2 leaves it out"));
  EXPECT_EQ(error.remedy(), "sources=\"all\"");
}

TEST_F(NvmlVisibleTest, AVisibleOneThatIsRefusedIsNotRedundant) {
  machine_.zone("intel-rapl:0", "package-0", 5);
  const Selection selection =
      select({"auto"}, {{uuid(1), ""}},
             "nvmlDeviceGetFieldValues@1=4,nvmlDeviceGetTotalEnergyConsumption@1=4");
  const Skipped& last = selection.skipped.back();
  EXPECT_EQ(last.source + last.channel + " " + last.code, "nvml denied");
  EXPECT_NE(last.remedy, "");
}

}  // namespace
}  // namespace wattring
