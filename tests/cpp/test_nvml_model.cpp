// SPDX-License-Identifier: Apache-2.0
// What is published of GPUs' sensors, architecture by architecture (arXiv 2312.02741, drivers after
// 530; nvml.h), by NVML's numbers and the names that drivers give the cards.
#include "nvml_model.hpp"

#include "support.hpp"

namespace wattring {
namespace {

using nvml::published_sensors;
using nvml::Sensor;
using nvml::Sensors;

constexpr Sensor part_of_time{100 * ms, 25 * ms};
constexpr Sensor whole_time{100 * ms, 100 * ms};
constexpr Sensor quick{20 * ms, 10 * ms};
constexpr Sensor second{100 * ms, 1000 * ms};

struct Case {
  const char* card;
  unsigned architecture;
  Sensor instant;
  bool usage_is_average;
};

class PublishedSensors : public testing::TestWithParam<Case> {};

TEST_P(PublishedSensors, AreThoseOfTheCard) {
  const Case& c = GetParam();
  const Sensors sensors = published_sensors(c.architecture, c.card);
  EXPECT_EQ(sensors.instant, c.instant) << c.card;
  EXPECT_EQ(sensors.usage_is_average, c.usage_is_average) << c.card;
  EXPECT_EQ(sensors.average, second) << c.card;
  EXPECT_EQ(sensors.counter.refresh_ns, 100 * ms) << c.card;
  EXPECT_EQ(sensors.counter.averaging_ns, 0) << c.card;
  EXPECT_TRUE(contains(sensors.origin, "2312.02741")) << c.card;
}

INSTANTIATE_TEST_SUITE_P(
    Table, PublishedSensors,
    testing::Values(
        Case{"Tesla P100-PCIE-16GB", 4, quick, false},
        Case{"NVIDIA GeForce GTX 1080 Ti", 4, quick, false},
        Case{"Tesla V100-SXM2-32GB", 5, quick, false},
        Case{"NVIDIA TITAN RTX", 6, whole_time, false}, Case{"Tesla T4", 6, whole_time, false},
        Case{"Quadro RTX 6000", 6, whole_time, false},
        Case{"Quadro RTX 8000", 6, Sensor{100 * ms, 20 * ms}, false},
        Case{"NVIDIA A100-SXM4-80GB", 7, part_of_time, false},
        Case{"NVIDIA A100 80GB PCIe", 7, part_of_time, false},
        Case{"A100-PCIE-40GB", 7, part_of_time, false},
        Case{"NVIDIA A100X", 7, part_of_time, false},
        Case{"NVIDIA A800-SXM4-80GB", 7, part_of_time, false},
        Case{"NVIDIA A30", 7, part_of_time, false},
        Case{"NVIDIA CMP 170HX", 7, part_of_time, false},
        Case{"NVIDIA RTX A3000 Laptop GPU", 7, whole_time, true},
        Case{"NVIDIA RTX A1000", 7, whole_time, true}, Case{"NVIDIA A10", 7, whole_time, true},
        Case{"NVIDIA A40", 7, whole_time, true}, Case{"NVIDIA RTX A6000", 7, whole_time, true},
        Case{"NVIDIA GeForce RTX 3090", 7, whole_time, true},
        Case{"NVIDIA GeForce RTX 4090", 8, whole_time, true},
        Case{"NVIDIA L40S", 8, whole_time, true}, Case{"NVIDIA H100 PCIe", 9, part_of_time, true},
        Case{"NVIDIA GH200 480GB", 9, part_of_time, true}));

TEST(PublishedSensors, OfOtherArchitecturesNothingIsMadeUp) {
  using Other = std::pair<unsigned, bool>;  // and whether the header says that the usage is a mean
  for (const auto& [architecture, usage_is_average] :
       {Other{0, false}, Other{2, false}, Other{3, false}, Other{10, true}, Other{12, true},
        Other{0xFFFFFFFF, true}}) {
    // An A100's name means nothing there.
    for (const char* const name : {"NVIDIA B200", "Tesla M40", "A100", "Quadro RTX 8000", ""}) {
      const Sensors sensors = published_sensors(architecture, name);
      EXPECT_EQ(sensors.instant, Sensor{}) << architecture;
      EXPECT_EQ(sensors.usage_is_average, usage_is_average) << architecture;
      EXPECT_EQ(sensors.average, second) << "field 185, by its header";
      EXPECT_TRUE(contains(sensors.origin, "no figures are published")) << architecture;
    }
  }
}

}  // namespace
}  // namespace wattring
