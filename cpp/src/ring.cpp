// SPDX-License-Identifier: Apache-2.0
#include "ring.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>

#include "error.hpp"

namespace wattring {
namespace {

// Maps `bytes` of shared memory twice, one after the other.
std::uint64_t* map_twice(std::size_t bytes) {
  const auto fail = [bytes](const char* call, int error_number) -> Error {
    return Error(Errc::io,
                 "no memory for a ring of " + std::to_string(bytes) + " bytes: " + call + ": " +
                     errno_text(error_number),
                 "ask for fewer rows");
  };
  const int fd = memfd_create("wattring", MFD_CLOEXEC);
  if (fd < 0) {
    throw fail("memfd_create", errno);
  }
  void* base = MAP_FAILED;
  const char* failed_call = "ftruncate";
  if (ftruncate(fd, static_cast<off_t>(bytes)) == 0) {
    failed_call = "mmap";
    // Reserving first makes MAP_FIXED safe.
    base = mmap(nullptr, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (base != MAP_FAILED) {
    char* first = static_cast<char*>(base);
    // Populated at once: the writer must not take a page fault in the middle of a sweep.
    const int flags = MAP_SHARED | MAP_FIXED;
    if (mmap(first, bytes, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, 0) == MAP_FAILED ||
        mmap(first + bytes, bytes, PROT_READ, flags, fd, 0) == MAP_FAILED) {
      const int error_number = errno;
      munmap(base, 2 * bytes);
      errno = error_number;
      base = MAP_FAILED;
    }
  }
  const int error_number = errno;
  close(fd);
  if (base == MAP_FAILED) {
    throw fail(failed_call, error_number);
  }
  return static_cast<std::uint64_t*>(base);
}

std::size_t whole_pages(std::size_t rows) {
  // A power of two of at least page/8 rows makes rows × 8 bytes × words a multiple of the page.
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return std::bit_ceil(std::max(rows, page / sizeof(std::uint64_t)));
}

}  // namespace

Ring::Ring(std::size_t words_per_row, std::size_t rows)
    : words_(words_per_row),
      mask_(whole_pages(rows) - 1),
      bytes_((mask_ + 1) * words_per_row * sizeof(std::uint64_t)),
      base_(map_twice(bytes_)) {}

Ring::~Ring() { munmap(base_, 2 * bytes_); }

Ring::Copied Ring::read(std::uint64_t& cursor, std::span<std::uint64_t> to) const noexcept {
  const std::uint64_t end = head();
  const std::uint64_t start = std::clamp(cursor, oldest_at(end), end);
  const std::size_t n = std::min<std::size_t>(end - start, to.size() / words_);
  const auto* from = const_cast<std::uint64_t*>(address(start));
  const std::size_t words = n * words_;
  for (std::size_t i = 0; i < words; ++i) {
    // Acquire: see push(). A load of eight bytes never writes, so the const_cast is sound.
    to[i] = std::atomic_ref(const_cast<std::uint64_t&>(from[i])).load(std::memory_order_acquire);
  }
  // Whatever was overwritten meanwhile had been claimed before.
  const std::uint64_t valid = oldest_at(claimed_.load(std::memory_order_relaxed));
  const std::size_t torn = std::min<std::size_t>(n, valid > start ? valid - start : 0);
  if (torn > 0) {
    std::copy(to.begin() + static_cast<std::ptrdiff_t>(torn * words_),
              to.begin() + static_cast<std::ptrdiff_t>(words), to.begin());
  }
  const std::uint64_t lost = start + torn - std::min(cursor, start);
  cursor = start + n;
  return {n - torn, lost};
}

bool Ring::peek(std::uint64_t k, std::size_t word, std::uint64_t& value) const noexcept {
  if (k >= head()) {
    return false;
  }
  auto& from = const_cast<std::uint64_t&>(address(k)[word]);
  value = std::atomic_ref(from).load(std::memory_order_acquire);
  return k >= oldest_at(claimed_.load(std::memory_order_relaxed));
}

}  // namespace wattring
