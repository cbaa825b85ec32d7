"""Figures as people read them: joules, bounds, and tables as text and as HTML."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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
