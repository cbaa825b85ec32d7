// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace wattring {

// How often this thread has called operator new. Under the sanitizers as well: their malloc lies
// below ours.
std::uint64_t allocations() noexcept;

}  // namespace wattring
