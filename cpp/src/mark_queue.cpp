// SPDX-License-Identifier: Apache-2.0
#include "mark_queue.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <new>

#include "error.hpp"

namespace wattring {

MarkQueue::MarkQueue() {
  // Populated at once: whoever opens a window must not pay for page faults.
  memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                 -1, 0);
  if (memory_ == MAP_FAILED) {
    throw Error(Errc::io, "no memory for windows: mmap: " + errno_text(errno),
                "free some of this process's memory");
  }
  // Where the kernel does not know this (before 4.14) a child pushes into a copy of its own, which
  // nobody reads.
  madvise(memory_, bytes, MADV_WIPEONFORK);
  new (memory_) Head{};  // the cells are zero as they come
}

MarkQueue::~MarkQueue() { munmap(memory_, bytes); }

}  // namespace wattring
