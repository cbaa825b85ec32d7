// SPDX-License-Identifier: Apache-2.0
#include "registry.hpp"

#include <algorithm>
#include <array>

#include "error.hpp"
#include "nvml_gauges.hpp"

namespace wattring {

#define WATTRING_SOURCE(name) extern const SourceType name##_source;
#include "builtin_sources.inc"
#undef WATTRING_SOURCE

namespace {

constexpr std::array all_types{
#define WATTRING_SOURCE(name) &name##_source,
#include "builtin_sources.inc"
#undef WATTRING_SOURCE
};

std::vector<const SourceType*> automatic_types() {
  std::vector<const SourceType*> types;
  std::copy_if(all_types.begin(), all_types.end(), std::back_inserter(types),
               [](const SourceType* type) { return type->preference > 0; });
  std::sort(types.begin(), types.end(),
            [](const SourceType* a, const SourceType* b) { return a->preference < b->preference; });
  return types;
}

const SourceType* find(const std::string& name) {
  const auto at = std::find_if(all_types.begin(), all_types.end(),
                               [&name](const SourceType* type) { return name == type->name; });
  if (at != all_types.end()) {
    return *at;
  }
  std::string known = "auto, all";
  for (const SourceType* type : all_types) {
    known += std::string(", ") + type->name;
  }
  throw Error(Errc::invalid, "no source is called '" + name + "'", "choose from: " + known);
}

// Opens one more source beside those in the selection.
void open_one(const Environment& env, const SourceType& type, bool automatic,
              Selection& selection) {
  Opening opening{.env = env, .automatic = automatic, .taken = selection.taken};
  std::unique_ptr<Source> source = type.open(opening);
  selection.taken = std::move(opening.taken);
  for (const Channel& channel : source->channels()) {
    selection.taken.push_back(channel.name);
  }
  if (source->channels().empty() && !opening.skipped.empty() &&
      opening.skipped.front().code == hidden) {
    const Skipped& each = opening.skipped.front();
    selection.skipped.push_back({type.name, "", each.code, each.reason, each.remedy});
    return;
  }
  for (Skipped& skipped : opening.skipped) {
    skipped.source = type.name;
    selection.skipped.push_back(std::move(skipped));
  }
  if (source->channels().empty()) {
    selection.skipped.push_back(
        {type.name, "", "redundant", "all its domains are read through another source", ""});
    return;
  }
  selection.sources.push_back({type.name, std::move(source)});
}

[[noreturn]] void throw_none(const std::vector<Skipped>& skipped) {
  std::string reasons;
  Errc code = Errc::absent;
  std::string remedy =
      "`wattring doctor` explains each; `wattring demo` runs on a simulated machine";
  for (const Skipped& s : skipped) {
    reasons += (reasons.empty() ? "" : "; ") + s.source + ": " + s.reason;
    if (s.code == name_of(Errc::denied) && code != Errc::denied) {
      code = Errc::denied;
      remedy = s.remedy;
    } else if (s.code == hidden && code != Errc::denied) {
      remedy = s.remedy;
    }
  }
  throw Error(code, "no energy sensor can be read (" + reasons + ")", remedy);
}

}  // namespace

std::span<const SourceType* const> source_types() { return all_types; }

Selection open_sources(const Environment& env, const std::vector<std::string>& names) {
  nvml::require_groups(env.gpu_gauges);  // also where there is no GPU
  Selection selection;
  const std::string only = names.size() == 1 ? names.front() : "";
  Environment seen = env;
  if (only != "auto") {
    seen.visible_gpus.reset();
  }
  if (only != "auto" && only != "all") {
    for (const std::string& name : names) {
      open_one(seen, *find(name), false, selection);
    }
    if (selection.sources.empty()) {
      throw Error(Errc::invalid, "no source was asked for", "leave it to sources=\"auto\"");
    }
    return selection;
  }
  for (const SourceType* type : automatic_types()) {
    try {
      open_one(seen, *type, true, selection);
    } catch (const Error& error) {
      selection.skipped.push_back(
          {type->name, "", name_of(error.code()), error.what(), error.remedy()});
    }
  }
  if (selection.sources.empty()) {
    throw_none(selection.skipped);
  }
  return selection;
}

}  // namespace wattring
