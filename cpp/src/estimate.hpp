// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "channel.hpp"
#include "curve.hpp"
#include "known_clock.hpp"
#include "ring.hpp"
#include "rows.hpp"

namespace wattring {

// Where a counter stood at t, by these rows. The estimate is better where the updates' clock is
// known, and finds that out where it may (null: not at all).
Standing stand(const Rows& rows, std::size_t index, const Channel& channel, std::int64_t t_ns,
               KnownClock* known = nullptr);

// stand() for every counter of a source, from the rows in its ring around t_ns; `known` has an
// element per channel. Throws Error(state) when t_ns lies before the oldest row.
std::vector<Standing> stand(const Ring& ring, std::span<const Channel> channels, std::int64_t t_ns,
                            std::vector<KnownClock>* known = nullptr);

// Whether later rows say all that they can about t_ns: quick rows saw each counter move since (a
// slow one twice), or each had the time to; and each integral has come so far.
bool covered(const Ring& ring, std::span<const Channel> channels, std::int64_t t_ns);

// The first row that ended after t_ns (head() if none).
std::uint64_t row_after(const Ring& ring, std::int64_t t_ns) noexcept;

}  // namespace wattring
