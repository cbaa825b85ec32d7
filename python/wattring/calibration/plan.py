"""When the load is switched: rest, steps, then square waves of several periods."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wattring.errors import InvalidError

# What prepared the load must have left a mean over one second.
SETTLE_S = 1.1
REST_S = 1.4
TAIL_S = 0.3  # what the last switch still changes
# A mean over one second has to come to rest between two steps.
HOLD_S = 1.5
STEPS_SHARE = 0.55
# Periods of the waves in refreshes of the sensor: off any simple fraction, so that each wave slides
# past the updates and meets them in all its phases. The longest is for means over a second.
PERIODS = (0.618, 0.764, 1.309, 1.618, 2.618, 6.18)
SLIDE = 0.618
# Python switches a load to some tenths of a millisecond.
SHORTEST_PERIOD_S = 0.01
SHORTEST_S = SETTLE_S + REST_S + TAIL_S + 2 * (HOLD_S + 0.2) + 2.0


@dataclass(frozen=True)
class Plan:
    """How a number of seconds is spent on one GPU."""

    seconds: float

    def __post_init__(self) -> None:
        if self.seconds < SHORTEST_S:
            raise InvalidError(
                f"{self.seconds:g} s are too short: a mean over one second must follow steps",
                f"ask for {SHORTEST_S:.1f} s or more",
            )

    def steps(self) -> int:
        """Count the times that the load is switched on and off again."""
        return max(1, int(STEPS_SHARE * self._switched_s() / (2 * (HOLD_S + 0.1))))

    def hold_s(self, refresh_s: float) -> float:
        """Time between steps, so that each comes at another moment between two updates."""
        return (math.ceil(HOLD_S / refresh_s) + SLIDE) * refresh_s

    def waves(self, refresh_s: float) -> list[tuple[float, int]]:
        """List period in seconds and number of periods of each wave."""
        left_s = self._switched_s() - 2 * self.steps() * self.hold_s(refresh_s)
        periods_s = [p * refresh_s for p in PERIODS if p * refresh_s >= SHORTEST_PERIOD_S]
        each_s = max(left_s, 0.0) / max(len(periods_s), 1)
        return [(period_s, max(1, int(each_s / period_s))) for period_s in periods_s]

    def _switched_s(self) -> float:
        return self.seconds - SETTLE_S - REST_S - TAIL_S
