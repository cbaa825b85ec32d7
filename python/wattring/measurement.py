"""What a window of time cost: joules per channel, with bounds and provenance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wattring._core import Channel, ChannelEnergy


def root_channels(channels: Iterable[Channel]) -> list[str]:
    """Names of the counters whose energy no other channel here already contains."""
    counters = [channel for channel in channels if channel.kind == "counter"]
    names = {channel.name for channel in counters}
    return [channel.name for channel in counters if channel.parent not in names]


@dataclass(frozen=True)
class Measurement:
    """Energy of the whole device (not of one process) between two time stamps.

    Attributes:
        t_begin_ns: begin of the window, CLOCK_MONOTONIC (`time.monotonic_ns()`).
        t_end_ns: its end.
        energy_j: joules per channel, the best estimate; it lies within the bounds.
        bounds_j: joules per channel, (lower, upper): proven by the counter's readings; the upper
            one is infinite where something (a reset, a stall, no later sample) spoiled the proof.
        method: how the energy was obtained, per channel: "counter".
        source: which source was read, per channel.
        device: whose energy it is, per channel.
        notes: what limits a figure, per channel; only channels with something to say.
        roots: the channels that no other one contains; `total_j` adds these alone.

    """

    t_begin_ns: int
    t_end_ns: int
    energy_j: dict[str, float]
    bounds_j: dict[str, tuple[float, float]]
    method: dict[str, str]
    source: dict[str, str]
    device: dict[str, str]
    notes: dict[str, list[str]]
    roots: list[str]
    power_w: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        seconds = self.seconds
        power = {c: j / seconds if seconds > 0 else math.nan for c, j in self.energy_j.items()}
        object.__setattr__(self, "power_w", power)

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return (self.t_end_ns - self.t_begin_ns) * 1e-9

    @property
    def total_j(self) -> float:
        """Joules of the root channels together."""
        return sum(self.energy_j[channel] for channel in self.roots)

    @property
    def total_bounds_j(self) -> tuple[float, float]:
        """Bounds of `total_j`."""
        bounds = [self.bounds_j[channel] for channel in self.roots]
        return sum(low for low, _ in bounds), sum(high for _, high in bounds)

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON (an infinite bound becomes None)."""

        def finite(value: float) -> float | None:
            return value if math.isfinite(value) else None

        return {
            "t_begin_ns": self.t_begin_ns,
            "t_end_ns": self.t_end_ns,
            "seconds": self.seconds,
            "energy_j": self.energy_j,
            "bounds_j": {c: [finite(v) for v in pair] for c, pair in self.bounds_j.items()},
            "power_w": {c: finite(w) for c, w in self.power_w.items()},
            "method": self.method,
            "source": self.source,
            "device": self.device,
            "notes": self.notes,
            "roots": self.roots,
            "total_j": self.total_j,
            "total_bounds_j": [finite(v) for v in self.total_bounds_j],
        }

    def __str__(self) -> str:
        lines = []
        for channel, joules in self.energy_j.items():
            low, high = self.bounds_j[channel]
            note = f"   [{'; '.join(self.notes[channel])}]" if channel in self.notes else ""
            lines.append(
                f"{channel:<16} {format_joules(joules):>10} J  "
                f"{f'({format_joules(low)} … {format_joules(high)})':<24} "
                f"{self.seconds:>9.3f} s {self.power_w[channel]:>8.1f} W{note}"
            )
        return "\n".join(lines)


def format_joules(joules: float) -> str:
    """Two decimals, more for small energies, ∞ where there is no bound."""
    if math.isinf(joules):
        return "∞"
    if abs(joules) >= 1 or joules == 0:
        return f"{joules:.2f}"
    return f"{joules:.3g}"


def from_energies(
    t_begin_ns: int,
    t_end_ns: int,
    sources: list[tuple[str, list[Channel], list[ChannelEnergy]]],
) -> Measurement:
    """Build a Measurement from what the native core found, counters only."""
    energy_j: dict[str, float] = {}
    bounds_j: dict[str, tuple[float, float]] = {}
    method: dict[str, str] = {}
    source: dict[str, str] = {}
    device: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    everything: list[Channel] = []
    for source_name, channels, energies in sources:
        for channel, energy in zip(channels, energies, strict=True):
            if channel.kind != "counter":
                continue
            everything.append(channel)
            energy_j[channel.name] = energy.value_j
            bounds_j[channel.name] = (energy.lower_j, energy.upper_j)
            method[channel.name] = "counter"
            source[channel.name] = source_name
            device[channel.name] = channel.device
            found = _notes(channel, energy)
            if found:
                notes[channel.name] = found
    return Measurement(
        t_begin_ns,
        t_end_ns,
        energy_j,
        bounds_j,
        method,
        source,
        device,
        notes,
        root_channels(everything),
    )


def _notes(channel: Channel, energy: ChannelEnergy) -> list[str]:
    notes = [channel.note] if channel.note else []
    if energy.ambiguous:
        notes.append(f"{energy.ambiguous} stalls in which the counter may have wrapped unseen")
    if energy.reset:
        notes.append(f"the counter was reset {energy.reset} times; what it lost is missing")
    if energy.failed:
        notes.append(f"{energy.failed} failed reads")
    if math.isinf(energy.upper_j) and not (energy.ambiguous or energy.reset):
        notes.append("no later sample proves an upper bound")
    if energy.still:
        notes.append("the counter stood still at one end")
    return notes
