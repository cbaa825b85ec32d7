"""What was done with the load: when it was switched, and the share of a time in which it was on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Switching:
    """Switches of the load, which is off before the first.

    Attributes:
        t_s: seconds from the origin of the polls, shape (n,), ascending.
        on: whether it was switched on, shape (n,).
        parts_s: begins of the parts of the measurement, between which the power at rest may have
            drifted; shape (p,), ascending.

    """

    t_s: Floats
    on: npt.NDArray[np.bool_]
    parts_s: Floats

    def on_until(self, t_s: Floats) -> Floats:
        """Seconds for which the load had been on, at any times."""
        if not len(self.t_s):
            return np.zeros_like(t_s)
        ran_s = np.concatenate([[0.0], np.cumsum(np.diff(self.t_s) * self.on[:-1])])
        # Beyond the last switch it stays as it is.
        after_s = np.maximum(t_s - self.t_s[-1], 0) * bool(self.on[-1])
        until: Floats = np.interp(t_s, self.t_s, ran_s) + after_s
        return until

    def share(self, end_s: Floats, window_s: float) -> Floats:
        """Share of the windows of this length in which the load was on, by their ends."""
        return (self.on_until(end_s) - self.on_until(end_s - window_s)) / window_s

    def followed(self, t_s: Floats, constant_s: float) -> Floats:
        """Share that a sensor shows which follows the load with a time constant, at any times."""
        at_switch = np.zeros(len(self.t_s) + 1)  # the first: at rest
        decays = np.exp(-np.diff(self.t_s) / constant_s)
        for i, decay in enumerate(decays):
            at_switch[i + 2] = self.on[i] + (at_switch[i + 1] - self.on[i]) * decay
        last = np.searchsorted(self.t_s, t_s, side="right")
        target = np.concatenate([[0.0], self.on])[last]
        since_s = t_s - np.concatenate([[-np.inf], self.t_s])[last]
        shown: Floats = target + (at_switch[last] - target) * np.exp(-since_s / constant_s)
        return shown

    def part_of(self, t_s: Floats) -> npt.NDArray[np.intp]:
        """Tell in which part of the measurement times are, from 0."""
        return np.maximum(np.searchsorted(self.parts_s, t_s, side="right") - 1, 0)
