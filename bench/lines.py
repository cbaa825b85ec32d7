"""What the benchmarks have in common."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass
class Line:
    """One row of the table: a figure, what it is measured against, and its limit."""

    name: str
    figure: float
    unit: str
    reference: str
    limit: str = ""
    good: bool | None = None  # None: informational


def median_and_p95(figures: Iterable[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    ordered = sorted(figures)
    return statistics.median(ordered), ordered[len(ordered) * 95 // 100]


def show(lines: Sequence[Line], tables: Mapping[str, str]) -> None:
    """Print the table, and behind it tables that others have made."""
    for line in lines:
        verdict = "" if line.good is None else ("ok  " if line.good else "OVER")
        print(
            f"{verdict:<5}{line.name:<52}{line.figure:>10.3f} {line.unit:<9}"
            f"{line.limit:<24}{line.reference}"
        )
    for name, table in tables.items():
        print(f"\n{name}\n{table.rstrip()}")


def progress(text: str) -> None:
    """Say at a terminal what is being measured, in place of what was said before."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def status(lines: Sequence[Line]) -> int:
    """Give the exit status: 1 if a figure is beyond its limit."""
    return 1 if any(line.good is False for line in lines) else 0
