// SPDX-License-Identifier: Apache-2.0
// A machine with a stated power function, for demonstrations and tests. Its counters behave like
// RAPL's: 32 bits of 2^-14 J, published every 0.976 ms, so that the true energy between any two
// time stamps is known exactly: it is the integral of the function over CLOCK_MONOTONIC.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "clock.hpp"
#include "error.hpp"
#include "rapl.hpp"
#include "source.hpp"

namespace wattring {
namespace {

constexpr const char* default_functions =
    "package-0=square:20:80:0.5,core-0=square:10:60:0.5,dram-0=const:5";
constexpr double unit_j = 1.0 / 16384;
constexpr std::int64_t refresh_ns = 976'000;

// const:W or square:LOW:HIGH:PERIOD_S (half of the time each, LOW first), from time 0 of the clock.
struct PowerFunction {
  double low_w = 0;
  double high_w = 0;
  double period_s = 1;

  double energy_j(double t_s) const {
    const double whole = std::floor(t_s / period_s);
    const double rest_s = t_s - whole * period_s;
    const double half_s = period_s / 2;
    return whole * half_s * (low_w + high_w) + low_w * std::min(rest_s, half_s) +
           high_w * std::max(rest_s - half_s, 0.0);
  }
};

[[noreturn]] void bad(const std::string& text) {
  throw Error(Errc::invalid, "no power function: '" + text + "'",
              "write CHANNEL=const:WATTS or CHANNEL=square:LOW:HIGH:SECONDS, separated by commas");
}

PowerFunction parse_function(const std::string& text) {
  std::istringstream parts(text);
  std::string shape;
  std::getline(parts, shape, ':');
  std::vector<double> numbers;
  for (std::string part; std::getline(parts, part, ':');) {
    double number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc() || end != part.data() + part.size() || number < 0) {
      bad(text);
    }
    numbers.push_back(number);
  }
  if (shape == "const" && numbers.size() == 1) {
    return {numbers[0], numbers[0], 1};
  }
  if (shape == "square" && numbers.size() == 3 && numbers[2] > 0) {
    return {numbers[0], numbers[1], numbers[2]};
  }
  bad(text);
}

class Simulated final : public Source {
 public:
  explicit Simulated(const Opening& opening) {
    const std::string& stated = opening.env.simulated;
    std::istringstream entries(stated.empty() ? default_functions : stated);
    for (std::string entry; std::getline(entries, entry, ',');) {
      const std::size_t equals = entry.find('=');
      if (equals == std::string::npos || equals == 0) {
        bad(entry);
      }
      const std::string name = entry.substr(0, equals);
      if (!opening.is_taken(name)) {
        add(name, entry.substr(equals + 1));
      }
    }
  }

  std::span<const Channel> channels() const noexcept override { return channels_; }

  ReadStatus read(Sweep& sweep) noexcept override {
    const std::int64_t published_ns = now_ns() / refresh_ns * refresh_ns;
    for (std::size_t i = 0; i < functions_.size(); ++i) {
      const double counts =
          functions_[i].energy_j(static_cast<double>(published_ns) * 1e-9) / unit_j;
      sweep.set(i, static_cast<std::uint64_t>(counts) % rapl::register_range);
    }
    return sweep.outcome();
  }

 private:
  void add(const std::string& name, const std::string& function) {
    functions_.push_back(parse_function(function));
    Channel channel;
    channel.name = name;
    channel.device = "simulated machine, " + function + " W";
    channel.note = "SIMULATED: no hardware was measured";
    channel.scale = unit_j;
    channel.modulus = rapl::register_range;
    channel.refresh_ns = refresh_ns;
    if (name.starts_with("core-")) {
      channel.parent = "package-" + name.substr(5);
    }
    channels_.push_back(std::move(channel));
  }

  std::vector<PowerFunction> functions_;
  std::vector<Channel> channels_;
};

}  // namespace

extern const SourceType simulated_source;
const SourceType simulated_source{
    .name = "simulated",
    .summary = "a machine with a stated power function; measures nothing",
    .preference = 0,
    .open = [](Opening& opening) -> std::unique_ptr<Source> {
      return std::make_unique<Simulated>(opening);
    }};

}  // namespace wattring
