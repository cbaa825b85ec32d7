"""The table that nvml.py prints: rows, each measured or with the reason why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class UnmeasuredError(Exception):
    """Why a row has no figure."""


@dataclass
class Row:
    what: str
    measured: str
    how: str = ""
    # The same in numbers, units in their names.
    figures: dict[str, float] = field(default_factory=dict)


def rows_of(
    what: str, measure: Callable[[], Row | list[Row]], *reasons: type[Exception]
) -> list[Row]:
    """Rows of a measurement, or one that says why there are none."""
    try:
        rows = measure()
    except Exception as error:
        if not isinstance(error, (UnmeasuredError, *reasons)):
            raise
        return [Row(what, "not measured", str(error))]
    return [rows] if isinstance(rows, Row) else rows


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.1 else f"{seconds * 1e3:.0f} ms"


def as_text(facts: dict[str, str], rows: list[Row]) -> str:
    wide = [max(len(text) for text in texts) for texts in zip(*_cells(rows), strict=True)]
    lines = [f"{name}: {fact}" for name, fact in facts.items()] + [""]
    lines += [
        "  ".join(f"{c:{w}}" for c, w in zip(cells, wide, strict=True)).rstrip()
        for cells in _cells(rows)
    ]
    return "\n".join(lines)


def as_markdown(facts: dict[str, str], rows: list[Row]) -> str:
    lines = ["; ".join(f"{name}: {fact}" for name, fact in facts.items()) + ".", ""]
    head, *others = [
        f"| {' | '.join(c.replace('|', '/') for c in cells)} |" for cells in _cells(rows)
    ]
    return "\n".join([*lines, head, "|---|---|---|", *others])


def _cells(rows: list[Row]) -> list[tuple[str, str, str]]:
    return [("what", "measured", "how"), *((row.what, row.measured, row.how) for row in rows)]
