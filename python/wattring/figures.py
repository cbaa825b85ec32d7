"""Figures as people read them: joules, bounds, and tables as text and as HTML."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COLUMNS = 100
BEHIND = 75  # what may stand behind a line of a table


def format_joules(joules: float) -> str:
    """Two decimals, more for small energies, ∞ where there is no bound."""
    if math.isinf(joules):
        return "∞" if joules > 0 else "-∞"
    if abs(joules) >= 1 or joules == 0:
        return f"{joules:.2f}"
    return f"{joules:.3g}"


def format_bounds(bounds: tuple[float, float]) -> str:
    """Lower and upper, in the unit of the figure before them."""
    return f"({format_joules(bounds[0])} … {format_joules(bounds[1])})"


def format_watts(watts: float) -> str:
    """One decimal; an empty window has no power."""
    return "-" if math.isnan(watts) else f"{watts:.1f}"


def counted(number: int, one: str, many: str) -> str:
    """Write "1 row", "2 rows"."""
    return f"{number} {one if number == 1 else many}"


def place_notes(
    notes: Mapping[str, Iterable[str]], room: int = BEHIND
) -> tuple[dict[str, str], list[str]]:
    """Put notes in brackets behind their channels if each of these then fits into `room` columns.

    Else none stands there, and the lines returned beside, for below the table, have each note once
    with the channels that it is about.
    """
    behind = {channel: f"[{'; '.join(said)}]" for channel, said in notes.items() if said}
    if all(len(text) <= room for text in behind.values()):
        return behind, []
    about: dict[str, list[str]] = {}
    for channel, said in notes.items():
        for note in said:
            about.setdefault(note, []).append(channel)
    return {}, [f"{note} ({', '.join(channels)})" for note, channels in about.items()]


def place_total(
    roots: Sequence[str], below: list[str], room: int = BEHIND
) -> tuple[str, list[str]]:
    """Say what a total of several channels adds: behind it if that fits, else below, first."""
    text = " + ".join(roots)
    if len(text) + 2 <= room:
        return f"({text})", below
    return "", [f"total: {text}", *below]


def wrapped(lines: Iterable[str], columns: int = COLUMNS) -> list[str]:
    """Break what is too long, and indent how it goes on."""
    import textwrap

    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line,
            columns,
            subsequent_indent="  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
    ]


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], below: Iterable[str] = ()
) -> str:
    """Build a plain table for notebooks; everything is escaped."""
    from html import escape

    def row(cells: Sequence[str], tag: str) -> str:
        # Names and notes to the left, figures to the right.
        ends = (0, len(head) - 1)
        return "".join(
            f'<{tag} style="text-align:{"left" if i in ends else "right"}">{escape(cell)}</{tag}>'
            for i, cell in enumerate(cells)
        )

    lines = ["<table>", f"<thead><tr>{row(head, 'th')}</tr></thead>", "<tbody>"]
    lines += [f"<tr>{row(cells, 'td')}</tr>" for cells in rows]
    lines += ["</tbody>", "</table>"]
    lines += [f"<div>{escape(line)}</div>" for line in below]
    return "\n".join(lines)
