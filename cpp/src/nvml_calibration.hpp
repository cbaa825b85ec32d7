// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "nvml_model.hpp"

namespace wattring::nvml {

// What `wattring calibrate` has found out about the GPUs of this machine (docs/calibration.md has
// the format of the file).
class Calibration {
 public:
  // An empty path, or no such file: nothing is calibrated.
  explicit Calibration(const std::string& path);

  // Puts what was measured in the place of what is published. False where that was under another
  // driver, which may read the sensors otherwise: then nothing is changed.
  bool apply(const std::string& uuid, const std::string& driver, Sensors& sensors) const;

  // Why the file is of no use, if it is not: "FILE, line 3: …". Empty if nothing is wrong.
  const std::string& damage() const noexcept { return damage_; }

 private:
  struct Line {
    std::string uuid;
    std::string driver;
    std::string sensor;
    Sensor measured;
  };
  std::vector<Line> lines_;
  std::string damage_;
};

}  // namespace wattring::nvml
