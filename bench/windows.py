"""What windows cost, and whether a million of them add up."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

from lines import Line
from programs import json_lines

if TYPE_CHECKING:
    from pathlib import Path


def window_cost(programs: Path, rounds: int) -> list[Line]:
    """An empty window in C++, against two clock readings and two readings of the counters."""
    with tempfile.TemporaryDirectory() as folder:
        (cost,) = json_lines(str(programs / "window_cost"), folder, str(rounds))
    clock, read = cost["clock_ratio"], cost["read_ratio"]
    return [
        Line(
            "empty window, C++ / two clock_gettime",
            clock,
            "x",
            f"{cost['window_ns']:.0f} ns against {cost['two_clocks_ns']:.0f} ns",
            "<= 2.5",
            clock <= 2.5,
        ),
        Line(
            "six counters read at both ends / empty window, C++",
            read,
            "x",
            f"{cost['two_reads_ns']:.0f} ns, from plain files",
            ">= 50",
            read >= 50,
        ),
    ]


def window_million(programs: Path) -> list[Line]:
    """A million windows of 200 ns in a row at 1 kHz, and without anything inside."""
    (paced,) = json_lines(str(programs / "window_million"), "200")
    (flat_out,) = json_lines(str(programs / "window_million"), "0")
    # The parts and what the ledger gives to the gaps are the whole; the truth is known.
    agree = (
        paced["outer_lower_j"] <= paced["sum_j"] + paced["own_j"] <= paced["outer_upper_j"]
        and paced["sum_lower_j"] <= paced["true_j"] <= paced["sum_upper_j"]
    )
    growth = paced["growth_kib"]
    return [
        Line(
            "a million windows in a row: dropped",
            paced["dropped"],
            "windows",
            f"{paced['ns_each']:.0f} ns each",
            "== 0",
            paced["dropped"] == 0 and paced["windows"] == 1_000_000,
        ),
        Line(
            "a million windows in a row: more memory",
            growth,
            "KiB",
            "resident",
            "<= 256",
            growth <= 256,
        ),
        Line(
            "a million windows: sum of estimates / true energy",
            paced["sum_j"] / paced["true_j"],
            "x",
            f"{paced['sum_j']:.3f} J of {paced['outer_j']:.3f} J, bounds "
            f"{paced['sum_lower_j']:.2f} to {paced['sum_upper_j']:.2f}",
            "truth within bounds",
            agree,
        ),
        Line(
            "a million empty windows flat out: dropped",
            flat_out["dropped"],
            "windows",
            f"{flat_out['ns_each']:.0f} ns each",
        ),
    ]


def python_window(rounds: int) -> list[Line]:
    """An empty `with` of a reused window, against two readings of Python's clock, and against six
    counters read at both ends as a meter in Python reads them (from plain files: the system calls
    alone)."""
    import wattring as wr

    times = range(20_000)  # few enough for the queue, many enough to be timed
    clock = time.perf_counter_ns

    def clocks() -> int:
        began = clock()
        for _ in times:
            clock()
            clock()
        return clock() - began

    def windows(w: wr.Window) -> int:
        began = clock()
        for _ in times:
            with w:
                pass
        return clock() - began

    def fresh(session: wr.Session) -> int:
        began = clock()
        for _ in times:
            with session.window("fresh"):
                pass
        return clock() - began

    def readings(files: list[int]) -> float:
        few = range(1000)
        began = clock()
        for _ in few:
            for _ in range(2):
                for file in files:
                    int(os.pread(file, 32, 0))
        return (clock() - began) / len(few)

    def nothing() -> int:
        began = clock()
        for _ in times:
            pass
        return clock() - began

    found: list[tuple[int, int, int]] = []
    reads: list[float] = []
    with tempfile.TemporaryFile() as file, wr.Session(sources="simulated") as session:
        file.write(b"123456789012\n")
        file.flush()
        w = session.window("reused")
        for _ in range(rounds):
            bare = nothing()
            found.append((clocks() - bare, windows(w) - bare, fresh(session) - bare))
            reads.append(readings([file.fileno()] * 6))
            time.sleep(0.02)  # they are settled meanwhile
        dropped = session.report().dropped
    ratio = statistics.median(w / c for c, w, _ in found)
    clock_ns, window_ns, fresh_ns = (
        statistics.median(column) / len(times) for column in zip(*found, strict=True)
    )
    reads_ns = statistics.median(reads)
    return [
        Line(
            "six counters read at both ends / empty window, Python",
            reads_ns / window_ns,
            "x",
            f"{reads_ns:.0f} ns, from plain files",
            ">= 50",
            reads_ns / window_ns >= 50,
        ),
        Line(
            "empty window, Python / two perf_counter_ns",
            ratio,
            "x",
            f"{window_ns:.0f} ns against {clock_ns:.0f} ns, {dropped} dropped",
            "<= 3",
            ratio <= 3,
        ),
        Line("the same with session.window() each time", fresh_ns, "ns", ""),
    ]
