// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace wattring {

// How often this thread has called pread.
std::uint64_t reads() noexcept;

}  // namespace wattring
