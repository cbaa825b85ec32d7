"""All that the samples of one GPU tell of its sensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wattring.calibration.finding import Finding, unknown
from wattring.calibration.steps import lag_and_rise, response
from wattring.calibration.updates import Polls, refresh, updates
from wattring.calibration.window_fit import averaging

if TYPE_CHECKING:
    import numpy.typing as npt

    from wattring._core import Channel
    from wattring.calibration.switching import Switching

FAILED = 1  # of a row's status
_COUNTER = "a counter has no window: it adds up all energy"


@dataclass(frozen=True)
class SensorFindings:
    """What was found of one sensor.

    Attributes:
        sensor: "counter", "instant" or "average".
        channel: name of its channel.
        published_refresh_ns: what the interface states, in ns; 0 where it states nothing.
        published_averaging_ns: likewise.
        refresh: time between two updates.
        averaging: length of the window of which an update is the mean.
        lag: from a step of the load to half of the change, as updates show it.
        rise: from 10 to 90 % of the change.

    """

    sensor: str
    channel: str
    published_refresh_ns: int
    published_averaging_ns: int
    refresh: Finding
    averaging: Finding
    lag: Finding
    rise: Finding

    @property
    def known(self) -> bool:
        """Whether anything was found."""
        found = (self.refresh, self.averaging, self.lag, self.rise)
        return any(finding.value_ns is not None for finding in found)

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON."""
        return {
            "sensor": self.sensor,
            "channel": self.channel,
            "published_refresh_ns": self.published_refresh_ns,
            "published_averaging_ns": self.published_averaging_ns,
            "refresh": self.refresh.to_dict(),
            "averaging": self.averaging.to_dict(),
            "lag": self.lag.to_dict(),
            "rise": self.rise.to_dict(),
        }


def polls_of(
    rows: npt.NDArray[np.void], channels: list[Channel], channel: Channel, origin_ns: int
) -> Polls:
    """Take one channel's good readings from rows of its source, in its unit."""
    index = [c.name for c in channels].index(channel.name)
    bit = np.uint64(1 << (8 + index % 56))
    failed = (rows["status"] & np.uint64(FAILED) != 0) & (rows["status"] & bit != 0)
    good = rows[~failed]
    middle_ns = (good["t_begin_ns"] - origin_ns) + (good["t_end_ns"] - good["t_begin_ns"]) // 2
    return Polls(middle_ns * 1e-9, good[channel.name] * channel.scale)


def analyse(sensor: str, channel: Channel, polls: Polls, switching: Switching) -> SensorFindings:
    """Find what the polls of a sensor tell; what they don't is unknown, with the reason."""
    every = refresh(polls)
    if sensor == "counter":
        window = lag = rise = unknown(_COUNTER)
    elif every.value_ns is None:
        window = lag = rise = unknown("needs the refresh, which is unknown")
    else:
        refresh_s = every.value_ns * 1e-9
        seen = updates(polls, refresh_s)
        window, lag = averaging(seen, switching, refresh_s, polls.spacing_s)
        step_lag, rise = lag_and_rise(*response(polls, seen, switching), polls.spacing_s)
        # The fit dates the middle of the window better than steps between two updates can.
        lag = step_lag if lag.value_ns is None else lag
    published = channel.refresh_ns, channel.averaging_ns
    return SensorFindings(sensor, channel.name, *published, every, window, lag, rise)
