"""Measurements as text and as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wattring.figures import (
    counted,
    format_bounds,
    format_joules,
    format_watts,
    html_table,
    place_notes,
    place_total,
    wrapped,
)

if TYPE_CHECKING:
    from wattring.measurement import Measurement


def count_notes(ambiguous: int, resets: int, failed: int) -> list[str]:
    """Say what went wrong so many times."""
    notes = []
    if ambiguous:
        stalls = counted(ambiguous, "stall", "stalls")
        notes.append(f"{stalls} in which the counter may have wrapped unseen")
    if resets:
        times = counted(resets, "time", "times")
        notes.append(f"the counter was reset {times}; what it lost is missing")
    if failed:
        notes.append(counted(failed, "failed read", "failed reads"))
    return notes


def as_text(m: Measurement) -> str:
    """One line per channel, a total of several roots, and remarks where there are some.

    Notes that are too long for a line come below, each once.
    """
    behind, below = place_notes(m.notes)
    parts, below = place_total(m.roots, below)
    rows = _rows(m, behind, parts)
    width = max([16, *(len(row[0]) for row in rows)])
    lines = [
        f"{name:<{width}} {joules:>12}  {bounds:<24} {m.seconds:>9.3f} s {watts:>10}"
        + (f"   {note}" if note else "")
        for name, joules, bounds, watts, note in rows
    ]
    return "\n".join(lines + wrapped(_remarks(m) + below))


def as_html(m: Measurement) -> str:
    """Build a table of the same."""
    seconds = f"{m.seconds:.3f} s"
    behind, below = place_notes(m.notes)
    parts, below = place_total(m.roots, below)
    rows = [(*row[:3], seconds, *row[3:]) for row in _rows(m, behind, parts)]
    head = ("channel", "energy", "bounds", "time", "power", "")
    return html_table(head, rows, _remarks(m) + below)


def _rows(
    m: Measurement, behind: dict[str, str], parts: str
) -> list[tuple[str, str, str, str, str]]:
    rows = [
        (
            channel,
            f"{format_joules(joules)} J",
            format_bounds(m.bounds_j[channel]),
            f"{format_watts(m.power_w[channel])} W",
            behind.get(channel, ""),
        )
        for channel, joules in m.energy_j.items()
    ]
    if len(m.roots) > 1:
        rows.append(
            (
                "total",
                f"{format_joules(m.total_j)} J",
                format_bounds(m.total_bounds_j),
                f"{format_watts(m.total_power_w)} W",
                parts,
            )
        )
    return rows


def _remarks(m: Measurement) -> list[str]:
    """Say what the lines of the channels don't."""
    remarks = []
    if len(m.spans_ns) > 1:
        whole_s = (m.t_end_ns - m.t_begin_ns) * 1e-9
        remarks.append(f"in {len(m.spans_ns)} windows within {whole_s:.3f} s")
    for source, gaps in m.gaps.items():
        if gaps:
            remarks.append(f"{source}: {counted(gaps, 'gap', 'gaps')} in the sampling")
    return remarks
