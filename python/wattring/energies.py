"""What many windows cost: one array per channel, with bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@dataclass(frozen=True)
class Energies:
    """Energy of n windows; every array has the shape (n,), windows in the order asked for.

    Attributes:
        t_begin_ns: begins of the windows, int64, CLOCK_MONOTONIC.
        t_end_ns: their ends.
        energy_j: joules per channel, the best estimates, float64; NaN for a window that reaches
            beyond the samples.
        bounds_j: per channel (lower, upper): proven, as those of a Measurement. The upper one is
            infinite where nothing proves one.
        roots: the channels that no other one contains; `total_j` adds these alone.

    """

    t_begin_ns: npt.NDArray[np.int64]
    t_end_ns: npt.NDArray[np.int64]
    energy_j: dict[str, npt.NDArray[np.float64]]
    bounds_j: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
    roots: list[str]

    def __len__(self) -> int:
        return len(self.t_begin_ns)

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Lengths of the windows."""
        return np.asarray((self.t_end_ns - self.t_begin_ns) * 1e-9, np.float64)

    @property
    def power_w(self) -> dict[str, npt.NDArray[np.float64]]:
        """Mean watts per channel; NaN for a window without length."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return {c: joules / self.seconds for c, joules in self.energy_j.items()}

    @property
    def total_j(self) -> npt.NDArray[np.float64]:
        """Joules of the root channels together."""
        return _sum([self.energy_j[channel] for channel in self.roots])

    @property
    def total_bounds_j(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Bounds of `total_j`."""
        lower, upper = zip(*(self.bounds_j[channel] for channel in self.roots), strict=True)
        return _sum(lower), _sum(upper)


def _sum(arrays: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    return np.asarray(np.sum(arrays, axis=0), np.float64)
