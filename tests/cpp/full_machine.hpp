// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fake_machine.hpp"

namespace wattring {

// A machine on which every source of real hardware opens. All its counters, whatever shows them,
// stand at the same energy. A new source of hardware adds its own here.
class FullMachine final : public FakeMachine {
 public:
  FullMachine();

  // Joules since construction. Registers start 10 J short of their wrap.
  void stand_at(double joules) const;
  // Every read fails from now on, though the devices are there.
  void break_all() const;
  // The drivers are unloaded.
  void vanish() const;
};

}  // namespace wattring
