// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "environment.hpp"
#include "source.hpp"

namespace wattring {

// Every source that was built in; the build finds them in sources/.
std::span<const SourceType* const> source_types();

struct OpenedSource {
  std::string name;
  std::unique_ptr<Source> source;
};

struct Selection {
  std::vector<OpenedSource> sources;
  std::vector<Skipped> skipped;
  std::vector<std::string> taken;  // channels that no further source is to read
};

// Opens the named sources, or, for the one name "auto" or "all", every real interface that can be
// read; with "auto", GPUs that the program cannot see are left out. A channel is taken once, from
// the first source that has it. A named source that cannot be opened is an error; with "auto" and
// "all" it is noted in `skipped`, and having none at all is the error. Throws Error.
Selection open_sources(const Environment& env, const std::vector<std::string>& names);

}  // namespace wattring
