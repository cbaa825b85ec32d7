"""Measurements from what the native core found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wattring.figures import format_bounds, format_joules
from wattring.measurement import Measurement, root_channels
from wattring.measurement_text import count_notes

if TYPE_CHECKING:
    from wattring._core import Channel, ChannelEnergy

Found = dict[str, tuple[str, "Channel", "ChannelEnergy"]]


def from_energies(
    t_begin_ns: int,
    t_end_ns: int,
    sources: list[tuple[str, list[Channel], list[ChannelEnergy]]],
) -> Measurement:
    """Build a Measurement of all channels that have an energy."""
    found: Found = {
        channel.name: (source_name, channel, energy)
        for source_name, channels, energies in sources
        for channel, energy in zip(channels, energies, strict=True)
        if channel.has_energy
    }
    notes = {name: _notes(channel, energy) for name, (_, channel, energy) in found.items()}
    for name, note in _disagreements(found).items():
        notes[name].append(note)
    return Measurement(
        t_begin_ns,
        t_end_ns,
        energy_j={n: energy.value_j for n, (_, _, energy) in found.items()},
        bounds_j={n: (energy.lower_j, energy.upper_j) for n, (_, _, energy) in found.items()},
        method={n: method_of(channel) for n, (_, channel, _) in found.items()},
        source={n: source_name for n, (source_name, _, _) in found.items()},
        device={n: channel.device for n, (_, channel, _) in found.items()},
        refresh_ns={n: channel.refresh_ns for n, (_, channel, _) in found.items()},
        averaging_ns={n: channel.averaging_ns for n, (_, channel, _) in found.items()},
        coverage={n: coverage_of(channel) for n, (_, channel, _) in found.items()},
        failed={n: energy.failed for n, (_, _, energy) in found.items()},
        ambiguous={n: energy.ambiguous for n, (_, _, energy) in found.items()},
        resets={n: energy.reset for n, (_, _, energy) in found.items()},
        # Each channel of a source says the same, unless the ring went on between two of them.
        gaps={n: max((e.gap for e in energies), default=0) for n, _, energies in sources},
        lost={n: max((e.lost for e in energies), default=0) for n, _, energies in sources},
        notes={name: said for name, said in notes.items() if said},
        roots=root_channels(channel for _, channel, _ in found.values()),
    )


def method_of(channel: Channel) -> str:
    """Name how the energy of a channel is obtained."""
    if channel.kind == "counter":
        return "counter"
    averaged = channel.averaging_ns > channel.refresh_ns
    return f"integral of {'averaged' if averaged else 'instantaneous'} power"


def coverage_of(channel: Channel) -> float:
    """Tell the share of the time that a sensor sees; 0.0 where it is unknown."""
    if channel.kind == "counter":
        return 1.0  # it counts all the time
    return min(1.0, channel.averaging_ns / channel.refresh_ns) if channel.refresh_ns else 0.0


def _notes(channel: Channel, energy: ChannelEnergy) -> list[str]:
    notes = [channel.note] if channel.note else []
    notes += count_notes(energy.ambiguous, energy.reset, energy.failed)
    if math.isinf(energy.upper_j) and not (energy.ambiguous or energy.reset):
        notes.append("no later sample proves an upper bound")
    if energy.still:
        notes.append("the counter stood still at one end")
    return notes


def _disagreements(found: Found) -> dict[str, str]:
    """Say of a counter where the integral of the same device's power lies apart from it."""
    notes = {}
    for name, (_, channel, energy) in found.items():
        # Of the memory, which the counter contains as well, the power is another one.
        if channel.parent not in found or name != f"{channel.parent}-integral":
            continue
        _, of, counted = found[channel.parent]
        apart = energy.lower_j > counted.upper_j or energy.upper_j < counted.lower_j
        if apart and of.device == channel.device:
            notes[of.name] = (
                f"DISAGREES with {name}: {format_joules(energy.value_j)} J "
                f"{format_bounds((energy.lower_j, energy.upper_j))}; which of the two is right is "
                "not known"
            )
    return notes
