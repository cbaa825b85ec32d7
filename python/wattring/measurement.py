"""What a window of time cost: joules per channel, with bounds and provenance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wattring import arithmetic, measurement_sum, measurement_text
from wattring.documents import Document, bounds_out, dump, finite, parse
from wattring.figures import format_joules as format_joules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wattring._core import Channel
    from wattring.baseline import Baseline, Net

FORMAT = "wattring.Measurement/1"


def root_channels(channels: Iterable[Channel]) -> list[str]:
    """Names of the channels with an energy that no other channel here already contains."""
    with_energy = [channel for channel in channels if channel.has_energy]
    names = {channel.name for channel in with_energy}
    return [channel.name for channel in with_energy if channel.parent not in names]


@dataclass(frozen=True)
class Measurement:
    """Energy of the whole device (not of one process) between two time stamps.

    Measurements of windows that follow one another can be added (`a + b`, `sum([...])`); what a
    machine uses at rest is taken off by `net()`.

    Attributes:
        t_begin_ns: begin of the window, CLOCK_MONOTONIC (`time.monotonic_ns()`).
        t_end_ns: its end.
        energy_j: joules per channel, the best estimate; it lies within the bounds.
        bounds_j: joules per channel, (lower, upper): proven by the counter's readings; the upper
            one is infinite where something (a reset, a stall, no later sample) spoiled the proof.
            Of an integral they are a model's, about 95 % sure (docs/gpus.md).
        power_w: mean watts per channel; not a number for a window without length.
        method: how the energy was obtained, per channel: "counter", "integral of instantaneous
            power", "integral of averaged power".
        source: which source was read, per channel.
        device: whose energy it is, per channel.
        refresh_ns: how often the sensor has news, per channel, as it says; 0 if it does not say.
        averaging_ns: what an integrated power is the mean over, per channel; 0 for a counter, or
            where it is unknown.
        coverage: share of the time that the sensor sees, per channel; 1.0 for a counter, 0.0 where
            it is unknown.
        failed: readings in the window that failed, per channel.
        ambiguous: stalls in which the counter may have wrapped unseen, per channel.
        resets: how often the counter began anew, per channel; what it lost then is missing.
        gaps: samples that came late or not at all, per source: rows behind missed deadlines. The
            energy of a gap is in `energy_j`, what is not known about it in `bounds_j`.
        lost: samples of the window that had left the ring when it was evaluated, per source. No
            energy is lost with them, and what they said is in the counts above.
        notes: what limits a figure, per channel; only channels with something to say.
        roots: the channels that no other one contains; `total_j` adds these alone.
        spans_ns: the (begin, end) that were measured, in order; a sum may have several. Without it,
            the whole from `t_begin_ns` to `t_end_ns`.

    """

    t_begin_ns: int
    t_end_ns: int
    energy_j: dict[str, float]
    bounds_j: dict[str, tuple[float, float]]
    method: dict[str, str]
    source: dict[str, str]
    device: dict[str, str]
    refresh_ns: dict[str, int]
    averaging_ns: dict[str, int]
    coverage: dict[str, float]
    failed: dict[str, int]
    ambiguous: dict[str, int]
    resets: dict[str, int]
    gaps: dict[str, int]
    lost: dict[str, int]
    notes: dict[str, list[str]]
    roots: list[str]
    spans_ns: list[tuple[int, int]] = field(default_factory=list)
    power_w: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        if not self.spans_ns:
            object.__setattr__(self, "spans_ns", [(self.t_begin_ns, self.t_end_ns)])
        power = {channel: self._watts(joules) for channel, joules in self.energy_j.items()}
        object.__setattr__(self, "power_w", power)

    @property
    def seconds(self) -> float:
        """Length of the window; of a sum, of its windows together."""
        return sum(end - begin for begin, end in self.spans_ns) * 1e-9

    @property
    def total_j(self) -> float:
        """Joules of the root channels together."""
        return sum(self.energy_j[channel] for channel in self.roots)

    @property
    def total_bounds_j(self) -> tuple[float, float]:
        """Bounds of `total_j`."""
        return arithmetic.add(self.bounds_j[channel] for channel in self.roots)

    @property
    def total_power_w(self) -> float:
        """Mean watts of the root channels together."""
        return self._watts(self.total_j)

    def _watts(self, joules: float) -> float:
        seconds = self.seconds
        return joules / seconds if seconds > 0 else math.nan

    def __add__(self, other: Measurement) -> Measurement:
        """Energy of two windows of one machine that follow one another, in whatever order.

        Energies, bounds, seconds and counts add; a row on the border counts in both. Time between
        the windows was not measured and is not in the sum.

        Raises:
            InvalidError: the windows overlap (the sum would count that time's energy twice), or the
                two are not about the same channels of the same devices, read in the same way.

        """
        if not isinstance(other, Measurement):
            return NotImplemented
        return measurement_sum.add(self, other)

    def __radd__(self, zero: int) -> Measurement:
        """Let `sum()` begin with its 0."""
        return self if zero == 0 else NotImplemented

    def net(self, baseline: Baseline) -> Net:
        """Take off what the machine uses at rest; `Session.idle()` measures that.

        Raises:
            InvalidError: the baseline lacks a channel, or has one of another device.

        """
        from wattring.baseline import Net  # it builds on this module

        return Net(self, baseline)

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON (an infinite bound becomes None)."""
        return {
            "format": FORMAT,
            "t_begin_ns": self.t_begin_ns,
            "t_end_ns": self.t_end_ns,
            "spans_ns": [list(span) for span in self.spans_ns],
            "seconds": self.seconds,
            "energy_j": self.energy_j,
            "bounds_j": bounds_out(self.bounds_j),
            "power_w": {c: finite(w) for c, w in self.power_w.items()},
            "method": self.method,
            "source": self.source,
            "device": self.device,
            "refresh_ns": self.refresh_ns,
            "averaging_ns": self.averaging_ns,
            "coverage": self.coverage,
            "failed": self.failed,
            "ambiguous": self.ambiguous,
            "resets": self.resets,
            "gaps": self.gaps,
            "lost": self.lost,
            "notes": self.notes,
            "roots": self.roots,
            "total_j": self.total_j,
            "total_bounds_j": [finite(v) for v in self.total_bounds_j],
        }

    def to_json(self) -> str:
        """`to_dict()` as JSON text; `from_json()` gives an equal Measurement back."""
        return dump(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Measurement:
        """Read what `to_json()` wrote.

        Raises:
            InvalidError: no JSON, no measurement, or a damaged one.

        """
        return cls.from_dict(parse(text))

    @classmethod
    def from_dict(cls, document: object) -> Measurement:
        """Read what `to_dict()` gave; derived figures are computed anew, unknown keys ignored.

        Raises:
            InvalidError: no measurement, or a damaged one.

        """
        read = Document(document, FORMAT)
        spans = read.spans("spans_ns")
        t_begin_ns, t_end_ns = read.integer("t_begin_ns"), read.integer("t_end_ns")
        if (t_begin_ns, t_end_ns) != (spans[0][0], spans[-1][1]):
            raise read.refuse("spans_ns do not reach from t_begin_ns to t_end_ns")
        energy_j = read.numbers("energy_j")
        notes = {c: read.names(f"notes of {c}", v) for c, v in read.by_name("notes").items()}
        read.names("notes", list(notes), energy_j)
        return cls(
            t_begin_ns,
            t_end_ns,
            energy_j,
            read.bounds("bounds_j", energy_j),
            read.texts("method", energy_j),
            read.texts("source", energy_j),
            read.texts("device", energy_j),
            read.counts("refresh_ns", energy_j),
            read.counts("averaging_ns", energy_j),
            read.numbers("coverage", energy_j),
            read.counts("failed", energy_j),
            read.counts("ambiguous", energy_j),
            read.counts("resets", energy_j),
            read.counts("gaps"),
            read.counts("lost"),
            notes,
            read.names("roots", read.field("roots"), energy_j),
            spans,
        )

    def __str__(self) -> str:
        return measurement_text.as_text(self)

    def _repr_html_(self) -> str:
        return measurement_text.as_html(self)
