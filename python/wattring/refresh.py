"""How often a sensor publishes, as published and as observed, and whether it is stuck."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wattring.figures import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wattring._core import Channel, ObservedRefresh

_UNKNOWN = {
    "few_changes": "too few changes to tell the refresh",
    "idle": "it moves by single units: the pace of a small load, not of the sensor",
    "slow_polls": "a new value at nearly every sample: sample more often to tell the refresh",
    "unsteady": "the changes keep to no period",
}


@dataclass(frozen=True)
class Refresh:
    """How often one channel gets a new value, from `Session.refresh()`.

    Attributes:
        published_ns: what the interface states, in ns; 0 where it states nothing.
        observed_ns: what the samples show, in ns; None where they don't tell, and `reason` says
            why.
        changes: how many changes of the value were seen.
        seconds: length of the time that was looked at.
        stale_s: seconds in which the value stood still for longer than the refresh allows although
            energy was used: a channel inside this one went on, or this one made up for it in one
            step. Equal values alone are no sign of that: an idle or a steady load explains them.
        stale_times: how often that happened.
        stale: whether it is so at the newest sample.
        reason: what is unknown or wrong; empty if nothing is.

    """

    published_ns: int
    observed_ns: int | None
    changes: int
    seconds: float
    stale_s: float
    stale_times: int
    stale: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        published = f"{self.published_ns / 1e6:.4g} ms" if self.published_ns else "not stated"
        observed = "unknown" if self.observed_ns is None else f"{self.observed_ns / 1e6:.4g} ms"
        changes = counted(self.changes, "change", "changes")
        text = f"published {published}, observed {observed} ({changes} in {self.seconds:.3g} s)"
        return f"{text}; {self.reason}" if self.reason else text


def from_native(
    channels: Iterable[Channel], observed: Iterable[ObservedRefresh]
) -> dict[str, Refresh]:
    """Put into words what the native core found, by the channel's name: of what sensors publish."""
    return {
        c.name: _one(c, found)
        for c, found in zip(channels, observed, strict=True)
        if c.kind in ("counter", "gauge")
    }


def _one(channel: Channel, found: ObservedRefresh) -> Refresh:
    reasons = [_UNKNOWN[found.evidence]] if found.evidence != "enough" else []
    if found.stale_times:
        times = counted(found.stale_times, "time", "times")
        now = ", now too" if found.stale else ""
        reasons.append(
            f"STALE for {found.stale_ns * 1e-9:.3g} s ({times}{now}): it stood still although "
            "energy was used"
        )
    return Refresh(
        published_ns=channel.refresh_ns,
        observed_ns=found.period_ns or None,
        changes=found.changes,
        seconds=found.observed_ns * 1e-9,
        stale_s=found.stale_ns * 1e-9,
        stale_times=found.stale_times,
        stale=found.stale,
        reason="; ".join(reasons),
    )
