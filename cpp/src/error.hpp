// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace wattring {

enum class Errc : std::uint8_t {
  invalid,      // the caller asked for something that cannot be
  absent,       // no such hardware, driver or file
  denied,       // it is there, this user may not read it
  unsupported,  // it is there and readable, but nothing that can be measured with
  io,           // the operating system failed in an unexpected way
  state,        // the object is stopped, or belongs to another process
};

const char* name_of(Errc code) noexcept;

// One line that names the cause, one that names the remedy (may be empty).
class Error : public std::runtime_error {
 public:
  Error(Errc code, const std::string& reason, std::string remedy = {})
      : std::runtime_error(reason), code_(code), remedy_(std::move(remedy)) {}

  Errc code() const noexcept { return code_; }
  const std::string& remedy() const noexcept { return remedy_; }

 private:
  Errc code_;
  std::string remedy_;
};

// "Permission denied" for EACCES; thread-safe, unlike strerror.
std::string errno_text(int error_number);

// absent for ENOENT and its kin, denied for EACCES and EPERM, io for the rest.
Errc errc_of_errno(int error_number) noexcept;

}  // namespace wattring
