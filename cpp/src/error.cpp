// SPDX-License-Identifier: Apache-2.0
#include "error.hpp"

#include <cerrno>
#include <system_error>

namespace wattring {

const char* name_of(Errc code) noexcept {
  switch (code) {
    case Errc::invalid:
      return "invalid";
    case Errc::absent:
      return "absent";
    case Errc::denied:
      return "denied";
    case Errc::unsupported:
      return "unsupported";
    case Errc::io:
      return "io";
    case Errc::state:
      return "state";
  }
  return "unknown";
}

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

Errc errc_of_errno(int error_number) noexcept {
  switch (error_number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ENOTDIR:
      return Errc::absent;
    case EACCES:
    case EPERM:
      return Errc::denied;
    default:
      return Errc::io;
  }
}

}  // namespace wattring
