// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "session.hpp"
#include "support.hpp"

namespace wattring {

inline constexpr double power_w = 100;

class WindowsTest : public testing::Test {
 protected:
  // Samples a constant 100 W.
  Windows& start(const SamplerOptions& options = {.period_ns = ms, .rows = 4096}) {
    Environment env;
    env.simulated = "package-0=const:100";
    session_ = std::make_unique<Session>(env, Names{"simulated"}, options);
    session_->start();
    return session_->windows();
  }
  struct Run {
    Windows::SlotId slot;
    std::uint64_t ticket;
    std::uint64_t place;
  };
  static Settled wait(Windows& windows, const Run& run) {
    return windows.wait(run.slot, run.ticket, run.place);
  }
  ChannelEnergy energy(const Settled& settled) const {
    return session_->between(settled.from, settled.to).at(0).at(0);
  }
  static void expect_true(const ChannelEnergy& energy, const Settled& settled) {
    expect_power({energy.lower_j, energy.value_j, energy.upper_j},
                 settled.to.t_ns - settled.from.t_ns);
  }
  // Of one span of time.
  static void expect_power(const Bounded& energy, std::int64_t ns) {
    const double truth_j = power_w * static_cast<double>(ns) * 1e-9;
    EXPECT_LE(energy.lower_j, truth_j);
    EXPECT_GE(energy.upper_j, truth_j);
    EXPECT_TRUE(std::isfinite(energy.upper_j));
    // Two readings of one refresh each, and nothing else, are uncertain.
    EXPECT_NEAR(energy.value_j, truth_j, 2.2e-3 * power_w);
  }
  static LedgerEntry entry(const WindowReport& report, const std::string& name) {
    for (const LedgerEntry& e : report.names) {
      if (e.name == name) {
        return e;
      }
    }
    ADD_FAILURE() << "no entry " << name;
    return {};
  }
  std::unique_ptr<Session> session_;
};

}  // namespace wattring
