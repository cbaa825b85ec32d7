"""Eight GPUs over the tests' stand-in for NVIDIA's library: what reading them costs, what is known.

`python bench/gpus.py [--json FILE]` prints these lines alone and takes nine minutes. The library
takes 0.2 ms a call and keeps its own watch; the true energy is known. Behind them stand the tables
of the simulations, if these have been built.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import wattring as wr
from fakes.machine import FakeMachine
from fakes.nvml import FakeNvml, compile_nvml
from fakes.power import true_j
from lines import Line, median_and_p95, show, status

ROOT = Path(__file__).parents[1]
LOADS = (
    *(f"square:50:700:{period_s}" for period_s in (0.07, 0.23, 0.37, 0.83, 2.1, 6.3)),
    "bursts:50:700:1.07:0.2",
    "const:300",
)
CALL_NS = 200_000
# Of a window's length in seconds: the limits of its error in percent, in the median and at the 95th
# percentile. Those of gpu_budget.cpp.
LIMITS = {0.2: (10.0, 30.0), 1.0: (1.5, 4.0), 5.0: (0.3, 0.8)}
# As in gpu_budget.cpp: what windows spend is to come back. Pauses differ, since after equal ones
# the loads of a short period would be met at the same few phases over and over.
PAUSE_S = (5.5, 6.5)
ROUNDS = 40  # of three windows
LEARN_S = 20.0  # what a session takes to learn when the sensors publish, within its budget
SIMULATIONS = ("gpu_accuracy", "gpu_budget")


def measure(nvml: FakeNvml, machine: FakeMachine, rounds: int) -> list[Line]:
    """Windows of three lengths in turns, with pauses, at the default settings."""
    nvml.configure(",".join(LOADS), delay_ns=CALL_NS)
    chance = random.Random(1)
    measured: dict[float, list[wr.Measurement]] = {length_s: [] for length_s in LIMITS}
    with wr.Session(environment=nvml.environment(machine)) as session:
        busy_ns, begin_ns, before = nvml.busy_ns, wr.now_ns(), session.stats
        time.sleep(LEARN_S)
        for _ in range(rounds):
            for length_s, found in measured.items():
                with session.window("work") as w:
                    time.sleep(length_s)
                found.append(w.measurement)
            time.sleep(chance.uniform(*PAUSE_S))
        busy_ns, after = nvml.busy_ns - busy_ns, session.stats
        seconds = (wr.now_ns() - begin_ns) * 1e-9
    share = busy_ns * 1e-9 / seconds
    limit = 0.005
    rate = (after["rapl_msr"]["samples"] - before["rapl_msr"]["samples"]) / seconds
    sweeps = after["nvml"]["samples"] - before["nvml"]["samples"]
    lines = [
        Line(
            "8 GPUs, 0.2 ms a call: time inside the driver",
            100 * share,
            "%",
            f"{sweeps} sweeps in {seconds:.0f} s; all polls would take "
            f"{100 * len(LOADS) * CALL_NS / 19e6:.1f} %",
            f"<= {100 * limit:g}",
            share <= limit,
        ),
        Line("RAPL beside them: achieved rate", rate / 1000, "of asked", ""),
    ]
    for length_s, found in measured.items():
        lines += accuracy(length_s, found)
    return lines


def accuracy(length_s: float, found: list[wr.Measurement]) -> list[Line]:
    """Errors of the counters' energies, and whether the truth was in their bounds."""
    errors = []
    outside = 0
    for m in found:
        for gpu, load in enumerate(LOADS):
            true = true_j(load, m.t_begin_ns, m.t_end_ns)
            low, high = m.bounds_j[f"gpu-{gpu}"]
            errors.append(100 * abs(m.energy_j[f"gpu-{gpu}"] / true - 1))
            outside += 0 if low <= true <= high else 1
    median, p95 = median_and_p95(errors)
    most, most95 = LIMITS[length_s]
    return [
        Line(
            f"windows of {length_s:g} s: error, median",
            median,
            "%",
            f"{outside} of {len(errors)} outside their bounds",
            f"<= {most:g}, none outside",
            median <= most and outside == 0,
        ),
        Line(
            f"windows of {length_s:g} s: error, 95th percentile",
            p95,
            "%",
            "",
            f"<= {most95:g}",
            p95 <= most95,
        ),
    ]


def gpus(rounds: int) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        nvml = FakeNvml(compile_nvml(Path(folder)))
        try:
            return measure(nvml, FakeMachine(Path(folder)), rounds)
        finally:
            nvml.forget()


def simulations(build: Path = ROOT / "build" / "dev" / "tests" / "cpp") -> dict[str, str]:
    """Tables of the simulations by their names, or how to build them."""
    how = "not built: cmake --preset dev && cmake --build --preset dev"
    return {
        name: subprocess.run(
            [str(build / name)], capture_output=True, text=True, check=False
        ).stdout
        if os.access(build / name, os.X_OK)
        else how
        for name in SIMULATIONS
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"of three windows (default: {ROUNDS})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    lines = gpus(options.rounds)
    tables = simulations()
    show(lines, tables)
    if options.json:
        document = {"lines": [asdict(line) for line in lines], "simulations": tables}
        options.json.write_text(json.dumps(document, indent=1))
    return status(lines)


if __name__ == "__main__":
    sys.exit(main())
