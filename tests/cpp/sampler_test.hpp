// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "obedient.hpp"
#include "support.hpp"

namespace wattring {

class SamplerTest : public testing::Test {
 protected:
  // Samples an Obedient source, which orders_ are for.
  Sampler& make(std::int64_t period_ns, std::size_t rows = 4096) {
    sampler_ = std::make_unique<Sampler>("test", std::make_unique<Obedient>(orders_),
                                         SamplerOptions{.period_ns = period_ns, .rows = rows});
    return *sampler_;
  }
  Sampler& start(std::int64_t period_ns) {
    make(period_ns).start();
    return *sampler_;
  }
  Orders orders_;
  std::unique_ptr<Sampler> sampler_;
};

}  // namespace wattring
