// SPDX-License-Identifier: Apache-2.0
#include "ring.hpp"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace wattring {
namespace {

constexpr std::size_t words = 5;

// Every word of a row follows from its number, so that a torn row gives itself away.
std::array<std::uint64_t, words> row_of(std::uint64_t k) {
  std::array<std::uint64_t, words> row;
  for (std::size_t i = 0; i < words; ++i) {
    row[i] = k * 0x9E3779B97F4A7C15U + i;
  }
  return row;
}

void push(Ring& ring, std::uint64_t k) { ring.push(row_of(k)); }

TEST(Ring, SizeIsAPowerOfTwoOfWholePages) {
  const Ring ring(words, 1000);
  EXPECT_EQ(ring.rows() & (ring.rows() - 1), 0U);
  EXPECT_GE(ring.rows(), 1000U);
}

TEST(Ring, HandsOutRowsInOrderAndCountsLost) {
  Ring ring(words, 1);
  const std::uint64_t n = ring.rows();
  std::vector<std::uint64_t> out(n * words);
  std::uint64_t cursor = 0;
  EXPECT_EQ(ring.read(cursor, out).rows, 0U);
  for (std::uint64_t k = 0; k < n + 7; ++k) {
    push(ring, k);
  }
  const Ring::Copied copied = ring.read(cursor, out);
  EXPECT_EQ(copied.rows, n);
  EXPECT_EQ(copied.lost, 7U);
  EXPECT_EQ(cursor, n + 7);
  for (std::uint64_t i = 0; i < n; ++i) {
    EXPECT_EQ(out[i * words], row_of(i + 7)[0]);
  }
  EXPECT_EQ(ring.read(cursor, out).rows, 0U);
}

TEST(Ring, AnySpanOfRowsIsContiguous) {
  Ring ring(words, 1);
  const std::uint64_t n = ring.rows();
  for (std::uint64_t k = 0; k < n + n / 2; ++k) {
    push(ring, k);
  }
  const std::uint64_t* rows = ring.address(ring.oldest());
  for (std::uint64_t i = 0; i < n; ++i) {
    ASSERT_EQ(rows[i * words + words - 1], row_of(ring.oldest() + i)[words - 1]);
  }
}

TEST(Ring, PeekKnowsWhatIsGoneAndWhatIsNotThereYet) {
  Ring ring(words, 1);
  std::uint64_t value = 0;
  EXPECT_FALSE(ring.peek(0, 0, value));
  for (std::uint64_t k = 0; k < ring.rows() + 1; ++k) {
    push(ring, k);
  }
  EXPECT_FALSE(ring.peek(0, 0, value));
  EXPECT_TRUE(ring.peek(1, 2, value));
  EXPECT_EQ(value, row_of(1)[2]);
}

TEST(Ring, FourReadersOfTenMillionRowsGetEachWholeOrCountItLost) {
  constexpr std::uint64_t pushed = 10'000'000;
  Ring ring(words, 1);
  std::array<std::uint64_t, 4> got{};
  std::array<std::uint64_t, 4> lost{};
  std::array<std::uint64_t, 4> torn{};
  std::vector<std::thread> readers;
  for (std::size_t r = 0; r < got.size(); ++r) {
    readers.emplace_back([&, r] {
      // The whole ring at a time: the writer is likely to come round meanwhile.
      std::vector<std::uint64_t> out(ring.rows() * words);
      std::uint64_t cursor = 0;
      while (cursor < pushed) {
        const Ring::Copied copied = ring.read(cursor, out);
        for (std::size_t i = 0; i < copied.rows; ++i) {
          const auto expected = row_of(cursor - copied.rows + i);
          for (std::size_t w = 0; w < words; ++w) {
            torn[r] += out[i * words + w] != expected[w] ? 1 : 0;
          }
        }
        got[r] += copied.rows;
        lost[r] += copied.lost;
      }
    });
  }
  for (std::uint64_t k = 0; k < pushed; ++k) {
    push(ring, k);
  }
  for (std::thread& reader : readers) {
    reader.join();
  }
  for (std::size_t r = 0; r < got.size(); ++r) {
    EXPECT_EQ(got[r] + lost[r], pushed);
    EXPECT_EQ(torn[r], 0U);
    EXPECT_GT(got[r], 0U);
  }
}

}  // namespace
}  // namespace wattring
