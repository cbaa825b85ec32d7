"""How many windows a trace of ten million rows settles a second, and that they are right."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from lines import Line

if TYPE_CHECKING:
    import numpy.typing as npt

    import wattring as wr

REFRESH_NS = 976_562
UNIT_J = 2.0**-14


def energy_j(t_ns: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """20 and 80 W in turns, from 0 on."""
    whole, rest = np.divmod(np.asarray(t_ns, np.float64) * 1e-9, 0.237)
    high = np.maximum(rest - 0.1185, 0)
    return np.asarray(whole * 0.237 * 50 + 20 * np.minimum(rest, 0.1185) + 80 * high, np.float64)


def make(rows: int, channels: int) -> wr.Trace:
    """A counter updated 1024 times a second, polled at 1 kHz for hours."""
    from wattring.provenance import clock_offset
    from wattring.trace import in_memory
    from wattring.trace_content import FORMAT, row_dtype

    chance = np.random.default_rng(1)
    names = [f"package-{i}" for i in range(channels)]
    table = np.zeros(rows, row_dtype(names))
    table["t_begin_ns"] = np.arange(rows) * 1_000_000 + chance.integers(0, 30_000, rows)
    table["t_end_ns"] = table["t_begin_ns"] + 2000
    ticks = np.floor(energy_j(table["t_begin_ns"] // REFRESH_NS * REFRESH_NS) / UNIT_J)
    facts: dict[str, object] = {
        "device": "",
        "note": "",
        "parent": "",
        "kind": "counter",
        "unit": "J",
    }
    facts |= {
        "scale": UNIT_J,
        "averaging_ns": 0,
        "modulus": 2**32,
        "quantum": 1,
        "refresh_ns": 976_000,
        "max_power_w": 1000.0,
    }
    for name in names:
        table[name] = ticks - ticks[0]
    source = {"driver": "", "channels": [{"name": name, **facts} for name in names]}
    header = {"format": FORMAT, "sources": {"made": source}, "clocks": [clock_offset()]}
    return in_memory({**header, "period_ns": 1_000_000}, {"made": table}, [], 0)


def traces(rows: int, rounds: int, windows: int = 2_000_000) -> list[Line]:
    lines = []
    for channels in (1, 6):
        trace = make(rows, channels)
        began = time.perf_counter()
        trace.energy_between([], [])
        opened_s = time.perf_counter() - began
        chance = np.random.default_rng(2)
        t0 = chance.integers(trace.t_begin_ns, trace.t_end_ns - 10**9, windows)
        t1 = t0 + chance.integers(500_000, 10**9, windows)
        in_order = np.argsort(t0)
        raw = trace.samples("made")
        for order, begins, ends in (
            ("in order", t0[in_order], t1[in_order]),
            ("at random", t0, t1),
        ):
            best_s = plain_s = np.inf
            for _ in range(rounds):
                began = time.perf_counter()
                found = trace.energy_between(begins, ends)
                middle = time.perf_counter()
                joules = raw["package-0"] * UNIT_J
                for t in (begins, ends):
                    np.interp(t, raw["t_end_ns"], joules)
                best_s = min(best_s, middle - began)
                plain_s = min(plain_s, time.perf_counter() - middle)
            truth = energy_j(ends) - energy_j(begins)
            lower, upper = found.bounds_j["package-0"]
            outside = int(np.count_nonzero((truth < lower - 1e-6) | (truth > upper + 1e-6)))
            millions = windows / best_s / 1e6
            required = channels == 1 and rows >= 10_000_000
            lines.append(
                Line(
                    f"trace of {rows / 1e6:g} M rows, {channels} counters, windows {order}",
                    millions,
                    "M/s",
                    f"numpy.interp of one, no bounds: {windows / plain_s / 1e6:.2f}; "
                    f"{outside} outside their bounds",
                    ">= 2" if required else "",
                    # Wrong bounds are no matter of speed.
                    False if outside else (millions >= 2 if required else None),
                )
            )
        lines.append(
            Line(f"opening it, {channels} counters", rows * channels / opened_s / 1e6, "M/s", "")
        )
    return lines
