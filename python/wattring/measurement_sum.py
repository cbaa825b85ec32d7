"""The sum of two measurements, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wattring import arithmetic
from wattring.errors import InvalidError
from wattring.measurement_text import count_notes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wattring.measurement import Measurement


def add(a: Measurement, b: Measurement) -> Measurement:
    """Add windows that follow one another; `Measurement.__add__` has the rules."""
    _require_one_kind(a, b)
    _require_disjoint(a, b)
    spans = arithmetic.join(a.spans_ns, b.spans_ns)
    whole_s = a.seconds + b.seconds
    share_of_b = b.seconds / whole_s if whole_s > 0 else 0.5
    failed = _plus(a.failed, b.failed)
    ambiguous = _plus(a.ambiguous, b.ambiguous)
    resets = _plus(a.resets, b.resets)
    notes = {}
    for channel in a.energy_j:
        fixed = dict.fromkeys([*_fixed_notes(a, channel), *_fixed_notes(b, channel)])
        said = [*fixed, *count_notes(ambiguous[channel], resets[channel], failed[channel])]
        if said:
            notes[channel] = said
    return replace(
        a,
        t_begin_ns=spans[0][0],
        t_end_ns=spans[-1][1],
        energy_j={c: joules + b.energy_j[c] for c, joules in a.energy_j.items()},
        bounds_j={c: arithmetic.add([pair, b.bounds_j[c]]) for c, pair in a.bounds_j.items()},
        # The coarser of the two; of the shares of time the mean over the time.
        refresh_ns={c: max(ns, b.refresh_ns[c]) for c, ns in a.refresh_ns.items()},
        averaging_ns={c: max(ns, b.averaging_ns[c]) for c, ns in a.averaging_ns.items()},
        coverage={c: v + (b.coverage[c] - v) * share_of_b for c, v in a.coverage.items()},
        failed=failed,
        ambiguous=ambiguous,
        resets=resets,
        gaps=_plus(a.gaps, b.gaps),
        lost=_plus(a.lost, b.lost),
        notes=notes,
        spans_ns=spans,
    )


def _plus(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {key: a.get(key, 0) + b.get(key, 0) for key in a | b}


def _fixed_notes(m: Measurement, channel: str) -> list[str]:
    """Return the notes that count nothing; those that count are written anew for the sum."""
    counting = count_notes(m.ambiguous[channel], m.resets[channel], m.failed[channel])
    return [note for note in m.notes.get(channel, []) if note not in counting]


def _require_one_kind(a: Measurement, b: Measurement) -> None:
    alone = a.energy_j.keys() ^ b.energy_j.keys()
    if alone:
        raise InvalidError(
            f"these measurements are not about the same channels: only one has {_listed(alone)}",
            "add measurements of one set of sources",
        )
    for what in ("device", "source", "method"):
        of_a, of_b = getattr(a, what), getattr(b, what)
        for channel in a.energy_j:
            if of_a[channel] != of_b[channel]:
                raise InvalidError(
                    f"{channel} is not the same in these measurements: its {what} is "
                    f"{of_a[channel]!r} in one and {of_b[channel]!r} in the other",
                    "add measurements of one device, read in one way",
                )


def _require_disjoint(a: Measurement, b: Measurement) -> None:
    shared_ns = arithmetic.overlap_ns(a.spans_ns, b.spans_ns)
    if shared_ns > 0:
        raise InvalidError(
            f"these windows overlap by {shared_ns * 1e-9:.9g} s: both saw {_listed(a.energy_j)} "
            "over that time, and the sum would count it twice",
            "add windows that follow one another; of processes on one machine, keep one result",
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
