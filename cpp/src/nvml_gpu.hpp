// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "channel.hpp"
#include "nvml_gauges.hpp"
#include "nvml_library.hpp"
#include "nvml_model.hpp"
#include "source.hpp"

namespace wattring::nvml {

// One GPU: what it answers to, as channels, and one sweep over these.
class Gpu {
 public:
  // Adds its channels behind those that there are, with a remark on whose energy theirs is, if that
  // is needed. Throws Error when it tells neither an energy nor a power.
  Gpu(const Library& library, Device device, Sensors sensors, const std::string& name,
      const std::string& remark, std::vector<Channel>& channels);
  // Of these groups, those that it has; gives the names of those that it has not.
  std::vector<std::string> add_gauges(const std::vector<std::string>& groups,
                                      std::vector<Channel>& channels);

  // The readings of its channels, or their failures. One call of the driver where it has
  // nvmlDeviceGetFieldValues.
  void read(Sweep& sweep) noexcept;

 private:
  enum class Way : std::uint8_t { field, energy_call, power_call, gauge };
  // A quantity that the driver tells, and the channels that want it.
  struct Quantity {
    Way way = Way::field;
    FieldValue asked{};
    const Gauge* gauge = nullptr;
    std::size_t channel = none;   // takes it as it is
    std::size_t integral = none;  // takes it as a power, and so does its variance behind it
    int dropped = success;        // why it is asked for no more
  };
  struct Told {
    int code;
    std::uint64_t value;
  };
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  std::optional<Quantity> find(Field field, Scope scope) const;
  std::optional<Quantity> find_call(Way way) const;
  Told ask(const Quantity& quantity) const noexcept;
  Channel describe(const std::string& name, const Sensor& sensor) const;
  void add_counter(Quantity quantity, const std::string& name, const std::string& parent,
                   std::vector<Channel>& channels);
  // As a gauge, and, with a name for that, integrated.
  void add_power(Quantity quantity, const Sensor& sensor, const std::string& gauge,
                 const std::string& integral, const std::string& parent,
                 std::vector<Channel>& channels);
  bool add_scope(Scope scope, const std::string& name, const std::string& parent,
                 std::vector<Channel>& channels);
  void set(Quantity& quantity, const Told& told, Sweep& sweep) noexcept;

  const Library& library_;
  Device device_;
  std::string name_;
  std::string identity_;
  Sensors sensors_;
  std::vector<Quantity> quantities_;  // those by field first
  std::vector<FieldValue> fields_;    // of one call
  bool lost_ = false;
};

}  // namespace wattring::nvml
