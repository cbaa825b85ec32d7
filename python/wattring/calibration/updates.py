"""When a sensor published new values, from dense polls of it, and how often it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wattring.calibration.finding import Finding, known, unknown
from wattring.figures import counted

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LEAST_CHANGES = 10
# A change lies between two polls; below this many polls a refresh its date says too little.
POLLS_A_REFRESH = 2.5
# What belongs to one period, as in Session.refresh().
NEAR = 0.25
LEAST_SHARE = 0.4
MOST_SHORTER = 0.1
# Intervals in which a sensor at rest published the same value again, counted up to this many.
MOST_REFRESHES = 5


@dataclass(frozen=True)
class Polls:
    """Readings of one sensor: seconds from any origin (the middle of each sweep), and values.

    Both of shape (n,); values in any unit.
    """

    t_s: Floats
    values: Floats

    def between(self, t0_s: float, t1_s: float) -> Polls:
        """Keep those of a time."""
        inside = slice(*np.searchsorted(self.t_s, (t0_s, t1_s)))
        return Polls(self.t_s[inside], self.values[inside])

    @property
    def spacing_s(self) -> float:
        """Usual time between two polls."""
        return float(np.median(np.diff(self.t_s))) if len(self.t_s) > 1 else 0.0


@dataclass(frozen=True)
class Updates:
    """Values and the seconds at which the sensor published them; both of shape (n,)."""

    t_s: Floats
    values: Floats


@dataclass(frozen=True)
class Changes:
    """Every change of a sensor's value, each of shape (n,).

    Attributes:
        t_s: between the last poll without it and the first with it.
        before: the value until then.
        after: the value from then on.
        dated: not where no poll came for three times as long as usual.

    """

    t_s: Floats
    before: Floats
    after: Floats
    dated: npt.NDArray[np.bool_]


def changes(polls: Polls) -> Changes:
    """Find and date every change of the value."""
    last = np.flatnonzero(np.diff(polls.values))
    early_s, late_s = polls.t_s[last], polls.t_s[last + 1]
    dated = late_s - early_s <= 3 * polls.spacing_s
    return Changes((early_s + late_s) / 2, polls.values[last], polls.values[last + 1], dated)


def refresh(polls: Polls) -> Finding:
    """Find the time between two updates that the times between changes agree on.

    Never the shortest of them, which jitter and a late poll spoil, nor their mean, which a sensor
    at rest spoils by publishing the same value again.
    """
    found = changes(polls)
    intervals_s = np.diff(found.t_s)[found.dated[1:] & found.dated[:-1]]
    seen = len(intervals_s)
    if seen < LEAST_CHANGES:
        return unknown(f"{counted(seen, 'interval', 'intervals')} between changes, too few", seen)
    period_s = _commonest(intervals_s)
    if period_s < POLLS_A_REFRESH * polls.spacing_s:
        spacing = f"polls {polls.spacing_s * 1e3:.3g} ms apart"
        return unknown(f"a new value at nearly every one of {spacing}: poll faster", seen)
    near = np.abs(intervals_s - period_s) <= NEAR * period_s
    if near.sum() < max(LEAST_CHANGES, LEAST_SHARE * seen):
        return unknown("the changes keep to no period", seen)
    if (intervals_s < (1 - NEAR) * period_s).sum() > MOST_SHORTER * seen:
        return unknown("the changes keep to no period: many come sooner than most", seen)
    times = np.round(intervals_s / period_s)
    used = (times >= 1) & (times <= MOST_REFRESHES)
    used &= np.abs(intervals_s - times * period_s) <= NEAR * period_s
    number, times = int(used.sum()), times[used]
    mean_s = float(intervals_s[used].sum() / times.sum())
    spread_s = float(np.std(intervals_s[used] - times * mean_s))
    # The ends of the run are dated to half a poll each, however regular the rest is.
    error_s = 3 * spread_s / np.sqrt(number) + polls.spacing_s / number
    return known(mean_s, float(error_s), number)


def _commonest(intervals_s: Floats) -> float:
    """Find the middle of where most intervals lie close together."""
    in_order = np.sort(intervals_s)
    reach = np.searchsorted(in_order, in_order * (1 + NEAR), side="right")
    begin = int(np.argmax(reach - np.arange(len(in_order))))
    middle_s = float(np.median(in_order[begin : reach[begin]]))
    # The stretch with the most of them need not be centred on them.
    for _ in range(5):
        near = np.abs(intervals_s - middle_s) <= NEAR * middle_s
        middle_s = float(np.mean(intervals_s[near]))
    return middle_s


def updates(polls: Polls, refresh_s: float) -> Updates:
    """List what the sensor published: each change, and the same value again just before it.

    That a value was published again shows in the time for which it stood; of a long rest only the
    last update counts as an observation, or rests would outweigh all else.
    """
    found = changes(polls)
    stood_s = np.diff(found.t_s, prepend=polls.t_s[0])
    repeated = found.dated & (stood_s >= (2 - NEAR) * refresh_s)
    t_s = np.concatenate([found.t_s[found.dated], found.t_s[repeated] - refresh_s])
    values = np.concatenate([found.after[found.dated], found.before[repeated]])
    order = np.argsort(t_s, kind="stable")
    return Updates(t_s[order], values[order])
