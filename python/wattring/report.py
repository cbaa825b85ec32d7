"""What all windows of a session cost, name by name."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from wattring import self_report
from wattring.figures import counted, format_joules, wrapped
from wattring.measurement import root_channels
from wattring.measurement_text import count_notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wattring._core import BoundedTotal, Channel, LedgerEntry, NativeReport
    from wattring.self_report import SourceStats


@dataclass(frozen=True)
class WindowTotals:
    """All windows of one name.

    Where some of them overlap (threads, recursion), the time and the energy that they share count
    once: a machine has no more, however many windows look at it.

    Attributes:
        count: windows that were measured; all figures below are about these.
        overlapped: windows among them that shared time with one that had ended before.
        seconds: the time that they cover together.
        exclusive_seconds: the part of it in which one of them was the innermost of its thread,
            that is, without the windows directly inside.
        summed_seconds: their lengths added up, each in full: more than `seconds` where windows
            overlapped. By `count` it is the mean length.
        min_seconds: the shortest; `max_seconds` the longest.
        energy_j: joules per channel in the time that they cover; within `bounds_j`.
        bounds_j: joules per channel, (lower, upper), proven.
        exclusive_j: the joules of `exclusive_seconds`; within `exclusive_bounds_j`, by interval
            arithmetic. Where windows of several threads overlapped, the two are the sum over the
            windows, at most the whole, and the bounds are as wide as that leaves it.
        summed_j: joules per channel of the windows added up, each in full. By `count`, their mean.
        min_j: of single windows, per channel, the smallest estimate; `max_j` the largest.
        cut_off: windows that had not ended when the session stopped; counted here alone.
        lost: windows whose samples were overwritten before they were settled; counted here alone.
        notes: what limits a figure, per channel; only channels with something to say.
        roots: the channels that no other one contains; totals add these alone.

    """

    count: int
    overlapped: int
    seconds: float
    exclusive_seconds: float
    summed_seconds: float
    min_seconds: float
    max_seconds: float
    energy_j: dict[str, float]
    bounds_j: dict[str, tuple[float, float]]
    exclusive_j: dict[str, float]
    exclusive_bounds_j: dict[str, tuple[float, float]]
    summed_j: dict[str, float]
    min_j: dict[str, float]
    max_j: dict[str, float]
    cut_off: int
    lost: int
    notes: dict[str, list[str]]
    roots: list[str]

    @property
    def total_j(self) -> float:
        """Joules of the root channels together."""
        return sum(self.energy_j[channel] for channel in self.roots)

    @property
    def power_w(self) -> dict[str, float]:
        """Mean watts per channel while such a window was open; NaN without one."""
        seconds = self.seconds
        return {c: j / seconds if seconds > 0 else math.nan for c, j in self.energy_j.items()}


@dataclass(frozen=True)
class Report:
    """All windows of a session that have ended, by name; `str()` is a table.

    The energies are those of whole devices, whoever used them: reports of several processes of one
    machine saw the same energy and do not add up.

    Attributes:
        windows: totals per name, in the order in which they were first asked for.
        device: whose energy it is, per channel.
        open: windows begun and not ended yet.
        pending: ends and begins that could not be settled in time; 0 unless a sensor stalls.
        dropped: windows not counted because too many ended at once for the sampler to keep up.
        late: windows not counted because the session had stopped.
        stats: how the sampling went and what it cost, `session.stats` of that moment.

    """

    windows: dict[str, WindowTotals]
    device: dict[str, str] = field(default_factory=dict)
    open: int = 0
    pending: int = 0
    dropped: int = 0
    late: int = 0
    notes: list[str] = field(default_factory=list)
    stats: dict[str, SourceStats] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON (what is not finite becomes None)."""
        found = asdict(self)
        for name, totals in self.windows.items():
            found["windows"][name]["power_w"] = totals.power_w
            found["windows"][name]["total_j"] = totals.total_j
        return _finite(found)  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """`to_dict()` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __str__(self) -> str:
        heading = (
            "window",
            "count",
            "seconds",
            "channel",
            "joules",
            "bounds",
            "own joules",
            "watts",
        )
        rows = [heading]
        for name, totals in self.windows.items():
            first = (name, str(totals.count), f"{totals.seconds:.3f}")
            for channel, joules in totals.energy_j.items():
                low, high = totals.bounds_j[channel]
                rows.append(
                    (
                        *first,
                        channel,
                        format_joules(joules),
                        f"({format_joules(low)} … {format_joules(high)})",
                        format_joules(totals.exclusive_j[channel]),
                        f"{totals.power_w[channel]:.1f}",
                    )
                )
                first = ("", "", "")
        widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
        left = (0, 3)
        lines = [
            "  ".join(
                cell.ljust(width) if i in left else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join(
            [
                *lines,
                "energy of whole devices, not of this process alone",
                *wrapped(self.notes),
                *self_report.lines(self.stats),
            ]
        )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pair(total: BoundedTotal) -> tuple[float, float]:
    return total["lower_j"], total["upper_j"]


def from_ledger(
    native: NativeReport, channels: Sequence[Channel], stats: dict[str, SourceStats]
) -> Report:
    """Build a Report from the native ledger; `channels` of all sources, in order."""
    windows = {entry["name"]: _totals(entry, channels) for entry in native["names"]}
    notes = []
    of_sensors = {channel.name: channel.note for channel in channels if channel.note}
    for name, totals in windows.items():
        if totals.overlapped and totals.summed_seconds > totals.seconds:
            summed_j = sum(totals.summed_j[channel] for channel in totals.roots)
            notes.append(
                f"{name}: {totals.overlapped} of its windows overlapped; "
                f"{format_joules(summed_j)} J if each counted in full"
            )
        if totals.cut_off:
            notes.append(f"{name}: {totals.cut_off} cut off by the stop, not counted")
        if totals.lost:
            notes.append(f"{name}: {totals.lost} lost, their samples were overwritten")
        for channel, found in totals.notes.items():
            own = [note for note in found if note != of_sensors.get(channel)]
            notes += [f"{name}: {channel}: {'; '.join(own)}"] if own else []
    if native["open"]:
        notes.append(f"{native['open']} still open")
    if native["pending"]:
        notes.append(f"{native['pending']} begins and ends not settled yet")
    if native["dropped"]:
        notes.append(f"{native['dropped']} dropped: more than the sampler could take up")
    if native["late"]:
        notes.append(f"{native['late']} came after the session's stop")
    for note in dict.fromkeys(of_sensors.values()) if windows else ():
        notes.append(f"{note} ({', '.join(c for c, said in of_sensors.items() if said == note)})")
    return Report(
        windows,
        device={channel.name: channel.device for channel in channels if channel.has_energy},
        open=native["open"],
        pending=native["pending"],
        dropped=native["dropped"],
        late=native["late"],
        notes=notes,
        stats=stats,
    )


def _totals(entry: LedgerEntry, channels: Sequence[Channel]) -> WindowTotals:
    found = {
        channel.name: totals
        for channel, totals in zip(channels, entry["channels"], strict=True)
        if channel.has_energy
    }
    notes: dict[str, list[str]] = {}
    for channel in channels:
        if channel.name not in found:
            continue
        totals = found[channel.name]
        said = [channel.note] if channel.note else []
        if totals["unbounded"]:
            unbounded = counted(totals["unbounded"], "window", "windows")
            said.append(f"{unbounded} with no proven upper bound")
        said += count_notes(totals["ambiguous"], totals["reset"], totals["failed"])
        if said:
            notes[channel.name] = said
    any_measured = entry["count"] > 0
    return WindowTotals(
        count=entry["count"],
        overlapped=entry["overlapped"],
        seconds=entry["ns"] * 1e-9,
        exclusive_seconds=entry["exclusive_ns"] * 1e-9,
        summed_seconds=entry["summed_ns"] * 1e-9,
        min_seconds=entry["min_ns"] * 1e-9 if any_measured else math.nan,
        max_seconds=entry["max_ns"] * 1e-9 if any_measured else math.nan,
        energy_j={c: t["inclusive"]["energy_j"] for c, t in found.items()},
        bounds_j={c: _pair(t["inclusive"]) for c, t in found.items()},
        exclusive_j={c: t["exclusive"]["energy_j"] for c, t in found.items()},
        exclusive_bounds_j={c: _pair(t["exclusive"]) for c, t in found.items()},
        summed_j={c: t["summed_j"] for c, t in found.items()},
        min_j={c: t["min_j"] if any_measured else math.nan for c, t in found.items()},
        max_j={c: t["max_j"] if any_measured else math.nan for c, t in found.items()},
        cut_off=entry["cut_off"],
        lost=entry["lost"],
        notes=notes,
        roots=root_channels(channels),
    )
