// SPDX-License-Identifier: Apache-2.0
// When a source is read that is to be read with restraint, in time that the test makes up.
#include "pacing.hpp"

#include <optional>
#include <vector>

#include "row.hpp"

#include "support.hpp"

namespace wattring {
namespace {

constexpr std::int64_t start_ns = 60'000 * ms;
constexpr std::int64_t period_ns = 19 * ms;

// A counter that publishes every so often, read at a price.
struct Device {
  Device(std::int64_t published_ns, std::int64_t true_ns, std::int64_t cost)
      : channels(1), refresh_ns(true_ns), cost_ns(cost) {
    channels[0].scale = 1e-3;
    channels[0].refresh_ns = published_ns;
    pacing.emplace(channels, 0.005, period_ns);
  }
  // Returns the times of the readings.
  std::vector<std::int64_t> run(std::int64_t length_ns, bool urgent) {
    std::vector<std::int64_t> read;
    for (const std::int64_t end_ns = t_ns + length_ns; t_ns < end_ns; t_ns += period_ns) {
      if (pacing->may_read(t_ns, urgent, ring)) {
        const auto value = static_cast<std::uint64_t>(30'000 * ((t_ns - 7 * ms) / refresh_ns));
        const std::vector<std::uint64_t> words{
            static_cast<std::uint64_t>(t_ns), static_cast<std::uint64_t>(t_ns + cost_ns), 0, value};
        pacing->see(std::span(words).subspan(row::first_reading), t_ns, t_ns + cost_ns);
        ring.push(words);
        read.push_back(t_ns);
      }
    }
    return read;
  }
  std::vector<Channel> channels;
  std::int64_t refresh_ns;
  std::int64_t cost_ns;
  std::optional<Pacing> pacing;
  Ring ring{row::first_reading + 1, 4096};
  std::int64_t t_ns = start_ns;
};

TEST(Pacing, WhoeverWaitsGetsEachUpdateOnceItIsKnownWhenTheyCome) {
  Device device(100 * ms, 100 * ms, 1800 * us);
  const auto closest = [](const std::vector<std::int64_t>& times) {
    std::int64_t least = 1'000'000 * ms;
    for (std::size_t i = 1; i < times.size(); ++i) {
      least = std::min(least, times[i] - times[i - 1]);
    }
    return least;
  };
  EXPECT_EQ(closest(device.run(300 * ms, true)), 38 * ms);
  device.run(60'000 * ms, false);
  device.run(1500 * ms, true);
  EXPECT_EQ(closest(device.run(600 * ms, true)), 76 * ms);
}

TEST(Pacing, ItLearnsWhenUpdatesComeWhileNobodyWaits) {
  Device device(100 * ms, 100 * ms, 1800 * us);
  device.run(20'000 * ms, false);
  // 3.6 s apart, and a few more lest it forgets.
  EXPECT_LT(device.run(60'000 * ms, false).size(), 60U);
  EXPECT_LE(device.run(1000 * ms, true).size(), 18U) << "27 of them would be 38 ms apart";
}

TEST(Pacing, ReadingsFarApartMakeNoRefreshSlower) {
  Device device(100 * ms, 100 * ms, 4000 * us);
  for (int i = 0; i < 20; ++i) {
    device.run(10'000 * ms, true);
    EXPECT_EQ(device.pacing->channels()[0].refresh_ns, 100 * ms) << i;
  }
}

TEST(Pacing, ASensorQuickerThanPublishedIsFoundOut) {
  Device device(100 * ms, 20 * ms, 50 * us);
  device.run(20'000 * ms, false);
  EXPECT_NEAR(static_cast<double>(device.pacing->channels()[0].refresh_ns), 20e6, 3e6);
}

}  // namespace
}  // namespace wattring
