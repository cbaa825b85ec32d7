"""The averaging window of a sensor, from what it shows of steps and square waves.

A sensor that publishes the mean of the last W seconds every T shows of a square wave a smaller one,
whose height against the wave's period tells W; this works although T may be longer than W (25 ms of
every 100 ms), because the waves slide past the updates. So: what would a window of W that ends a
delay before each update have shown of the load as it was switched? The W and the delay for which
that is, up to a gain and an offset, nearest to what the sensor showed are the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wattring.calibration.finding import Finding, known, unknown
from wattring.figures import counted

if TYPE_CHECKING:
    import numpy.typing as npt

    from wattring.calibration.switching import Switching
    from wattring.calibration.updates import Updates

    Floats = npt.NDArray[np.float64]

SHORTEST_S = 1e-3
LONGEST_S = 3.0
RATIO = 1.15  # between two windows of the first search
DELAY_STEP_S = 5e-3
EARLIEST_S = -5e-3  # switches and updates are dated to a few milliseconds
LEAST_UPDATES = 20
LEAST_EXPLAINED = 0.9
LAG_IF_BELOW = 0.8  # of the squares that the best window leaves over
CELLS = 8  # to each side of the best, in the finer searches
FINEST_S = 5e-5


class Fit:
    """Squares that windows and delays leave over, of one sensor's updates."""

    def __init__(self, seen: Updates, switching: Switching) -> None:
        self._t_s = seen.t_s
        self._switching = switching
        part = switching.part_of(seen.t_s)
        self._parts = np.eye(int(part.max()) + 1)[part]  # (n, parts), which update is in which
        self._counts = np.maximum(self._parts.sum(axis=0), 1)
        self._part = part
        self._values = self._centred(seen.values[np.newaxis])[0]
        self.total = float(self._values @ self._values)
        # Fitted are gain, window, middle, and an offset a part.
        self.free = max(len(seen.t_s) - 3 - self._parts.shape[1], 1)

    def left_over(self, window_s: float, centres_s: Floats) -> Floats:
        """Sum of squares for a window whose middles lie so long before the updates."""
        ends_s = self._t_s - (centres_s - window_s / 2)[:, np.newaxis]
        return self._without(self._switching.share(ends_s, window_s))

    def left_by_lag(self, constant_s: float, delays_s: Floats) -> Floats:
        """Sum of squares for a sensor that follows with a time constant, after delays."""
        t_s = self._t_s - delays_s[:, np.newaxis]
        return self._without(self._switching.followed(t_s, constant_s))

    def _without(self, shares: Floats) -> Floats:
        """Sum of squares without what shares of the load explain, row by row."""
        share = self._centred(shares)
        # One gain for all: were each wave free to have its own, its height would tell nothing.
        crossed = np.maximum(share @ self._values, 0)
        squares = np.einsum("ij,ij->i", share, share)
        explained = np.divide(crossed**2, squares, out=np.zeros_like(squares), where=squares > 0)
        left: Floats = np.maximum(self.total - explained, 0)
        return left

    def _centred(self, rows: Floats) -> Floats:
        """Take off each part's mean: the power at rest drifts with the temperature."""
        means = rows @ self._parts / self._counts
        centred: Floats = rows - means[:, self._part]
        return centred


def averaging(
    seen: Updates, switching: Switching, refresh_s: float, spacing_s: float
) -> tuple[Finding, Finding]:
    """Find the averaging window, and the lag of its middle behind the load.

    Args:
        seen: what the sensor published.
        switching: what was done with the load.
        refresh_s: time between updates; delays up to two and a half of it are looked at.
        spacing_s: time between polls; no result is more certain.

    """
    number = len(seen.t_s)
    if number < LEAST_UPDATES:
        reason = f"{counted(number, 'update', 'updates')} of the sensor, too few"
        return unknown(reason, number), unknown(reason, number)
    fit = Fit(seen, switching)
    delays_s = np.arange(EARLIEST_S, max(2.5 * refresh_s, 0.05), DELAY_STEP_S)
    window_s, centre_s = _search(fit, delays_s)
    window_s, centre_s, errors_s, least = _refine(fit, window_s, centre_s)
    if not fit.total or 1 - least / fit.total < LEAST_EXPLAINED:
        explained = 1 - least / fit.total if fit.total else 0.0
        reason = f"no window explains what it showed: the best {100 * explained:.0f} % of it"
        return unknown(reason, number), unknown(reason, number)
    lag_s, left = _best_lag(fit, delays_s)
    if left < LAG_IF_BELOW * least:
        reason = f"no window: it follows with a time constant of about {lag_s * 1e3:.0f} ms"
        return unknown(reason, number), unknown(reason, number)
    if window_s > LONGEST_S / 1.1:
        reason = "a window too long for the steps of the load"
        return unknown(reason, number), unknown(reason, number)
    window_error_s, centre_error_s = (error_s + spacing_s for error_s in errors_s)
    return known(window_s, window_error_s, number), known(centre_s, centre_error_s, number)


def _search(fit: Fit, delays_s: Floats) -> tuple[float, float]:
    """Try windows and delays far and wide."""
    best = (np.inf, SHORTEST_S, 0.0)
    for window_s in _scale():
        left = fit.left_over(window_s, delays_s + window_s / 2)
        at = int(np.argmin(left))
        best = min(best, (float(left[at]), window_s, float(delays_s[at] + window_s / 2)))
    return best[1:]


def _best_lag(fit: Fit, delays_s: Floats) -> tuple[float, float]:
    """Find the time constant that explains most, and the squares that it leaves over."""
    left = [(float(fit.left_by_lag(s, delays_s).min()), s) for s in _scale()]
    return min(left)[::-1]


def _scale() -> list[float]:
    """List times from the shortest to the longest, evenly by their ratios."""
    steps = int(np.log(LONGEST_S / SHORTEST_S) / np.log(RATIO)) + 1
    return [float(s) for s in SHORTEST_S * RATIO ** np.arange(steps)]


def _refine(
    fit: Fit, window_s: float, centre_s: float
) -> tuple[float, float, tuple[float, float], float]:
    """Look closer around the best until its neighbourhood of three standard errors is resolved.

    Returns window, middle, the uncertainties of both, and the squares left over.
    """
    steps = np.arange(-CELLS, CELLS + 1, dtype=np.float64)
    window_step_s, centre_step_s = (RATIO - 1) * window_s / 2, DELAY_STEP_S / 2
    for _ in range(40):
        windows_s = np.maximum(window_s + steps * window_step_s, FINEST_S)
        centres_s: Floats = centre_s + steps * centre_step_s
        left = np.array([fit.left_over(float(w), centres_s) for w in windows_s])
        i, j = np.unravel_index(int(np.argmin(left)), left.shape)
        least = float(left[i, j])
        window_s, centre_s = float(windows_s[i]), float(centres_s[j])
        inside = left <= least * (1 + 9 / fit.free)
        wide = [int(np.ptp(np.flatnonzero(inside.any(axis=axis)))) for axis in (1, 0)]
        before = window_step_s, centre_step_s
        at_border = int(i) if windows_s[i] > FINEST_S else CELLS  # no window is below it
        window_step_s = _next_step(window_step_s, wide[0], at_border)
        centre_step_s = _next_step(centre_step_s, wide[1], int(j))
        if before == (window_step_s, centre_step_s):
            break
    errors_s = (wide[0] / 2 + 1) * before[0], (wide[1] / 2 + 1) * before[1]
    return window_s, centre_s, errors_s, least


def _next_step(step_s: float, wide: int, at: int) -> float:
    """Halve the step where few cells are inside, double it where they reach the border."""
    if wide > CELLS or at in (0, 2 * CELLS):
        return step_s * 2
    if wide < CELLS / 2 and step_s > FINEST_S:
        return step_s / 2
    return step_s
