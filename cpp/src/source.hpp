// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "channel.hpp"
#include "environment.hpp"

namespace wattring {

enum class ReadStatus : std::uint8_t {
  ok,      // every channel was read, or its failure was named
  retry,   // nothing was read this time; counted
  failed,  // no channel could be read; the errno is kept
  gone,    // the device will not come back; this sampler stops, the others go on
};

// What one sweep over the channels of a source fills in.
class Sweep {
 public:
  explicit Sweep(std::size_t channels) : raw_(channels), failed_(channels) {}

  std::span<std::uint64_t> raw() noexcept { return raw_; }
  void set(std::size_t channel, std::uint64_t value) noexcept { raw_[channel] = value; }
  // This channel could not be read; its raw value is ignored.
  void fail(std::size_t channel, int error_number) noexcept {
    if (failed_[channel] == 0) {
      failed_[channel] = 1;
      ++failures_;
      vanished_ += error_number == ENODEV || error_number == ENXIO ? 1 : 0;
    }
    error_number_ = error_number;
  }
  // What a source returns after it has tried every channel.
  ReadStatus outcome() const noexcept {
    if (failures_ < raw_.size()) {
      return ReadStatus::ok;
    }
    return vanished_ == failures_ ? ReadStatus::gone : ReadStatus::failed;
  }

  // For the sampler.
  void clear() noexcept {
    if (failures_ > 0) {
      std::fill(failed_.begin(), failed_.end(), std::uint8_t{0});
      failures_ = 0;
      vanished_ = 0;
    }
  }
  bool failed(std::size_t channel) const noexcept { return failures_ > 0 && failed_[channel] != 0; }
  int error_number() const noexcept { return error_number_; }

 private:
  std::vector<std::uint64_t> raw_;
  std::vector<std::uint8_t> failed_;
  std::size_t failures_ = 0;
  std::size_t vanished_ = 0;
  int error_number_ = 0;
};

// Reads one hardware interface.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  // Fixed for the life of the source.
  virtual std::span<const Channel> channels() const noexcept = 0;
  // Sampler thread only. One system call per channel or fewer; no lock, no allocation.
  virtual ReadStatus read(Sweep& sweep) noexcept = 0;
  // Reading it holds up the measured program: it is read no more often than this, whatever period
  // was asked for, and only for a share of the time (SamplerOptions). 0: it does not.
  virtual std::int64_t least_period_ns() const noexcept { return 0; }
};

// Something that was not taken, and why.
struct Skipped {
  std::string source;
  std::string channel;  // empty: the whole source
  std::string code;     // "absent", "denied", "unsupported", "redundant", "hidden", …
  std::string reason;
  std::string remedy;  // empty: nothing to be done
};

// The code of what the program that measures cannot see.
inline constexpr const char* hidden = "hidden";

// What a source is given to open itself with.
struct Opening {
  const Environment& env;
  bool automatic = false;  // chosen by "auto": leave out what costs more than it tells
  // Channels that another source already reads, or which show one that is read: a source adds what
  // it finds to be so.
  std::vector<std::string> taken = {};
  std::vector<Skipped> skipped = {};  // filled by the source; the registry adds its name

  bool is_taken(const std::string& channel) const {
    return std::find(taken.begin(), taken.end(), channel) != taken.end();
  }
  void skip(std::string channel, std::string code, std::string reason, std::string remedy = {}) {
    skipped.push_back(
        {{}, std::move(channel), std::move(code), std::move(reason), std::move(remedy)});
  }
  // Says what is to be known of a GPU, or that it is hidden, and nothing.
  std::optional<std::string> note_if_visible(const std::string& channel, const std::string& uuid) {
    if (!env.visible_gpus) {
      return "";
    }
    const auto at = env.visible_gpus->notes.find(uuid);
    if (at != env.visible_gpus->notes.end()) {
      return at->second;
    }
    skip(channel, hidden, env.visible_gpus->said + " leaves it out", "sources=\"all\"");
    return std::nullopt;
  }
};

struct SourceType {
  const char* name;
  const char* summary;  // one line for people
  int preference;       // "auto" tries the lowest first; 0: never chosen by itself
  // Throws Error (absent, denied, unsupported) with the remedy. Without channels when all are
  // taken.
  std::unique_ptr<Source> (*open)(Opening& opening);
};

}  // namespace wattring
