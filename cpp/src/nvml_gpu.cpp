// SPDX-License-Identifier: Apache-2.0
#include "nvml_gpu.hpp"

#include <algorithm>
#include <utility>

namespace wattring::nvml {
namespace {

constexpr double joules_per_mj = 1e-3;
constexpr double watts_per_mw = 1e-3;
constexpr double joules_per_uj = 1e-6;
constexpr std::uint64_t uw_per_mw = 1000;

std::string in_ms(std::int64_t ns) { return std::to_string((ns + 500'000) / 1'000'000) + " ms"; }

// What a sensor leaves out, for people.
std::string note_of(const Sensor& sensor, const std::string& origin) {
  if (sensor.refresh_ns == 0) {
    return "how this GPU's sensor averages is unknown (" + origin + "): `wattring calibrate` tells";
  }
  if (sensor.averaging_ns > sensor.refresh_ns) {
    return "the sensor tells the mean of " + in_ms(sensor.averaging_ns) +
           "; what was used when within it is inferred (" + origin + ")";
  }
  if (sensor.averaging_ns < sensor.refresh_ns) {
    return "the sensor sees " + in_ms(sensor.averaging_ns) + " of each " +
           in_ms(sensor.refresh_ns) + ": a load that repeats at that pace may be seen wrongly (" +
           origin + ")";
  }
  return "the power sensor's gain differs from card to card";
}

}  // namespace

Gpu::Gpu(const Library& library, Device device, Sensors sensors, const std::string& name,
         const std::string& remark, std::vector<Channel>& channels)
    : library_(library),
      device_(device),
      name_(name),
      identity_(library.uuid(device) + ", " + library.name(device) + ", PCI " +
                library.pci_address(device) + ", driver " + library.driver_version()),
      sensors_(std::move(sensors)) {
  const std::size_t first = channels.size();
  const std::string gauge = name + "-power";
  const std::string average_gauge = gauge + "-average";
  auto counter = find(total_energy, gpu);
  counter = counter ? counter : find_call(Way::energy_call);
  auto instant = find(power_instant, gpu);
  auto average = find(power_average, gpu);
  auto& told_by_call = sensors_.usage_is_average ? average : instant;
  told_by_call = told_by_call ? told_by_call : find_call(Way::power_call);
  if (!counter && !instant && !average) {
    throw library_.failure("nvmlDeviceGetTotalEnergyConsumption",
                           ask({.way = Way::energy_call}).code);
  }
  const std::string module_name = name + "-module";
  const std::string parent = add_scope(module, module_name, "", channels) ? module_name : "";
  const std::string integral = counter ? name + "-integral" : name;
  const std::string integral_parent = counter ? name : parent;
  if (counter) {
    add_counter(*counter, name, parent, channels);
  }
  if (instant) {
    add_power(*instant, sensors_.instant, gauge, integral, integral_parent, channels);
  }
  if (average) {
    add_power(*average, sensors_.average, average_gauge, instant ? "" : integral, integral_parent,
              channels);
  }
  add_scope(memory, name + "-memory", name, channels);
  for (std::size_t i = first; i < channels.size(); ++i) {
    if (channels[i].has_energy() && !remark.empty()) {
      channels[i].note += "; " + remark;
    }
  }
  std::stable_partition(quantities_.begin(), quantities_.end(),
                        [](const Quantity& quantity) { return quantity.way == Way::field; });
  for (const Quantity& quantity : quantities_) {
    if (quantity.way == Way::field) {
      fields_.push_back(quantity.asked);
    }
  }
}

std::optional<Gpu::Quantity> Gpu::find(Field field, Scope scope) const {
  Quantity quantity{.asked = {.field = field, .scope = scope}};
  const Told told = ask(quantity);
  // A scope that the GPU has not may be told as a zero.
  return told.code == success && (scope == gpu || told.value > 0) ? std::optional(quantity)
                                                                  : std::nullopt;
}

std::optional<Gpu::Quantity> Gpu::find_call(Way way) const {
  const Quantity quantity{.way = way};
  return ask(quantity).code == success ? std::optional(quantity) : std::nullopt;
}

std::vector<std::string> Gpu::add_gauges(const std::vector<std::string>& groups,
                                         std::vector<Channel>& channels) {
  std::vector<std::string> lacking;
  for (const Gauge& gauge : gauges()) {
    if (std::find(groups.begin(), groups.end(), gauge.group) == groups.end()) {
      continue;
    }
    Quantity quantity{.way = Way::gauge, .gauge = &gauge};
    Channel channel = describe(name_ + "-" + gauge.suffix, {});
    if (ask(quantity).code != success) {
      lacking.push_back(channel.name);
      continue;
    }
    channel.kind = Kind::gauge;
    channel.unit = gauge.unit;
    channel.scale = gauge.scale;
    quantity.channel = channels.size();
    channels.push_back(std::move(channel));
    quantities_.push_back(quantity);
  }
  return lacking;
}

Gpu::Told Gpu::ask(const Quantity& quantity) const noexcept {
  if (quantity.way == Way::gauge) {
    std::uint64_t value = 0;
    const int code = quantity.gauge->read(library_, device_, value);
    return {code, value};
  }
  if (quantity.way == Way::energy_call) {
    unsigned long long energy_mj = 0;
    const int code = library_.energy_mj(device_, energy_mj);
    return {code, energy_mj};
  }
  if (quantity.way == Way::power_call) {
    unsigned power_mw = 0;
    const int code = library_.power_mw(device_, power_mw);
    return {code, power_mw};
  }
  FieldValue value = quantity.asked;
  const int code = library_.fields(device_, {&value, 1});
  return {code == success ? value.code : code, value.integer()};
}

Channel Gpu::describe(const std::string& name, const Sensor& sensor) const {
  Channel channel;
  channel.name = name;
  channel.device = identity_;
  channel.refresh_ns = sensor.refresh_ns;
  channel.averaging_ns = sensor.averaging_ns;
  channel.max_power_w = 2000;
  return channel;
}

void Gpu::add_counter(Quantity quantity, const std::string& name, const std::string& parent,
                      std::vector<Channel>& channels) {
  Channel channel = describe(name, sensors_.counter);
  channel.parent = parent;
  channel.scale = joules_per_mj;
  channel.note = quantity.asked.scope == memory   ? "the GPU's memory"
                 : quantity.asked.scope == module ? "the whole module: GPU, CPU and what is around"
                                                  : "the whole GPU's";
  channel.note += "; a new value every 20 to 100 ms; how right it is differs from card to card";
  quantity.channel = channels.size();
  channels.push_back(std::move(channel));
  quantities_.push_back(quantity);
}

void Gpu::add_power(Quantity quantity, const Sensor& sensor, const std::string& gauge,
                    const std::string& integral, const std::string& parent,
                    std::vector<Channel>& channels) {
  Channel channel = describe(gauge, sensor);
  channel.kind = Kind::gauge;
  // As strings: GCC 12 takes an assigned literal for an overlap at -O3 (its bug 105651).
  channel.unit = std::string("W");
  channel.scale = watts_per_mw;
  quantity.channel = channels.size();
  channels.push_back(channel);
  if (!integral.empty()) {
    channel.name = integral;
    channel.kind = Kind::integral;
    channel.parent = parent;
    channel.unit = std::string("J");
    channel.scale = joules_per_uj;
    channel.note = note_of(sensor, sensors_.origin);
    quantity.integral = channels.size();
    channels.push_back(channel);
    channel.name = integral + "-variance";
    channel.kind = Kind::variance;
    channel.parent.clear();
    channel.note.clear();
    channel.unit = std::string("J²");
    channel.scale = 1e6 * joules_per_uj * joules_per_uj;
    channels.push_back(channel);
  }
  quantities_.push_back(quantity);
}

bool Gpu::add_scope(Scope scope, const std::string& name, const std::string& parent,
                    std::vector<Channel>& channels) {
  if (const auto energy = find(energy_of_scope, scope)) {
    add_counter(*energy, name, parent, channels);
    return true;
  }
  if (const auto power = find(power_instant, scope)) {
    add_power(*power, sensors_.instant, name + "-power", name, parent, channels);
    return true;
  }
  return false;
}

void Gpu::read(Sweep& sweep) noexcept {
  const int call = lost_ ? gpu_lost : fields_.empty() ? success : library_.fields(device_, fields_);
  for (std::size_t i = 0; i < quantities_.size(); ++i) {
    Quantity& quantity = quantities_[i];
    if (lost_ || (call != success && quantity.way == Way::field)) {
      set(quantity, {lost_ ? gpu_lost : call, 0}, sweep);
    } else if (quantity.way == Way::field) {
      set(quantity, {fields_[i].code, fields_[i].integer()}, sweep);
    } else {
      set(quantity, quantity.dropped != success ? Told{quantity.dropped, 0} : ask(quantity), sweep);
    }
  }
}

void Gpu::set(Quantity& quantity, const Told& told, Sweep& sweep) noexcept {
  if (told.code == success) {
    if (quantity.channel != none) {
      sweep.set(quantity.channel, told.value);
    }
    if (quantity.integral != none) {
      sweep.set(quantity.integral, told.value * uw_per_mw);
      sweep.set(quantity.integral + 1, told.value * uw_per_mw);
    }
    return;
  }
  const int error_number = errno_of(told.code);
  // Asking a lost GPU again would only fill the kernel's log.
  lost_ = lost_ || error_number == ENODEV;
  if (error_number == ENOTSUP || error_number == EPERM) {
    quantity.dropped = told.code;
  }
  if (quantity.channel != none) {
    sweep.fail(quantity.channel, error_number);
  }
  if (quantity.integral != none) {
    sweep.fail(quantity.integral, error_number);
    sweep.fail(quantity.integral + 1, error_number);
  }
}

}  // namespace wattring::nvml
