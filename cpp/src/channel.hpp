// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace wattring {

enum class Kind : std::uint8_t {
  counter,   // cumulative energy
  gauge,     // a momentary quantity
  integral,  // cumulative energy, from a power that the sampler integrates (integrator.hpp)
  variance,  // of the integral in the channel before it: how far off it may be, cumulative
};

// One column of a source. Fixed for the life of the source.
struct Channel {
  std::string name;    // "package-0", "core-0", "dram-0", "psys"
  std::string device;  // whose energy it is: package and die, CPU model, register or file
  std::string note;    // what the sensor adds to the bounds; empty if nothing is known
  std::string parent;  // name of the channel that already contains this energy; empty for none
  Kind kind = Kind::counter;
  std::string unit = "J";     // of what a reading is after scaling
  double scale = 0;           // units per tick
  std::uint64_t modulus = 0;  // the value falls by this at a wrap; 0: it never wraps
  std::uint64_t quantum = 1;  // the hardware's unit in ticks, or more where it is not known exactly
  std::int64_t refresh_ns = 0;  // how often the device publishes a new value; 0: unknown
  // What it publishes is the mean over the time of this length before; 0: a counter, or unknown.
  std::int64_t averaging_ns = 0;
  // Above any power of such a device. It tells a wrap from a reset and limits the period; it never
  // enters an energy.
  double max_power_w = 1000;

  // Shortest time in which the counter can run through its whole range; 0: never.
  double wrap_s() const noexcept {
    return modulus == 0 ? 0 : static_cast<double>(modulus) * scale / max_power_w;
  }
  // Its updates are so far apart that the load changes between two of them, not within them: the
  // energy then goes along steps (curve.hpp), which takes an update more on either side.
  bool is_slow() const noexcept { return refresh_ns >= 10'000'000; }
  bool has_energy() const noexcept { return kind == Kind::counter || kind == Kind::integral; }
  bool is_averaged() const noexcept { return averaging_ns > refresh_ns; }

  // An integral's value at t tells the energy until this much before t. The mean over a part of a
  // refresh stands for a whole one around the middle of that part; a mean over several is taken
  // apart when the first of them leaves it.
  std::int64_t delay_ns() const noexcept {
    if (kind != Kind::integral || averaging_ns == 0) {
      return 0;
    }
    return is_averaged() ? averaging_ns : (averaging_ns - refresh_ns) / 2;
  }
  // How far around that time the energy may have been used: whatever the mean hides, or, since a
  // power that stays the same tells of no update, half a refresh.
  std::int64_t blur_ns() const noexcept {
    return kind != Kind::integral ? 0 : (is_averaged() ? averaging_ns : refresh_ns) / 2;
  }
  // How much later than t a reading must be to say all about t.
  std::int64_t lag_ns() const noexcept { return delay_ns() + blur_ns(); }
};

}  // namespace wattring
