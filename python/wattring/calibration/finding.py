"""A time that was measured of a sensor, with its uncertainty; or why it is not known."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One property of a sensor.

    Attributes:
        value_ns: what was found, in ns; None where the samples don't tell, and `reason` says why.
        uncertainty_ns: the true value is within value ± this: three standard errors, or the time
            between two observations where that is more. None if unknown.
        observations: how many observations it rests on.
        reason: why it is unknown; empty if it is not.

    """

    value_ns: int | None
    uncertainty_ns: int | None
    observations: int
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        if self.value_ns is None or self.uncertainty_ns is None:
            return "unknown"
        decimals = 0 if self.uncertainty_ns >= 3e6 else 1 if self.uncertainty_ns >= 3e5 else 2
        value, uncertainty = self.value_ns / 1e6, self.uncertainty_ns / 1e6
        return f"{value:.{decimals}f} ± {max(uncertainty, 0.01):.{decimals}f} ms"


def known(value_s: float, uncertainty_s: float, observations: int) -> Finding:
    """Make a finding from seconds."""
    return Finding(round(value_s * 1e9), round(uncertainty_s * 1e9), observations)


def unknown(reason: str, observations: int = 0) -> Finding:
    """Say why there is none."""
    return Finding(None, None, observations, reason)
