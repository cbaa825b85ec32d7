// SPDX-License-Identifier: Apache-2.0
// Copying rows out of a full ring against memcpy of the same rows. Prints one line of JSON.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "clock.hpp"
#include "ring.hpp"

int main() {
  using namespace wattring;
  constexpr std::size_t words = 8;
  Ring ring(words, std::size_t{1} << 20);
  const std::vector<std::uint64_t> row(words, 7);
  for (std::size_t k = 0; k < ring.rows() + 3; ++k) {
    ring.push(row);
  }
  const std::size_t size = ring.rows() * words;
  std::vector<std::uint64_t> to(size);
  std::vector<double> ratios;
  std::vector<double> read_ns;
  for (int i = 0; i < 31; ++i) {
    std::uint64_t cursor = 0;
    const std::int64_t t0 = now_ns();
    ring.read(cursor, to);
    const std::int64_t t1 = now_ns();
    std::memcpy(to.data(), ring.address(ring.oldest()), size * sizeof(std::uint64_t));
    const std::int64_t t2 = now_ns();
    read_ns.push_back(static_cast<double>(t1 - t0));
    ratios.push_back(static_cast<double>(t2 - t1) / static_cast<double>(t1 - t0));
  }
  std::sort(ratios.begin(), ratios.end());
  std::sort(read_ns.begin(), read_ns.end());
  std::printf("{\"rows\": %zu, \"read_us\": %.0f, \"bandwidth_ratio\": %.3f}\n", ring.rows(),
              read_ns[15] * 1e-3, ratios[15]);
  return 0;
}
