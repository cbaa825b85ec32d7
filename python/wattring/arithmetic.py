"""Arithmetic of energies with bounds: intervals, and the times that they are about.

Rounding keeps order, so a value that lies within its bounds stays there through all of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Bounds: TypeAlias = "tuple[float, float]"
Spans: TypeAlias = "list[tuple[int, int]]"


def add(values: Iterable[Bounds]) -> Bounds:
    """Bounds of a sum."""
    bounds = list(values)
    return sum(low for low, _ in bounds), sum(high for _, high in bounds)


def subtract(a: Bounds, b: Bounds) -> Bounds:
    """Bounds of a difference."""
    return a[0] - b[1], a[1] - b[0]


def scale(bounds: Bounds, factor: float) -> Bounds:
    """Bounds of a product with a factor that is not negative."""
    if factor == 0:
        return 0.0, 0.0  # nothing of an infinite bound is nothing
    return bounds[0] * factor, bounds[1] * factor


def overlap_ns(a: Spans, b: Spans) -> int:
    """Time that two sets of spans share."""
    return sum(
        max(0, min(a_end, b_end) - max(a_begin, b_begin))
        for a_begin, a_end in a
        for b_begin, b_end in b
    )


def join(a: Spans, b: Spans) -> Spans:
    """Spans of both in the order of time; those that touch become one."""
    joined: Spans = []
    for begin, end in sorted([*a, *b]):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined
