// SPDX-License-Identifier: Apache-2.0
#include "nvml_model.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace wattring::nvml {
namespace {

constexpr std::int64_t ms = 1'000'000;

// Measured on some thirty cards: Z. Yang, K. Adamek, W. Armour, "Part-time power measurements:
// nvidia-smi's lack of attention", arXiv 2312.02741, and its repository
// JimZeyuYang/GPU_Power_Benchmark.
constexpr const char* measured_by = "as published in arXiv 2312.02741";
constexpr Sensor part_of_time{100 * ms, 25 * ms};
constexpr Sensor whole_time{100 * ms, 100 * ms};
constexpr Sensor quick{20 * ms, 10 * ms};
// The header nvml.h of field 185, and of nvmlDeviceGetPowerUsage from Ampere on but for GA100.
constexpr Sensor second{100 * ms, 1000 * ms};
// 20 to 100 ms are published, without the cards (PETSc's manual; ml.energy's blog).
constexpr Sensor counter{100 * ms, 0};

enum Architecture : unsigned { kepler = 2, maxwell, pascal, volta, turing, ampere, ada, hopper };

// A word of a card's name: "NVIDIA A30" has "A30", "RTX A3000" has not.
bool has_word(const std::string& name, const std::string& word) {
  for (std::size_t at = name.find(word); at != std::string::npos; at = name.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    const auto is_part = [&](std::size_t i) {
      return i < name.size() && std::isalnum(static_cast<unsigned char>(name[i])) != 0;
    };
    if ((at == 0 || !is_part(at - 1)) && !is_part(end)) {
      return true;
    }
  }
  return false;
}

// The cards with a GA100, whose sensor is another than that of the smaller chips.
bool is_ga100(const std::string& name) {
  constexpr std::array cards{"A100", "A100X", "A800", "A30", "A30X", "170HX"};
  return std::any_of(cards.begin(), cards.end(),
                     [&name](const char* card) { return has_word(name, card); });
}

}  // namespace

Sensors published_sensors(unsigned architecture, const std::string& name) {
  Sensors sensors{.counter = counter, .instant = {}, .average = second, .origin = measured_by};
  switch (architecture) {
    case pascal:
    case volta:
      sensors.instant = quick;
      return sensors;
    case turing:
      sensors.instant =
          name.find("RTX 8000") != std::string::npos ? Sensor{100 * ms, 20 * ms} : whole_time;
      return sensors;
    case ampere:
      sensors.usage_is_average = !is_ga100(name);
      sensors.instant = sensors.usage_is_average ? whole_time : part_of_time;
      return sensors;
    case ada:
      sensors.instant = whole_time;
      sensors.usage_is_average = true;
      return sensors;
    case hopper:
      sensors.instant = part_of_time;
      sensors.usage_is_average = true;
      return sensors;
    default:
      // Of newer ones the header says that the usage is an average; nobody has published the rest.
      // Older ones lag behind by a logarithmic curve and count no energy.
      sensors.usage_is_average = architecture > hopper;
      sensors.origin = "no figures are published for this architecture";
      return sensors;
  }
}

}  // namespace wattring::nvml
