// SPDX-License-Identifier: Apache-2.0
// What a GPU answers to, as channels: by its sensors, its scopes, and what its driver's library
// has; and what a sweep costs.
#include <cstdio>
#include <map>

#include "nvml_gpu_test.hpp"

namespace wattring {
namespace {

// "name kind unit scale [< parent] [refresh/averaging]" of each channel.
Names described(const Source& source) {
  const std::map<Kind, std::string> kinds{{Kind::counter, "counter"},
                                          {Kind::gauge, "gauge"},
                                          {Kind::integral, "integral"},
                                          {Kind::variance, "variance"}};
  Names rows;
  for (const Channel& channel : source.channels()) {
    char text[200];
    std::snprintf(text, sizeof text, "%s %s %s %g%s %lld/%lld", channel.name.c_str(),
                  kinds.at(channel.kind).c_str(), channel.unit.c_str(), channel.scale,
                  channel.parent.empty() ? "" : (" < " + channel.parent).c_str(),
                  static_cast<long long>(channel.refresh_ns / ms),
                  static_cast<long long>(channel.averaging_ns / ms));
    rows.emplace_back(text);
  }
  return rows;
}

TEST_F(NvmlGpuTest, HopperHasACounterAnInstantAndAnAverage) {
  const auto source = open_gpus(hopper);
  EXPECT_EQ(described(*source),
            (Names{"gpu-0 counter J 0.001 100/0", "gpu-0-power gauge W 0.001 100/25",
                   "gpu-0-integral integral J 1e-06 < gpu-0 100/25",
                   "gpu-0-integral-variance variance J² 1e-06 100/25",
                   "gpu-0-power-average gauge W 0.001 100/1000"}));
  EXPECT_TRUE(contains(channel(*source, "gpu-0-integral").note, "25 ms of each 100 ms"));
  EXPECT_TRUE(contains(channel(*source, "gpu-0-integral").note, "2312.02741"));
  EXPECT_EQ(channel(*source, "gpu-0-power").note, "");
  for (const Channel& each : source->channels()) {
    EXPECT_TRUE(contains(each.device, "GPU-fa4e0000-0000-4000-8000-000000000000")) << each.name;
  }
}

TEST_F(NvmlGpuTest, Ga100HasNoAverage) {
  EXPECT_EQ(described(*open_gpus(ga100)),
            (Names{"gpu-0 counter J 0.001 100/0", "gpu-0-power gauge W 0.001 100/25",
                   "gpu-0-integral integral J 1e-06 < gpu-0 100/25",
                   "gpu-0-integral-variance variance J² 1e-06 100/25"}));
}

TEST_F(NvmlGpuTest, OtherAmperesSeeAllOfTheTime) {
  const auto source = open_gpus(ampere);
  EXPECT_EQ(described(*source)[2], "gpu-0-integral integral J 1e-06 < gpu-0 100/100");
  EXPECT_EQ(names(*source).back(), "gpu-0-power-average");
  EXPECT_FALSE(contains(channel(*source, "gpu-0-integral").note, " of each "));
}

TEST_F(NvmlGpuTest, VoltaIsQuick) {
  EXPECT_EQ(described(*open_gpus(volta))[2], "gpu-0-integral integral J 1e-06 < gpu-0 20/10");
}

TEST_F(NvmlGpuTest, PascalCountsNoEnergySoItsPowerIsIntegrated) {
  const auto source = open_gpus(pascal);
  EXPECT_EQ(described(*source),
            (Names{"gpu-0-power gauge W 0.001 20/10", "gpu-0 integral J 1e-06 20/10",
                   "gpu-0-variance variance J² 1e-06 20/10"}));
}

TEST_F(NvmlGpuTest, AnAverageIsIntegratedWhereThereIsNothingElse) {
  Gpus gpus = hopper;
  gpus.sensor = "average=100/1000,usage=average";
  const auto source = open_gpus(gpus);
  EXPECT_EQ(described(*source),
            (Names{"gpu-0-power-average gauge W 0.001 100/1000", "gpu-0 integral J 1e-06 100/1000",
                   "gpu-0-variance variance J² 1e-06 100/1000"}));
  EXPECT_TRUE(contains(channel(*source, "gpu-0").note, "the mean of 1000 ms"));
}

TEST_F(NvmlGpuTest, WithoutFieldsTheUsageIsWhatItIsOnTheCard) {
  machine_.nvml(fake_nvml::library_without_fields());
  EXPECT_EQ(described(*open_gpus(hopper)),
            (Names{"gpu-0 counter J 0.001 100/0", "gpu-0-power-average gauge W 0.001 100/1000",
                   "gpu-0-integral integral J 1e-06 < gpu-0 100/1000",
                   "gpu-0-integral-variance variance J² 1e-06 100/1000"}));
  EXPECT_EQ(described(*open_gpus(volta)),
            (Names{"gpu-0 counter J 0.001 100/0", "gpu-0-power gauge W 0.001 20/10",
                   "gpu-0-integral integral J 1e-06 < gpu-0 20/10",
                   "gpu-0-integral-variance variance J² 1e-06 20/10"}));
  EXPECT_EQ(names(*open_gpus(pascal)), (Names{"gpu-0-power", "gpu-0", "gpu-0-variance"}));
}

TEST_F(NvmlGpuTest, WithoutTheFunctionOfTheEnergyItsFieldServes) {
  machine_.nvml(fake_nvml::library_without_energy());
  EXPECT_EQ(open_gpus(hopper)->channels()[0].kind, Kind::counter);
  machine_.nvml(fake_nvml::library());
  EXPECT_EQ(open_gpus(hopper, "nvmlDeviceGetFieldValues:83=3")->channels()[0].kind, Kind::counter)
      << "and the other way round";
  EXPECT_EQ(
      channel(*open_gpus(hopper, std::string(energy) + "=3,nvmlDeviceGetFieldValues:83=3"), "gpu-0")
          .kind,
      Kind::integral);
}

TEST_F(NvmlGpuTest, TheFirstVersionsOfFunctionsServe) {
  machine_.nvml(fake_nvml::library_of_old_names());
  EXPECT_EQ(names(*open_gpus(hopper)), (Names{"gpu-0", "gpu-0-power", "gpu-0-integral",
                                              "gpu-0-integral-variance", "gpu-0-power-average"}));
}

TEST_F(NvmlGpuTest, OfAnUnknownArchitectureNothingIsTakenForGranted) {
  Gpus gpus = hopper;
  gpus.architecture = "10";
  const auto source = open_gpus(gpus);
  EXPECT_EQ(described(*source)[2], "gpu-0-integral integral J 1e-06 < gpu-0 0/0");
  EXPECT_TRUE(contains(channel(*source, "gpu-0-integral").note, "unknown"));
}

TEST_F(NvmlGpuTest, FurtherScopesAreInsideOrAround) {
  Gpus gpus = hopper;
  gpus.scopes = "memory=0.2,module=1.4";
  const auto source = open_gpus(gpus);
  EXPECT_EQ(described(*source)[0], "gpu-0-module counter J 0.001 100/0");
  EXPECT_EQ(described(*source)[1], "gpu-0 counter J 0.001 < gpu-0-module 100/0");
  EXPECT_EQ(described(*source).back(), "gpu-0-memory counter J 0.001 < gpu-0 100/0");
  Sweep sweep(source->channels().size());
  EXPECT_EQ(source->read(sweep), ReadStatus::ok);
  const auto gpu_mj = static_cast<double>(sweep.raw()[1]);
  EXPECT_NEAR(static_cast<double>(sweep.raw()[0]) / gpu_mj, 1.4, 1e-3);
  EXPECT_NEAR(static_cast<double>(sweep.raw().back()) / gpu_mj, 0.2, 1e-3);
}

TEST_F(NvmlGpuTest, AScopeOfWhichOnlyThePowerIsToldIsIntegrated) {
  Gpus gpus = hopper;
  gpus.scopes = "memory=0.2/power,module=1.4/power";
  const auto source = open_gpus(gpus);
  EXPECT_EQ(names(*source), (Names{"gpu-0-module-power", "gpu-0-module", "gpu-0-module-variance",
                                   "gpu-0", "gpu-0-power", "gpu-0-integral",
                                   "gpu-0-integral-variance", "gpu-0-power-average",
                                   "gpu-0-memory-power", "gpu-0-memory", "gpu-0-memory-variance"}));
  EXPECT_EQ(channel(*source, "gpu-0").parent, "gpu-0-module");
  EXPECT_EQ(channel(*source, "gpu-0-memory").parent, "gpu-0");
  EXPECT_EQ(channel(*source, "gpu-0-memory").kind, Kind::integral);
}

TEST_F(NvmlGpuTest, PowersAreMilliwattsAndMicrowatts) {
  const auto source = open_gpus(hopper);
  Sweep sweep(5);
  EXPECT_EQ(source->read(sweep), ReadStatus::ok);
  EXPECT_EQ(sweep.raw()[1], 300'000U);
  EXPECT_EQ(sweep.raw()[2], 300'000'000U);
  EXPECT_EQ(sweep.raw()[4], 300'000U);
}

TEST_F(NvmlGpuTest, ASweepIsOneCallForEachGpu) {
  Gpus gpus = hopper;
  gpus.powers = "const:300,const:200,const:100";
  gpus.scopes = "memory=0.2,module=1.4";
  const auto source = open_gpus(gpus);
  Sweep sweep(source->channels().size());
  const int before = fake_nvml::calls(fields);
  const int others = fake_nvml::calls(energy) + fake_nvml::calls(usage);
  for (int i = 1; i <= 10; ++i) {
    EXPECT_EQ(source->read(sweep), ReadStatus::ok);
    EXPECT_EQ(fake_nvml::calls(fields), before + 3 * i);
  }
  EXPECT_EQ(fake_nvml::calls(energy) + fake_nvml::calls(usage), others);
}

}  // namespace
}  // namespace wattring
