// SPDX-License-Identifier: Apache-2.0
// What the measured program goes through allocates nothing.
#include "counting_new.hpp"
#include "window_test.hpp"

namespace wattring {
namespace {

TEST_F(WindowsTest, BeginAndEndAllocateNothingNorDoesARefusal) {
  Windows& windows = start({.period_ns = 60 * ns_per_s, .rows = 512});
  const Windows::SlotId slot = windows.open_slot("x");
  const std::uint64_t before = allocations();
  for (std::uint64_t i = 0; i < MarkQueue::capacity; ++i) {
    windows.end(windows.begin(slot));
  }
  EXPECT_EQ(allocations(), before);
  EXPECT_GT(windows.dropped(), 0U);
  windows.open_slot("y");
  EXPECT_GT(allocations(), before) << "else nothing is counted here";
}

}  // namespace
}  // namespace wattring
