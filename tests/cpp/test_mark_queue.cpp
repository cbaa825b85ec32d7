// SPDX-License-Identifier: Apache-2.0
// The queue of marks: order, limits, threads, forks.
#include "mark_queue.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <thread>
#include <vector>

#include "support.hpp"

namespace wattring {
namespace {

class MarkQueueTest : public testing::Test {
 protected:
  MarkQueueTest() { queue_.open(); }
  // Takes what is there.
  std::vector<QueuedMark> take() {
    std::vector<QueuedMark> marks;
    QueuedMark mark;
    while (queue_.peek(place_, mark)) {
      marks.push_back(mark);
      queue_.clear(place_++);
    }
    queue_.release_until(place_);
    return marks;
  }
  MarkQueue queue_;
  std::uint64_t place_ = 0;
};

TEST_F(MarkQueueTest, MarksComeOutInOrderWithTheirTimes) {
  const std::int64_t before = now_ns();
  const std::uint64_t ticket = queue_.push_begin(7);
  const std::int64_t between = now_ns();
  const std::uint64_t place = queue_.push_end(ticket);
  const std::int64_t after = now_ns();
  EXPECT_LT(ticket, place);
  EXPECT_EQ(queue_.pushed(), 2U);
  const auto marks = take();
  ASSERT_EQ(marks.size(), 2U);
  EXPECT_FALSE(marks[0].is_end());
  EXPECT_EQ(marks[0].slot(), 7U);
  EXPECT_TRUE(marks[1].is_end());
  EXPECT_EQ(marks[1].ticket(), ticket);
  EXPECT_LE(before, marks[0].t_ns);
  EXPECT_LE(marks[0].t_ns, between);
  EXPECT_LE(between, marks[1].t_ns);
  EXPECT_LE(marks[1].t_ns, after);
  EXPECT_EQ(queue_.consumed(), 2U);
}

TEST_F(MarkQueueTest, ThreadsAreToldApart) {
  const std::uint32_t last_slot = (std::uint32_t{1} << QueuedMark::slot_bits) - 1;
  queue_.push_begin(last_slot);
  std::thread([&] { queue_.push_begin(last_slot); }).join();
  queue_.push_begin(0);
  const auto marks = take();
  ASSERT_EQ(marks.size(), 3U);
  EXPECT_EQ(marks[0].slot(), last_slot);
  EXPECT_FALSE(marks[0].is_end());
  EXPECT_EQ(marks[0].thread(), marks[2].thread());
  EXPECT_NE(marks[0].thread(), marks[1].thread());
}

TEST_F(MarkQueueTest, AFullQueueRefusesBeginsBeforeEnds) {
  std::uint64_t begun = 0;
  while (queue_.push_begin(1) != MarkQueue::refused) {
    ++begun;
  }
  EXPECT_EQ(begun, MarkQueue::capacity - MarkQueue::kept_for_ends);
  std::uint64_t ended = 0;
  while (queue_.push_end(0) != MarkQueue::refused) {
    ++ended;
  }
  EXPECT_EQ(begun + ended, MarkQueue::capacity);
  EXPECT_EQ(take().size(), MarkQueue::capacity);
  EXPECT_EQ(queue_.push_begin(1), MarkQueue::capacity) << "places go on counting";
  const auto marks = take();
  ASSERT_EQ(marks.size(), 1U);
  EXPECT_EQ(marks[0].slot(), 1U);
}

TEST_F(MarkQueueTest, AClosedQueueRefuses) {
  queue_.close();
  EXPECT_EQ(queue_.push_begin(1), MarkQueue::refused);
  EXPECT_EQ(queue_.push_end(0), MarkQueue::refused);
  EXPECT_TRUE(take().empty());
}

TEST_F(MarkQueueTest, NoMarkOfAnyThreadIsLostOrOvertaken) {
  constexpr int threads = 4;
  constexpr std::uint64_t each = 50'000;
  std::vector<std::thread> pushing;
  for (int i = 0; i < threads; ++i) {
    pushing.emplace_back([&] {
      for (std::uint64_t k = 0; k < each; ++k) {
        while (queue_.push_begin(static_cast<std::uint32_t>(k)) == MarkQueue::refused) {
          std::this_thread::yield();
        }
      }
    });
  }
  std::map<std::uint64_t, std::uint64_t> next;
  for (std::uint64_t taken = 0; taken < threads * each;) {
    for (const QueuedMark& mark : take()) {
      ASSERT_EQ(mark.slot(), next[mark.thread()]++);
      ++taken;
    }
  }
  for (std::thread& thread : pushing) {
    thread.join();
  }
  EXPECT_EQ(next.size(), static_cast<std::size_t>(threads));
  EXPECT_TRUE(take().empty());
}

TEST_F(MarkQueueTest, AChildOfForkIsRefusedAndTheParentsQueueIsUntouched) {
  queue_.push_begin(1);
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = queue_.push_begin(2) == MarkQueue::refused &&
                         queue_.push_end(0) == MarkQueue::refused && queue_.pushed() == 0;
    _exit(refused ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(take().size(), 1U);
  EXPECT_NE(queue_.push_begin(3), MarkQueue::refused);
}

}  // namespace
}  // namespace wattring
