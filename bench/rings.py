"""Rows out of a full ring, copied and viewed."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from lines import Line
from programs import json_lines

if TYPE_CHECKING:
    from pathlib import Path


def ring_copy(programs: Path) -> list[Line]:
    (copy,) = json_lines(str(programs / "ring_copy"))
    ratio = copy["bandwidth_ratio"]
    return [
        Line(
            "copy of 2^20 rows: bandwidth / memcpy",
            ratio,
            "x",
            f"{copy['read_us']:.0f} us",
            ">= 0.5",
            ratio >= 0.5,
        )
    ]


def python_ring(seconds_to_fill: float) -> list[Line]:
    """Fill a ring of 2^20 rows by real sampling, then view and copy it."""
    import numpy as np

    import wattring as wr

    session = wr.Session(seconds_to_fill / 2**20, "simulated", rows=2**20).start()
    while session.stats["simulated"]["samples"] < 2**20:
        time.sleep(0.1)
    session.stop()
    views, copies, plain = [], [], []
    for _ in range(101):
        began = time.perf_counter_ns()
        view = session.ring_view("simulated")
        views.append(time.perf_counter_ns() - began)
        assert len(view) == 2**20
        assert not view.flags.owndata
    for _ in range(9):
        began = time.perf_counter_ns()
        rows = session.samples("simulated")
        middle = time.perf_counter_ns()
        reference = np.copy(view)
        plain.append(time.perf_counter_ns() - middle)
        copies.append(middle - began)
        assert rows.nbytes == reference.nbytes
    view_us = statistics.median(views) / 1e3
    ratio = statistics.median(p / c for p, c in zip(plain, copies, strict=True))
    return [
        Line("ring_view of 2^20 rows", view_us, "us", "no copy", "< 20", view_us < 20),
        Line(
            "samples() of 2^20 rows: bandwidth / numpy.copy",
            ratio,
            "x",
            f"{statistics.median(copies) / 1e3:.0f} us",
            ">= 0.5",
            ratio >= 0.5,
        ),
    ]
