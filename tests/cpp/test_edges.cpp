// SPDX-License-Identifier: Apache-2.0
// Which polls of a grid are made, over sensors that publish at a pace of their own.
#include "edges.hpp"

#include <algorithm>
#include <random>

#include "support.hpp"

namespace wattring {
namespace {

constexpr std::int64_t period_ns = 19 * ms;
constexpr std::int64_t refresh_ns = 100 * ms;
constexpr std::int64_t start_ns = 50'000 * ms;

Channel made(Kind kind, const std::string& unit = "J", std::int64_t refresh = refresh_ns) {
  Channel channel;
  channel.kind = kind;
  channel.unit = unit;
  channel.refresh_ns = refresh;
  return channel;
}

struct Sensor {
  std::int64_t refresh_ns = 100 * ms;
  std::int64_t phase_ns = 0;
  std::int64_t jitter_ns = 0;                  // late by up to this
  std::int64_t from_ns = 0;                    // stands still before
  std::int64_t until_ns = 1'000'000'000 * ms;  // and after

  std::uint64_t value(std::int64_t t_ns) const {
    const std::int64_t t = std::clamp(t_ns, from_ns, until_ns);
    const std::int64_t k = (t - phase_ns) / refresh_ns;
    const auto hash = static_cast<std::uint64_t>(k) * 0x9E3779B97F4A7C15U;
    const std::int64_t late = jitter_ns > 0 ? static_cast<std::int64_t>(hash >> 40) % jitter_ns : 0;
    return static_cast<std::uint64_t>(phase_ns + k * refresh_ns + late <= t ? k : k - 1);
  }
};

struct Polled {
  std::size_t asked = 0;
  std::size_t made = 0;
  std::vector<std::size_t> seen;  // updates that one poll after another told apart, by channel
  std::vector<std::int64_t> distances_ns;  // of the polls made, from the nearest update of any
  double share() const { return static_cast<double>(made) / static_cast<double>(asked); }
};

// Polls from `from_ns` to `to_ns`; what is counted begins a refresh after the start.
struct Poller {
  Poller(std::vector<Channel> of, std::vector<Sensor> by)
      : channels(std::move(of)), sensors(std::move(by)), edges(channels, period_ns) {}
  Polled run(std::int64_t length_ns) {
    Polled polled;
    polled.seen.resize(sensors.size());
    std::uniform_int_distribution<std::int64_t> late(0, ms / 10);
    for (const std::int64_t end_ns = t_ns + length_ns; t_ns < end_ns; t_ns += period_ns) {
      const std::int64_t begin = t_ns + late(random);
      ++polled.asked;
      if (!edges.due(begin)) {
        continue;
      }
      ++polled.made;
      std::vector<std::uint64_t> readings;
      std::int64_t nearest = 1000 * ms;
      for (const Sensor& sensor : sensors) {
        readings.push_back(sensor.value(begin));
        const std::int64_t since = (begin - sensor.phase_ns) % sensor.refresh_ns;
        nearest = std::min({nearest, since, sensor.refresh_ns - since});
      }
      polled.distances_ns.push_back(nearest);
      for (std::size_t i = 0; i < sensors.size(); ++i) {
        polled.seen[i] += !last.empty() && readings[i] == last[i] + 1 ? 1 : 0;
      }
      last = readings;
      edges.see(readings, begin, begin + ms / 20);
    }
    return polled;
  }
  std::vector<Channel> channels;
  std::vector<Sensor> sensors;
  Edges edges;
  std::int64_t t_ns = start_ns;
  std::vector<std::uint64_t> last;
  std::mt19937_64 random{1};
};

// Of the updates that came in this time.
double seen_share(const Polled& polled, std::size_t sensor, std::int64_t length_ns,
                  std::int64_t refresh) {
  return static_cast<double>(polled.seen[sensor]) /
         (static_cast<double>(length_ns) / static_cast<double>(refresh));
}

TEST(Edges, ReadingsStandAroundExpectedUpdatesAndNowhereElse) {
  Poller poller({made(Kind::counter)}, {{.phase_ns = 33 * ms}});
  poller.run(1000 * ms);
  const Polled polled = poller.run(20'000 * ms);
  EXPECT_LT(polled.share(), 0.65);
  EXPECT_GT(seen_share(polled, 0, 20'000 * ms, refresh_ns), 0.99);
  // A poll, what the date of an update leaves open, and the pace of a few refreshes.
  EXPECT_LE(*std::max_element(polled.distances_ns.begin(), polled.distances_ns.end()),
            period_ns + period_ns + 5 * ms);
}

TEST(Edges, UnknownOnesMayComeAtAnyTime) {
  Edges edges(std::vector{made(Kind::counter)}, period_ns);
  for (std::int64_t t = start_ns; t < start_ns + 1000 * ms; t += ms) {
    EXPECT_TRUE(edges.due(t));
  }
  const std::uint64_t value = 7;
  edges.see({&value, 1}, start_ns, start_ns + us);
  for (std::int64_t t = start_ns; t < start_ns + 1000 * ms; t += ms) {
    EXPECT_TRUE(edges.due(t)) << "the first reading is no update";
  }
}

TEST(Edges, ACounterThatRestedIsFoundAgain) {
  Poller poller({made(Kind::counter)},
                {{.phase_ns = 33 * ms, .from_ns = 0, .until_ns = start_ns + 5000 * ms}});
  poller.run(5000 * ms);
  poller.run(3000 * ms);
  EXPECT_LT(poller.run(5000 * ms).share(), 0.6) << "it stands still, which tells nothing new";
  poller.sensors[0].until_ns = start_ns + 1'000'000 * ms;
  poller.sensors[0].phase_ns = 71 * ms;  // of which nothing is known
  poller.run(1000 * ms);
  const Polled polled = poller.run(10'000 * ms);
  EXPECT_LT(polled.share(), 0.6);
  EXPECT_GT(seen_share(polled, 0, 10'000 * ms, refresh_ns), 0.99);
}

TEST(Edges, ASensorOfAnotherPaceIsStillSeen) {
  for (const std::int64_t true_ms : {20, 50, 99, 101, 104, 150, 200}) {
    for (const std::int64_t phase : {3, 47, 81}) {
      Poller poller({made(Kind::counter)}, {{.refresh_ns = true_ms * ms, .phase_ns = phase * ms}});
      poller.run(2000 * ms);
      const Polled polled = poller.run(60'000 * ms);
      EXPECT_GT(seen_share(polled, 0, 60'000 * ms, true_ms * ms), 0.9)
          << true_ms << ' ' << phase << ' ' << polled.share();
    }
  }
}

TEST(Edges, SeveralCountersEachHaveTheirOwn) {
  std::vector<Channel> channels;
  std::vector<Sensor> sensors;
  for (const std::int64_t phase : {5, 30, 55}) {
    channels.push_back(made(Kind::counter));
    sensors.push_back({.phase_ns = phase * ms, .jitter_ns = ms});
  }
  Poller poller(channels, sensors);
  poller.run(2000 * ms);
  const Polled polled = poller.run(30'000 * ms);
  for (std::size_t i = 0; i < sensors.size(); ++i) {
    EXPECT_GT(seen_share(polled, i, 30'000 * ms, refresh_ns), 0.98) << i;
  }
  EXPECT_LE(*std::max_element(polled.distances_ns.begin(), polled.distances_ns.end()),
            2 * period_ns + 5 * ms);
}

// The first channel's updates are seen often, of the others none; is a reading due half a
// refresh after the next?
bool due_between(const std::vector<Channel>& channels) {
  Edges edges(channels, period_ns);
  std::vector<std::uint64_t> readings(channels.size(), 7);
  for (int k = 0; k < 14; ++k) {
    edges.see(readings, start_ns + k * refresh_ns, start_ns + k * refresh_ns);
    ++readings[0];
    edges.see(readings, start_ns + k * refresh_ns + 10 * ms, start_ns + k * refresh_ns + 10 * ms);
  }
  return edges.due(start_ns + 5 * ms + 14 * refresh_ns + refresh_ns / 2);
}

TEST(Edges, PowersDecideOfADeviceWithoutACounter) {
  const Channel power = made(Kind::gauge, "W");
  const Channel counter = made(Kind::counter);
  EXPECT_FALSE(due_between({power}));
  EXPECT_TRUE(due_between({power, power})) << "the other one's is not known";
  EXPECT_TRUE(due_between({power, counter})) << "the counter's is not known";
  EXPECT_FALSE(due_between({counter, power})) << "what the power does is all the same";
  EXPECT_FALSE(due_between({counter, made(Kind::integral), made(Kind::variance, "J²")}));
  EXPECT_FALSE(due_between({counter, made(Kind::counter, "J", 0)})) << "of an unknown pace";
  Channel others = power;
  others.device = "another GPU, which has no counter";
  EXPECT_TRUE(due_between({counter, others}));
  others.kind = Kind::counter;
  EXPECT_TRUE(due_between({power, others})) << "and here this one";
}

TEST(Edges, WhereNothingCanBeKnownAllReadingsAreMade) {
  EXPECT_TRUE(due_between({made(Kind::gauge, "°C")}));
  EXPECT_TRUE(due_between({made(Kind::counter, "J", 0)}));
  EXPECT_TRUE(Edges({}, period_ns).due(start_ns));
}

TEST(Edges, WhetherAllAreKnownIsAskedOfCountersAlone) {
  const auto known = [](Kind kind, bool other_moves) {
    Edges edges(std::vector{made(kind, "W"), made(kind, "W")}, period_ns);
    std::vector<std::uint64_t> readings{7, 7};
    for (std::int64_t t = start_ns; t < start_ns + 2000 * ms; t += 10 * ms) {
      readings = {static_cast<std::uint64_t>(t / refresh_ns),
                  static_cast<std::uint64_t>(other_moves ? (t + 30 * ms) / refresh_ns : 0)};
      edges.see(readings, t, t);
    }
    return edges.all_known(start_ns + 2000 * ms);
  };
  EXPECT_TRUE(known(Kind::counter, true));
  EXPECT_FALSE(known(Kind::counter, false));
  EXPECT_FALSE(known(Kind::gauge, true));
}

}  // namespace
}  // namespace wattring
