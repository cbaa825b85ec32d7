// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "error.hpp"
#include "fake_machine.hpp"
#include "registry.hpp"

namespace wattring {

using Names = std::vector<std::string>;

inline constexpr std::int64_t us = 1'000;
inline constexpr std::int64_t ms = 1'000'000;
inline constexpr std::uint64_t range32 = std::uint64_t{1} << 32;

inline Names names(const Source& source) {
  Names found;
  for (const Channel& channel : source.channels()) {
    found.push_back(channel.name);
  }
  return found;
}

inline std::size_t index_of(const Source& source, const std::string& name) {
  const Names all = names(source);
  const auto at = std::find(all.begin(), all.end(), name);
  if (at == all.end()) {
    throw std::runtime_error("no channel " + name);
  }
  return static_cast<std::size_t>(at - all.begin());
}

inline const Channel& channel(const Source& source, const std::string& name) {
  return source.channels()[index_of(source, name)];
}

// The source and what it skipped.
struct Opened {
  std::unique_ptr<Source> source;
  std::vector<Skipped> skipped;
};

inline Opened open(const FakeMachine& machine, const std::string& name) {
  const Environment env = machine.environment();
  Selection selection = open_sources(env, {name});
  return {std::move(selection.sources.at(0).source), std::move(selection.skipped)};
}

// What f throws; a failure of the test, and an Error that matches nothing, when it does not.
template <typename F>
Error error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return Error(Errc::io, "nothing was thrown");
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace wattring
