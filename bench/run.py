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
import time
from dataclasses import asdict
from pathlib import Path

from gates import gates
from gpus import gpus, simulations
from lines import Line, show, status
from programs import ROOT, build
from rings import python_ring
from sampling import sampling
from traces import traces
from windows import python_window, window_cost, window_million


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
    lines += sampling(programs, 3 if options.quick else 11)
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
