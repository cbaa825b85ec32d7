// SPDX-License-Identifier: Apache-2.0
#include "nvml_calibration.hpp"

#include <cerrno>
#include <sstream>

#include "environment.hpp"
#include "error.hpp"

namespace wattring::nvml {
namespace {

// Nothing where a sensor of this name is not read.
Sensor* sensor_of(Sensors& sensors, const std::string& name) {
  return name == "counter"   ? &sensors.counter
         : name == "instant" ? &sensors.instant
         : name == "average" ? &sensors.average
                             : nullptr;
}

}  // namespace

Calibration::Calibration(const std::string& path) {
  if (path.empty()) {
    return;
  }
  const std::optional<std::string> text = read_text(path);
  if (!text) {
    damage_ = errno == ENOENT ? "" : path + ": " + errno_text(errno);
    return;
  }
  std::istringstream in(*text);
  int number = 0;
  for (std::string written; std::getline(in, written);) {
    ++number;
    std::istringstream words(written.substr(0, written.find('#')));
    Line line;
    if (!(words >> line.uuid)) {
      continue;  // a comment
    }
    Sensors any;
    std::int64_t lag_ns = 0;
    std::int64_t rise_ns = 0;
    words >> line.driver >> line.sensor >> line.measured.refresh_ns >> line.measured.averaging_ns >>
        lag_ns >> rise_ns;
    std::string more;
    if (!words || words >> more || sensor_of(any, line.sensor) == nullptr ||
        line.measured.refresh_ns < 0 || line.measured.averaging_ns < 0) {
      damage_ =
          path + ", line " + std::to_string(number) + ": no UUID, driver, sensor and four times";
      lines_.clear();
      return;
    }
    lines_.push_back(std::move(line));
  }
}

bool Calibration::apply(const std::string& uuid, const std::string& driver,
                        Sensors& sensors) const {
  bool found = false;
  bool current = false;
  for (const Line& line : lines_) {
    found = found || line.uuid == uuid;
    if (line.uuid != uuid || line.driver != driver) {
      continue;
    }
    current = true;
    Sensor& sensor = *sensor_of(sensors, line.sensor);
    // A zero: it could not be told.
    sensor.refresh_ns = line.measured.refresh_ns > 0 ? line.measured.refresh_ns : sensor.refresh_ns;
    sensor.averaging_ns =
        line.measured.averaging_ns > 0 ? line.measured.averaging_ns : sensor.averaging_ns;
    sensors.origin = "as calibrated on this machine";
  }
  return current || !found;
}

}  // namespace wattring::nvml
