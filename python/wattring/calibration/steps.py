"""The step response of a sensor: how long after the load its value follows, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wattring.calibration.finding import Finding, known, unknown

if TYPE_CHECKING:
    import numpy.typing as npt

    from wattring.calibration.switching import Switching
    from wattring.calibration.updates import Polls, Updates

    Floats = npt.NDArray[np.float64]

# A mean over one second has to come to rest on either side of a step.
LEAST_HOLD_S = 1.2
SETTLED = 0.3  # of a hold, its last part
LEAST_UPDATES = 2


def response(polls: Polls, seen: Updates, switching: Switching) -> tuple[Floats, Floats]:
    """Lay all steps of the load over one another.

    Each step meets the sensor at another moment between two updates, so that together they show
    more than an update every refresh.

    Returns:
        Seconds from a step to an update behind it, ascending, and the share of the change that the
        update shows: 0 the level before the step, 1 the one that it comes to. Both of shape (n,).

    """
    edges_s = np.concatenate([polls.t_s[:1], switching.t_s, polls.t_s[-1:]])
    held_s = np.diff(edges_s)
    after_s, shares = [], []
    for i in np.flatnonzero((held_s[:-1] >= LEAST_HOLD_S) & (held_s[1:] >= LEAST_HOLD_S)):
        begin_s, step_s, end_s = edges_s[i : i + 3]
        before = polls.between(step_s - SETTLED * (step_s - begin_s), step_s).values
        settled = polls.between(end_s - SETTLED * (end_s - step_s), end_s).values
        if not (len(before) and len(settled)):
            continue
        low, high = float(np.median(before)), float(np.median(settled))
        inside = slice(*np.searchsorted(seen.t_s, (step_s, end_s)))
        if low != high:
            after_s.append(seen.t_s[inside] - step_s)
            shares.append((seen.values[inside] - low) / (high - low))
    if not after_s:
        return np.empty(0), np.empty(0)
    all_s, all_shares = np.concatenate(after_s), np.concatenate(shares)
    order = np.argsort(all_s, kind="stable")
    return all_s[order], all_shares[order]


def lag_and_rise(after_s: Floats, shares: Floats, spacing_s: float) -> tuple[Finding, Finding]:
    """Find the time to half of the change, and that from 10 to 90 % of it.

    Args:
        after_s: as `response()` gives it.
        shares: likewise.
        spacing_s: time between polls, to half of which an update is dated.

    """
    number = len(after_s)
    if number < LEAST_UPDATES:
        reason = "no step of the load was long enough" if not number else "too few updates in steps"
        return unknown(reason, number), unknown(reason, number)
    rising = _never_falling(shares)
    if rising[-1] < 0.9:
        reason = "the value does not follow the steps of the load"
        return unknown(reason, number), unknown(reason, number)
    # What noise may do to a level, three deviations of it: more than gaps where the rise is slow.
    noise = 3 * float(np.std(shares - rising))
    (half_s, half_error_s), (low_s, low_error_s), (high_s, high_error_s) = (
        _crossing(after_s, rising, level, noise) for level in (0.5, 0.1, 0.9)
    )
    dated_s = spacing_s / 2
    return (
        known(half_s, half_error_s + dated_s, number),
        known(high_s - low_s, low_error_s + high_error_s + 2 * dated_s, number),
    )


def _crossing(after_s: Floats, rising: Floats, level: float, noise: float) -> tuple[float, float]:
    """Say when a level is reached, and to how much that is known: it lies between two updates."""
    at_s, early_s, late_s = _reached(after_s, rising, level)
    # Level and noise stay clear of 0 and 1, where the many updates of a hold outweigh the noise.
    low, high = max(level - noise, level / 2), min(level + noise, (1 + level) / 2)
    early_s = min(early_s, _reached(after_s, rising, low)[0])
    late_s = max(late_s, _reached(after_s, rising, min(high, float(rising[-1])))[0])
    return at_s, max(at_s - early_s, late_s - at_s)


def _reached(after_s: Floats, rising: Floats, level: float) -> tuple[float, float, float]:
    """When a level is reached: between two updates, and their times."""
    first = int(np.argmax(rising >= level))
    # At the step there was nothing of it.
    t0_s, share0 = (after_s[first - 1], rising[first - 1]) if first else (0.0, min(0.0, rising[0]))
    t1_s, share1 = after_s[first], rising[first]
    part = (level - share0) / (share1 - share0) if share1 > share0 else 0.5
    at_s = t0_s + min(max(part, 0.0), 1.0) * (t1_s - t0_s)
    return float(at_s), float(t0_s), float(t1_s)


def _never_falling(values: Floats) -> Floats:
    """Fit the nearest sequence that never falls (pool adjacent violators): a step under noise."""
    means: list[float] = []
    sizes: list[int] = []
    for value in values:
        means.append(float(value))
        sizes.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            size = sizes[-2] + sizes[-1]
            means[-2] = (means[-2] * sizes[-2] + means[-1] * sizes[-1]) / size
            sizes[-2] = size
            del means[-1], sizes[-1]
    return np.repeat(means, sizes)
