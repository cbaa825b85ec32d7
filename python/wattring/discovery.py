"""What this machine can be measured with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wattring import _core
from wattring.errors import WattringError

if TYPE_CHECKING:
    from wattring._core import Channel, Environment, Skipped


@dataclass(frozen=True)
class SourceInfo:
    """One interface: what it offers, or why it can't be read and what to do about it.

    `status` is "readable", "absent", "denied", "unsupported", "invalid" or "io"; `automatic` says
    whether `sources="auto"` may choose it.
    """

    name: str
    summary: str
    automatic: bool
    status: str
    reason: str
    remedy: str
    channels: list[Channel]
    skipped: list[Skipped]


def sources(environment: Environment | None = None) -> list[SourceInfo]:
    """Try every source of this build on this machine, in the order in which "auto" tries them."""
    env = environment or _core.Environment.from_variables()
    found = []
    for name, summary, preference in sorted(
        _core.source_types(), key=lambda t: (t[2] == 0, t[2], t[0])
    ):
        channels: list[Channel] = []
        skipped: list[Skipped] = []
        status, reason, remedy = "readable", "", ""
        try:
            channels, skipped = _core.probe(env, name)
        except WattringError as error:
            status, reason, remedy = error.code, error.reason, error.remedy
        found.append(
            SourceInfo(name, summary, preference > 0, status, reason, remedy, channels, skipped)
        )
    return found
