"""All benchmarks in one table: `python bench/run.py [--quick] [--json FILE]`.

Each figure stands beside a reference measured in the same run, and most have a limit; the exit
status is 1 if one is exceeded. Needs cmake, ninja, a C++ compiler, and wattring installed in the
interpreter that runs this.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from gates import gates
from gpus import gpus, simulations
from lines import Line, show, status
from programs import ROOT, build, json_lines
from traces import traces
from windows import python_window, window_cost, window_million


def sampler(programs: Path, rounds: int) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        results = json_lines(str(programs / "sampler_vs_loop"), folder, str(rounds), "1")
    lines = []
    for result in results:
        hz, ours, loop = result["asked_hz"], result["sampler"], result["loop"]
        at = f"{hz / 1000:g} kHz" if hz else "flat out"
        cost = f"{ours['cpu_ns_per_sample']:.0f} ns against {loop['cpu_ns_per_sample']:.0f} ns"
        if hz:
            limit = 1.15
            lines.append(
                Line(
                    f"sampler, {at}: CPU per sample / bare loop",
                    result["cpu_ratio"],
                    "x",
                    cost,
                    f"<= {limit}" if hz == 1000 else "",
                    result["cpu_ratio"] <= limit if hz == 1000 else None,
                )
            )
            achieved = ours["rate_hz"] / hz
            lines.append(
                Line(
                    f"sampler, {at}: achieved rate",
                    achieved,
                    "of asked",
                    f"loop {loop['rate_hz'] / hz:.4f}",
                    ">= 0.99 (idle machine)",
                    achieved >= 0.99,
                )
            )
            for quantile in ("p50", "p99", "max"):
                key = f"late_{quantile}_ns"
                lines.append(
                    Line(
                        f"sampler, {at}: lateness {quantile}",
                        ours[key] / 1e3,
                        "us",
                        f"loop {loop[key] / 1e3:.1f} us",
                    )
                )
        else:
            ratio = result["rate_ratio"]
            reference = f"{ours['rate_hz']:.0f} Hz against {loop['rate_hz']:.0f} Hz"
            lines.append(
                Line(
                    f"sampler, {at}: rate / bare loop",
                    ratio,
                    "x",
                    reference,
                    ">= 0.85",
                    ratio >= 0.85,
                )
            )
    return lines


def ring(programs: Path) -> list[Line]:
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


def import_time(rounds: int) -> list[Line]:
    def once(program: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        return (time.perf_counter() - began) * 1e3

    extra = []
    for _ in range(rounds):
        bare = once("pass")
        extra.append(once("import wattring") - bare)
    ms = statistics.median(extra)
    return [Line("import wattring", ms, "ms", "more than a bare interpreter", "< 40", ms < 40)]


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a less full ring")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    programs = build()
    lines = gates(programs)
    lines += sampler(programs, 3 if options.quick else 11)
    lines += ring(programs)
    lines += python_ring(seconds_to_fill=2**20 * 50e-6)
    rounds = 11 if options.quick else 51
    lines += window_cost(programs, rounds) + window_million(programs) + python_window(rounds)
    lines += traces(1_000_000 if options.quick else 10_000_000, 3)
    lines += gpus(1 if options.quick else 5)
    lines += import_time(7 if options.quick else 21)
    tables = simulations()
    show(lines, tables)
    if options.json:
        document = {
            "lines": [asdict(line) for line in lines],
            "kernel": platform.release(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "commit": commit(),
            "simulations": tables,
        }
        options.json.write_text(json.dumps(document, indent=1))
    return status(lines)


if __name__ == "__main__":
    sys.exit(main())
