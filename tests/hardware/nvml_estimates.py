"""Refresh period and averaging window of a sensor, from what was polled alone.

Not wattring's own estimate: this is what that can be held against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_CHANGES = 12
# Share of a period by which an interval may differ from it: polls and updates come late.
TOLERANCE = 0.25


class CannotTellError(Exception):
    """Why there is no estimate."""


class Refresh(NamedTuple):
    period_s: float
    agreeing: float  # share of the intervals between changes that are a multiple of it
    changes: int


def refresh_of(change_s: Array) -> Refresh:
    """Period that the times of changes agree on; raises CannotTellError.

    The shortest interval would be one between a late update and a punctual one; a mean would take
    updates that change nothing for long periods. So: the shortest group of like intervals that
    holds a fifth of them, then the median of all intervals divided by the number of periods in
    each.
    """
    steps = np.sort(np.diff(change_s))
    if len(steps) + 1 < LEAST_CHANGES:
        raise CannotTellError(f"only {len(steps) + 1} changes were seen")
    upper = np.searchsorted(steps, steps * (1 + TOLERANCE), side="right")
    crowded = np.flatnonzero(upper - np.arange(len(steps)) >= max(4, len(steps) / 5))
    if len(crowded) == 0:
        raise CannotTellError(f"{len(steps)} intervals between changes have no period in common")
    first = crowded[0]
    period = float(np.median(steps[first : upper[first]]))
    for _ in range(3):
        number = np.maximum(np.round(steps / period), 1)
        like = np.abs(steps - number * period) < TOLERANCE * period
        # A long interval says little of the period, and may hide a miscount.
        few = like & (number <= 4)
        if not np.any(few):
            break
        period = float(np.median(steps[few] / number[few]))
    return Refresh(period, float(np.mean(like)), len(steps) + 1)


class Step(NamedTuple):
    """A load that began or ended at t_s, with the times between which the power was steady else."""

    t_s: float
    begin_s: float
    end_s: float


class Window(NamedTuple):
    window_s: float
    delay_s: float
    points: int  # updates that fell inside the rise or fall


def responses(polls_s: Array, power_w: Array, steps: list[Step]) -> tuple[Array, Array]:
    """How far each new value has come from the level before a step to that after, over time since.

    polls_s and power_w are all polls, shape (n,); only changes count, for between two updates a
    sensor repeats itself. Steps that are not well above the noise are left out.
    """
    since: list[Array] = []
    share: list[Array] = []
    at = np.flatnonzero(np.diff(power_w) != 0) + 1
    change_s, new_w = (polls_s[at - 1] + polls_s[at]) / 2, power_w[at]
    for step in steps:
        before = power_w[_last_quarter(polls_s, step.begin_s, step.t_s)]
        after = power_w[_last_quarter(polls_s, step.t_s, step.end_s)]
        if len(before) < 3 or len(after) < 3:
            continue
        low, high = float(np.median(before)), float(np.median(after))
        noise_w = max(float(np.std(before)), float(np.std(after)))
        if abs(high - low) < max(5, 4 * noise_w):
            continue
        inside = (change_s > step.t_s) & (change_s < step.end_s)
        since.append(change_s[inside] - step.t_s)
        share.append((new_w[inside] - low) / (high - low))
    if not since:
        raise CannotTellError("no step of the load shows above the noise of the sensor")
    return np.concatenate(since), np.concatenate(share)


def _last_quarter(polls_s: Array, begin_s: float, end_s: float) -> NDArray[np.bool_]:
    """Polls after any rise or fall."""
    return (polls_s > end_s - (end_s - begin_s) / 4) & (polls_s < end_s)


def window_of(since_s: Array, share: Array) -> Window:
    """Window of a running mean whose response to steps these are; raises CannotTellError.

    A mean over w follows a step as a line from 0 to 1 that is w long. Line and delay of the least
    absolute deviation: single late polls do not move it.
    """
    points = int(np.sum((share > 0.05) & (share < 0.95)))
    if points < 3:
        done = since_s[share >= 0.95]
        reason = f"shorter than {np.min(done) * 1e3:.0f} ms" if len(done) else "no response"
        raise CannotTellError(f"{reason}: {points} updates fell inside a rise or fall")
    windows = np.geomspace(0.001, 3, 120)
    delays = np.linspace(0, 0.3, 61)
    for _ in range(3):
        line = (since_s - delays[:, None, None]) / windows[None, :, None]
        cost = np.mean(np.abs(np.clip(line, 0, 1) - share), axis=2)
        i, j = np.unravel_index(np.argmin(cost), cost.shape)
        ratio, step = windows[1] / windows[0], delays[1] - delays[0]
        window, delay = float(windows[j]), float(delays[i])
        windows = np.geomspace(window / ratio, window * ratio, 41)
        delays = np.maximum(0, np.linspace(delay - step, delay + step, 21))
    return Window(window, delay, points)
