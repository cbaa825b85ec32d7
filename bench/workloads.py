"""By how much sampling at 1 kHz slows down work that keeps one CPU, or all, busy.

Slices without a session, with one of six channels, and with one that wakes up as often but makes no
system call to read, take turns in rounds whose order alternates. The slow-down is the median over
the rounds, with the distribution-free 95 % interval of the median (its order statistics; no shape
of the noise is taken for granted).
"""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import wattring as wr
from fake_machines import six_channels
from lines import Line, progress
from saturating import WORKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fakes.machine import FakeMachine

LIMIT = 0.5  # percent
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


@contextmanager
def working(work: str, processes: int) -> Iterator[Callable[[], int]]:
    """Let so many processes work; gives a function that says how many units they have done."""
    with tempfile.NamedTemporaryFile() as file, ExitStack() as stack:
        file.write(bytes(8 * processes))
        file.flush()

        def done() -> list[int]:
            return list(struct.unpack(f"{processes}Q", os.pread(file.fileno(), 8 * processes, 0)))

        program = str(Path(__file__).with_name("saturating.py"))
        for place in range(processes):
            command = [sys.executable, program, work, file.name, str(place)]
            worker = stack.enter_context(subprocess.Popen(command, env=os.environ | ONE_THREAD))
            stack.callback(worker.kill)
        while min(done()) == 0:
            time.sleep(0.01)
        yield lambda: sum(done())


def rate(done: Callable[[], int], seconds: float) -> float:
    """Units a second."""
    units, began = done(), time.perf_counter()
    time.sleep(seconds)
    return (done() - units) / (time.perf_counter() - began)


SAMPLED = "rapl_msr"
WAKE_UPS = "simulated"  # its power is computed: neither a file nor a device is read


def slowdowns(
    done: Callable[[], int], machine: FakeMachine, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Of each round, by source, the percentage of the work that was not done while sampling."""

    def sampled(source: str) -> float:
        with wr.Session("1ms", source, environment=machine.environment()):
            return rate(done, seconds)

    found: dict[str, list[float]] = {SAMPLED: [], WAKE_UPS: []}
    for i in range(rounds):
        slices: list[str | None] = [None, *found]
        rates = {
            source: sampled(source) if source else rate(done, seconds)
            for source in (slices if i % 2 == 0 else reversed(slices))
        }
        for source, values in found.items():
            values.append(100 * (1 - rates[source] / rates[None]))
    return found


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """Median, and the order statistics around it that hold the true one with at least 95 %.

    Fewer than six values cannot: the interval is infinite then.
    """
    ordered = sorted(values)
    n = len(ordered)
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    # The largest k for which fewer than k of n fair coins fall on one side in at most 2.5 %.
    outside, k = 0.0, 0
    while outside + math.comb(n, k) / 2**n <= 0.025:
        outside += math.comb(n, k) / 2**n
        k += 1
    if k == 0:
        return median, -math.inf, math.inf
    return median, ordered[k - 1], ordered[n - k]


def slowdown_line(name: str, found: dict[str, list[float]]) -> Line:
    median, low, high = median_interval(found[SAMPLED])
    alone, *_ = median_interval(found[WAKE_UPS])
    if high < LIMIT or low > LIMIT:
        told, good = f"tells {LIMIT} %", high < LIMIT
    else:
        told, good = f"cannot tell {LIMIT} %", None
    return Line(
        f"slow-down of {name}",
        median,
        "%",
        f"95 %: {low:.2f} to {high:.2f}, {len(found[SAMPLED])} rounds; {told}; "
        f"wake-ups alone {alone:.2f} %",
        f"< {LIMIT}",
        good,
    )


def workloads(rounds: int, seconds: float) -> list[Line]:
    lines = []
    all_cpus = len(os.sched_getaffinity(0))
    with six_channels() as machine:
        for work in WORKS:
            for processes, where in ((1, "on one CPU"), (all_cpus, f"on all {all_cpus} CPUs")):
                progress(f"{work} {where}, {rounds} rounds")
                with working(work, processes) as done:
                    found = slowdowns(done, machine, rounds, seconds)
                lines.append(slowdown_line(f"{work} {where}", found))
    return lines
