"""The machine at rest, and what a measurement has above it."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wattring import arithmetic
from wattring.documents import Document, bounds_out, dump, finite, parse
from wattring.errors import InvalidError
from wattring.figures import (
    format_bounds,
    format_joules,
    format_watts,
    html_table,
    place_notes,
    wrapped,
)
from wattring.measurement import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wattring._core import Channel

PART_NS = 100_000_000
LEAST_REFRESHES = 10  # in a part: of fewer, the sensor's own steps would look like restlessness
BASELINE_FORMAT = "wattring.Baseline/1"
NET_FORMAT = "wattring.Net/1"


def plan_parts(length_ns: int, period_ns: int, counters: Iterable[Channel]) -> tuple[int, int]:
    """How many parts a time at rest has, and the length of each in ns.

    Raises:
        InvalidError: too short for two parts.

    """
    slowest_ns = max([period_ns, *(channel.refresh_ns for channel in counters)])
    most = length_ns // (LEAST_REFRESHES * slowest_ns)
    if most < 2:
        least_s = 2 * LEAST_REFRESHES * slowest_ns * 1e-9
        raise InvalidError(
            f"{length_ns * 1e-9:g} s at rest is too short for these sensors",
            f"ask for at least {least_s:.3g} s",
        )
    parts = min(max(10, length_ns // PART_NS), most)
    return parts, length_ns // parts


def power_spread_w(parts: Sequence[Measurement]) -> dict[str, float]:
    """Return the standard deviation of the power between parts of one time, per channel."""
    return {c: statistics.stdev(m.power_w[c] for m in parts) for c in parts[0].energy_j}


@dataclass(frozen=True)
class Baseline:
    """Power of the machine at rest, from `Session.idle()`.

    Attributes:
        measurement: the time at rest: energies, bounds, devices, gaps.
        spread_w: standard deviation of the power between parts of that time, per channel, in watts:
            how restless the rest was. It is not in the bounds.
        parts: how many such parts there were.
        power_w: mean watts per channel.
        bounds_w: watts per channel, (lower, upper): the bounds of the energy over the time.

    """

    measurement: Measurement
    spread_w: dict[str, float]
    parts: int
    bounds_w: dict[str, tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise InvalidError("a baseline without length has no power", "measure it for a while")
        seconds = self.seconds
        bounds = {c: (b[0] / seconds, b[1] / seconds) for c, b in self.measurement.bounds_j.items()}
        object.__setattr__(self, "bounds_w", bounds)

    @property
    def power_w(self) -> dict[str, float]:
        """Mean watts per channel."""
        return self.measurement.power_w

    @property
    def seconds(self) -> float:
        """How long the rest was."""
        return self.measurement.seconds

    @property
    def notes(self) -> dict[str, list[str]]:
        """What limits a figure, per channel; only channels with something to say."""
        return self.measurement.notes

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON (an infinite bound becomes None)."""
        return {
            "format": BASELINE_FORMAT,
            "measurement": self.measurement.to_dict(),
            "power_w": self.power_w,
            "bounds_w": bounds_out(self.bounds_w),
            "spread_w": self.spread_w,
            "parts": self.parts,
            "seconds": self.seconds,
        }

    def to_json(self) -> str:
        """`to_dict()` as JSON text; `from_json()` gives an equal Baseline back."""
        return dump(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Baseline:
        """Read what `to_json()` wrote. Raises InvalidError for anything else."""
        return cls.from_dict(parse(text))

    @classmethod
    def from_dict(cls, document: object) -> Baseline:
        """Read what `to_dict()` gave. Raises InvalidError for anything else."""
        read = Document(document, BASELINE_FORMAT)
        measurement = Measurement.from_dict(read.field("measurement"))
        return cls(
            measurement,
            read.numbers("spread_w", measurement.energy_j),
            read.integer("parts"),
        )

    def __str__(self) -> str:
        width = max([16, *(len(channel) for channel in self.spread_w)])
        behind, below = place_notes(self.notes)
        lines = [
            f"{channel:<{width}} {format_joules(watts):>10} W  "
            f"{format_bounds(self.bounds_w[channel]):<24} {self.seconds:>9.3f} s   "
            f"± {format_joules(self.spread_w[channel])} W{_after(behind, channel)}"
            for channel, watts in self.power_w.items()
        ]
        return "\n".join(lines + wrapped(below))


@dataclass(frozen=True)
class Net:
    """What a measurement has above a baseline: gross energy minus baseline power times seconds.

    A net energy may be below zero, where the machine used less than at rest; it is left so. The
    bounds are those of gross and baseline together. They hold if the machine would have used at
    rest, in this window, what it used in the baseline; nothing can prove that, but
    `baseline.spread_w` tells how steady it was.

    Attributes:
        gross: the measurement itself.
        baseline: what was taken off.
        energy_j: net joules per channel.
        bounds_j: net joules per channel, (lower, upper); either may be infinite.
        power_w: net mean watts per channel.

    """

    gross: Measurement
    baseline: Baseline
    energy_j: dict[str, float] = field(init=False)
    bounds_j: dict[str, tuple[float, float]] = field(init=False)
    power_w: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        rest = self.baseline.measurement
        energy_j, bounds_j = {}, {}
        for channel, joules in self.gross.energy_j.items():
            if channel not in rest.energy_j:
                raise InvalidError(
                    f"the baseline knows nothing of {channel}",
                    "measure it with the same sources",
                )
            mine, its = self.gross.device[channel], rest.device[channel]
            if mine != its:
                raise InvalidError(
                    f"the baseline is of another {channel}: {its!r}, not {mine!r}",
                    "measure it on the same machine",
                )
            energy_j[channel] = joules - rest.power_w[channel] * self.seconds
            idle_j = arithmetic.scale(self.baseline.bounds_w[channel], self.seconds)
            bounds_j[channel] = arithmetic.subtract(self.gross.bounds_j[channel], idle_j)
        seconds = self.seconds
        power_w = {c: j / seconds if seconds > 0 else math.nan for c, j in energy_j.items()}
        for name, value in (("energy_j", energy_j), ("bounds_j", bounds_j), ("power_w", power_w)):
            object.__setattr__(self, name, value)

    @property
    def seconds(self) -> float:
        """Length of the measured window."""
        return self.gross.seconds

    @property
    def roots(self) -> list[str]:
        """Channels that no other one contains."""
        return self.gross.roots

    @property
    def notes(self) -> dict[str, list[str]]:
        """What limits a figure, of the measurement and of the rest, per channel."""
        notes = {}
        for channel in self.energy_j:
            gross = self.gross.notes.get(channel, [])
            rest = [n for n in self.baseline.notes.get(channel, []) if n not in gross]
            if gross or rest:
                notes[channel] = [*gross, *(f"at rest: {note}" for note in rest)]
        return notes

    @property
    def total_j(self) -> float:
        """Net joules of the root channels together."""
        return sum(self.energy_j[channel] for channel in self.roots)

    @property
    def total_bounds_j(self) -> tuple[float, float]:
        """Bounds of `total_j`."""
        return arithmetic.add(self.bounds_j[channel] for channel in self.roots)

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON (an infinite bound becomes None)."""
        return {
            "format": NET_FORMAT,
            "gross": self.gross.to_dict(),
            "baseline": self.baseline.to_dict(),
            "energy_j": self.energy_j,
            "bounds_j": bounds_out(self.bounds_j),
            "power_w": {c: finite(w) for c, w in self.power_w.items()},
            "seconds": self.seconds,
            "notes": self.notes,
            "roots": self.roots,
            "total_j": self.total_j,
            "total_bounds_j": [finite(v) for v in self.total_bounds_j],
        }

    def to_json(self) -> str:
        """`to_dict()` as JSON text; `from_json()` gives an equal Net back."""
        return dump(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Net:
        """Read what `to_json()` wrote. Raises InvalidError for anything else."""
        return cls.from_dict(parse(text))

    @classmethod
    def from_dict(cls, document: object) -> Net:
        """Read what `to_dict()` gave, from gross and baseline. Raises InvalidError otherwise."""
        read = Document(document, NET_FORMAT)
        return cls(
            Measurement.from_dict(read.field("gross")), Baseline.from_dict(read.field("baseline"))
        )

    def _rows(self, behind: dict[str, str]) -> list[tuple[str, str, str, str, str, str]]:
        rows = [
            (
                channel,
                f"{format_joules(joules)} J",
                format_bounds(self.bounds_j[channel]),
                f"{format_watts(self.power_w[channel])} W",
                f"{format_joules(self.gross.energy_j[channel])} J",
                _after(behind, channel),
            )
            for channel, joules in self.energy_j.items()
        ]
        if len(self.roots) > 1:
            watts = self.total_j / self.seconds if self.seconds > 0 else math.nan
            rows.append(
                (
                    "total",
                    f"{format_joules(self.total_j)} J",
                    format_bounds(self.total_bounds_j),
                    f"{format_watts(watts)} W",
                    f"{format_joules(self.gross.total_j)} J",
                    f"   ({' + '.join(self.roots)})",
                )
            )
        return rows

    def __str__(self) -> str:
        behind, below = place_notes(self.notes)
        rows = self._rows(behind)
        width = max([16, *(len(row[0]) for row in rows)])
        lines = [
            f"{name:<{width}} {joules:>12} net  {bounds:<24} {self.seconds:>9.3f} s {watts:>10}   "
            f"of {gross} gross{note}"
            for name, joules, bounds, watts, gross, note in rows
        ]
        return "\n".join(lines + wrapped(below))

    def _repr_html_(self) -> str:
        head = ("channel", "net energy", "bounds", "net power", "gross energy", "")
        behind, below = place_notes(self.notes)
        return html_table(head, self._rows(behind), below)


def _after(behind: dict[str, str], channel: str) -> str:
    return f"   {behind[channel]}" if channel in behind else ""
