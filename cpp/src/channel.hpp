// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace wattring {

enum class Kind : std::uint8_t {
  counter,  // cumulative energy
  gauge,    // a momentary quantity
};

// One column of a source. Fixed for the life of the source.
struct Channel {
  std::string name;    // "package-0", "core-0", "dram-0", "psys"
  std::string device;  // whose energy it is: package and die, CPU model, register or file
  std::string note;    // what the sensor adds to the bounds; empty if nothing is known
  std::string parent;  // name of the channel that already contains this energy; empty for none
  Kind kind = Kind::counter;
  double scale = 0;           // joules (counter) or watts (gauge) per tick
  std::uint64_t modulus = 0;  // the value falls by this at a wrap; 0: it never wraps
  std::uint64_t quantum = 1;  // the hardware's unit in ticks, or more where it is not known exactly
  std::int64_t refresh_ns = 0;  // how often the device publishes a new value; 0: unknown
  // Above any power of such a device. It tells a wrap from a reset and limits the period; it never
  // enters an energy.
  double max_power_w = 1000;

  // Shortest time in which the counter can run through its whole range; 0: never.
  double wrap_s() const noexcept {
    return modulus == 0 ? 0 : static_cast<double>(modulus) * scale / max_power_w;
  }
};

}  // namespace wattring
