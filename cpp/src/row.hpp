// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// The layout of a row: three words, then one reading per channel.
namespace wattring::row {

inline constexpr std::size_t t_begin_word = 0;  // CLOCK_MONOTONIC before the sweep, ns
inline constexpr std::size_t t_end_word = 1;    // and after it
inline constexpr std::size_t status_word = 2;
inline constexpr std::size_t first_reading = 3;

// The low byte of the status says what happened, its other 56 bits to which channels: channel i is
// bit 8 + i % 56. In a source with more channels a bit speaks for several, so a channel may be
// suspected wrongly, never trusted wrongly.
inline constexpr std::uint64_t failed = 1;     // not read: the last value stands
inline constexpr std::uint64_t ambiguous = 2;  // unread for so long that it may have wrapped unseen
inline constexpr std::uint64_t reset = 4;      // moved in a way that no energy explains
inline constexpr std::uint64_t channel_marks = failed | ambiguous | reset;
inline constexpr std::uint64_t gap = 8;  // deadlines were missed since the row before

inline constexpr std::uint64_t channel_bit(std::size_t channel) noexcept {
  return std::uint64_t{1} << (8 + channel % 56);
}
// What the status says of one channel.
inline constexpr std::uint64_t marks_of(std::uint64_t status, std::size_t channel) noexcept {
  return (status & channel_bit(channel)) != 0 ? status & channel_marks : 0;
}

}  // namespace wattring::row
