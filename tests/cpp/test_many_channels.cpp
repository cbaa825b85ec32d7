// SPDX-License-Identifier: Apache-2.0
// Machines with more channels than a row's status has bits. What they cost grows with the number of
// their channels and with nothing else; bench/channels.cpp has the times.
#include "counting_new.hpp"
#include "counting_reads.hpp"
#include "sampler.hpp"
#include "support.hpp"

namespace wattring {
namespace {

constexpr std::uint64_t unit_nj = 61'035;  // what the zones' range of 262143328850 µJ comes from
constexpr std::uint64_t uj = 1'000'000;

// Zones of four to a package, in the order of their channels.
class ManyZones : public FakeMachine {
 public:
  explicit ManyZones(std::size_t packages) {
    cpu(0, 0);
    for (std::size_t p = 0; p < packages; ++p) {
      const std::string package = "intel-rapl:" + std::to_string(p);
      zone(package, "package-" + std::to_string(p), 4 * p * uj);
      zone(package + ":0", "core", (4 * p + 1) * uj);
      zone(package + ":1", "uncore", (4 * p + 2) * uj);
      zone(package + ":2", "dram", (4 * p + 3) * uj);
    }
  }
};

std::string zone_of(const Channel& channel) {
  return channel.device.substr(channel.device.rfind("intel-rapl"));
}

TEST(ManyChannels, EachIsOneSystemCallAndNoAllocation) {
  for (const std::size_t packages : {1U, 8U, 128U}) {
    const ManyZones machine(packages);
    const auto source = open(machine, "rapl_powercap").source;
    const std::size_t n = source->channels().size();
    ASSERT_EQ(n, 4 * packages);
    Sweep sweep(n);
    const std::uint64_t reads_before = reads();
    const std::uint64_t allocations_before = allocations();
    ASSERT_EQ(source->read(sweep), ReadStatus::ok);
    EXPECT_EQ(allocations(), allocations_before);
    EXPECT_EQ(reads() - reads_before, n);
    std::uint64_t sum = 0;
    for (const std::uint64_t raw : sweep.raw()) {
      sum += raw * unit_nj / 1000 / uj;
    }
    EXPECT_EQ(sum, n * (n - 1) / 2) << "every zone once";
  }
}

// The status of a row has a bit for several channels each: none is trusted wrongly, and those that
// are suspected wrongly have their values all the same.
TEST(ManyChannels, OneThatFailsIsMarkedAndWhoSharesItsBitIsSuspected) {
  const ManyZones machine(128);
  auto source = open(machine, "rapl_powercap").source;
  const std::vector<Channel> channels(source->channels().begin(), source->channels().end());
  constexpr std::size_t broken = 300;
  constexpr std::size_t suspected = broken + 56;
  machine.truncate("sys/class/powercap/" + zone_of(channels[broken]) + "/energy_uj");
  Sampler sampler("test", std::move(source), {.period_ns = 3600 * ns_per_s, .rows = 512});
  sampler.start();
  for (const std::size_t i : {suspected, suspected + 1}) {
    const std::string zone = zone_of(channels[i]);
    const auto text = read_text(machine.path("sys/class/powercap/" + zone + "/energy_uj"));
    machine.set_energy_uj(zone, std::to_string(std::stoull(text.value_or("")) + uj));
  }
  sampler.stop();
  const std::uint64_t* row = sampler.ring().address(sampler.ring().head() - 1);
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const bool shares_the_bit = i % 56 == broken % 56;
    EXPECT_EQ(row::marks_of(row[row::status_word], i), shares_the_bit ? row::failed : 0) << i;
  }
  EXPECT_EQ(row[row::first_reading + broken], 0U);
  for (const std::size_t i : {suspected, suspected + 1}) {
    EXPECT_NEAR(static_cast<double>(row[row::first_reading + i]) * channels[i].scale, 1, 1e-4) << i;
  }
}

}  // namespace
}  // namespace wattring
