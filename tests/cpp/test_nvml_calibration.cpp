// SPDX-License-Identifier: Apache-2.0
// What a session knows of a GPU's sensors: what was calibrated, what its first seconds show, and
// further gauges.
#include <cstdio>
#include <fstream>

#include "nvml_calibration.hpp"
#include "session.hpp"
#include "support.hpp"

namespace wattring {
namespace {

const char* const uuid = "GPU-fa4e0000-0000-4000-8000-000000000000";
const char* const driver = "550.54.15";

class CalibrationTest : public testing::Test {
 protected:
  CalibrationTest() {
    machine_.nvml(fake_nvml::library());
    fake_nvml::configure("const:300", "", "hopper");
  }
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  Environment environment() const {
    Environment env = machine_.environment();
    env.calibration = path_;
    return env;
  }
  Selection select() const { return open_sources(environment(), {"nvml"}); }

  FakeMachine machine_;
  std::string path_ = machine_.environment().sys + "/sensors";
};

std::string line(const std::string& of_driver, const std::string& rest) {
  return std::string(uuid) + " " + of_driver + " " + rest + "\n";
}

TEST_F(CalibrationTest, WhatWasMeasuredTakesThePlaceOfWhatIsPublished) {
  write("# a comment\n\n" + line(driver, "instant 50000000 20000000 1 2 # another") +
        line(driver, "average 0 900000000 0 0") + "GPU-other 1.0 counter 1 0 0 0\n");
  const Selection selection = select();
  const Source& source = *selection.sources.at(0).source;
  EXPECT_EQ(channel(source, "gpu-0-power").refresh_ns, 50 * ms);
  EXPECT_EQ(channel(source, "gpu-0-integral").averaging_ns, 20 * ms);
  EXPECT_EQ(channel(source, "gpu-0-integral").delay_ns(), -15 * ms);
  EXPECT_TRUE(contains(channel(source, "gpu-0-integral").note, "as calibrated"));
  EXPECT_EQ(channel(source, "gpu-0-power-average").refresh_ns, 100 * ms) << "0: not known";
  EXPECT_EQ(channel(source, "gpu-0-power-average").averaging_ns, 900 * ms);
  EXPECT_EQ(channel(source, "gpu-0").refresh_ns, 100 * ms);
  EXPECT_TRUE(selection.skipped.empty());
}

TEST_F(CalibrationTest, ThatOfAnotherDriverIsNotUsedAndSaidToBe) {
  write(line("560.1", "instant 50000000 20000000 0 0"));
  const Selection selection = select();
  EXPECT_EQ(channel(*selection.sources.at(0).source, "gpu-0-power").refresh_ns, 100 * ms);
  ASSERT_EQ(selection.skipped.size(), 1U);
  EXPECT_EQ(selection.skipped[0].channel + " " + selection.skipped[0].code, "gpu-0 outdated");
  EXPECT_EQ(selection.skipped[0].remedy, "wattring calibrate");
  write(line("560.1", "counter 1 0 0 0") + line(driver, "counter 20000000 0 0 0"));
  EXPECT_EQ(channel(*select().sources.at(0).source, "gpu-0").refresh_ns, 20 * ms);
}

TEST_F(CalibrationTest, ADamagedFileIsNamedByItsLineAndNotUsedAtAll) {
  const std::string good = line(driver, "instant 50000000 20000000 0 0");
  for (const std::string& bad :
       {line(driver, "instant 50000000 20000000 0"),
        line(driver, "instant 50000000 20000000 0 0 0"),
        line(driver, "sideways 50000000 20000000 0 0"), line(driver, "instant -1 20000000 0 0"),
        line(driver, "instant 5e7 20000000 0 0"), std::string(uuid) + "\n"}) {
    write(good + bad);
    const Selection selection = select();
    EXPECT_EQ(channel(*selection.sources.at(0).source, "gpu-0-power").refresh_ns, 100 * ms) << bad;
    ASSERT_EQ(selection.skipped.size(), 1U) << bad;
    EXPECT_EQ(selection.skipped[0].code, "invalid");
    EXPECT_TRUE(contains(selection.skipped[0].reason, path_ + ", line 2"))
        << selection.skipped[0].reason;
  }
}

TEST_F(CalibrationTest, WithoutAFileNothingIsSaid) {
  EXPECT_TRUE(select().skipped.empty());
  EXPECT_EQ(nvml::Calibration(machine_.environment().sys).damage().empty(), false)
      << "a folder is no file";
}

TEST_F(CalibrationTest, FurtherGaugesAreReadWhenAskedFor) {
  Environment env = environment();
  env.gpu_gauges = {"temperature", "throttle", "clocks", "utilization", "power_limit"};
  fake_nvml::configure("const:300", "nvmlDeviceGetUtilizationRates=3", "hopper");
  const Selection selection = open_sources(env, {"nvml"});
  Source& source = *selection.sources.at(0).source;
  EXPECT_EQ(channel(source, "gpu-0-temperature").unit, "°C");
  EXPECT_EQ(channel(source, "gpu-0-power-limit").scale, 1e-3);
  std::string lacking;
  for (const Skipped& skipped : selection.skipped) {
    EXPECT_EQ(skipped.code, "unsupported");
    lacking += skipped.channel + " ";
  }
  EXPECT_EQ(lacking, "gpu-0-utilization gpu-0-memory-utilization ");
  Sweep sweep(source.channels().size());
  EXPECT_EQ(source.read(sweep), ReadStatus::ok);
  const auto read = [&](const char* name) {
    for (std::size_t i = 0; i < source.channels().size(); ++i) {
      if (source.channels()[i].name == name) {
        return sweep.raw()[i];
      }
    }
    return std::uint64_t{0};
  };
  EXPECT_EQ(read("gpu-0-power-limit"), 700'000U);
  EXPECT_GT(read("gpu-0-temperature"), 20U);
  EXPECT_GT(read("gpu-0-sm-clock"), 100U);
  EXPECT_GT(read("gpu-0-memory-clock"), 1000U);
  env.gpu_gauges = {"fans"};
  const Error error = error_of([&] { open_sources(env, {"auto"}); });
  EXPECT_EQ(error.code(), Errc::invalid);
  EXPECT_TRUE(contains(error.remedy(), "temperature"));
}

// Published: 100 ms.
TEST_F(CalibrationTest, TheFirstSecondsCorrectACountersRefresh) {
  using Case = std::pair<const char*, std::int64_t>;
  for (const auto& [sensor, refresh_ns] :
       {Case{"counter=50,instant=50/50", 50 * ms}, Case{"counter=20", 19 * ms}}) {
    fake_nvml::configure("const:300", "", sensor);
    Session session(environment(), {"nvml"}, {.period_ns = ms, .rows = 1024});
    const Sampler& sampler = *session.samplers()[0];
    EXPECT_EQ(sampler.channels()[0].refresh_ns, 100 * ms);
    session.start();
    const std::int64_t until_ns = now_ns() + 30'000 * ms;
    while (sampler.channels()[0].refresh_ns == 100 * ms && now_ns() < until_ns) {
      sleep_for(10 * ms);
    }
    EXPECT_NEAR(static_cast<double>(sampler.channels()[0].refresh_ns),
                static_cast<double>(refresh_ns), 12e6)  // a busy machine misses some changes
        << sensor;
    EXPECT_EQ(sampler.source().channels()[0].refresh_ns, 100 * ms);
  }
}

}  // namespace
}  // namespace wattring
