"""The sampler against a thread in Python that reads the same counters: `python bench/polling.py`.

Six counters of powercap, in plain files, at 1 kHz: CPU per sample in alternating rounds, the rates
that both hold beside a busy loop in the main thread, and, where valgrind is there, the
instructions per sample without the kernel's, which are the same on a busy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import wattring as wr
from fake_machines import six_channels
from fakes.machine import POWERCAP
from lines import Line, show, status
from polling_thread import PollingThread, energy_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from fakes.machine import FakeMachine

PERIOD_NS = 1_000_000
SOURCE = "rapl_powercap"
SECONDS = 1.0
COUNTED = (500, 2500)  # samples


class Tally(NamedTuple):
    """What was used so far."""

    samples: int
    cpu_ns: float
    t_ns: int


class Spent(NamedTuple):
    cpu_ns_per_sample: float
    rate_hz: float


@contextlib.contextmanager
def sampler(of: FakeMachine, source: str = SOURCE) -> Iterator[Callable[[], Tally]]:
    with wr.Session(PERIOD_NS * 1e-9, source, environment=of.environment()) as session:
        assert len(session.channels[source]) == (6 if source == SOURCE else 3)

        def tally() -> Tally:
            stats = session.stats[source]
            return Tally(stats["samples"], stats["cpu_s"] * 1e9, time.monotonic_ns())

        yield tally


@contextlib.contextmanager
def thread(of: FakeMachine) -> Iterator[Callable[[], Tally]]:
    files = sorted((of.root / POWERCAP).glob("*/energy_uj"))
    assert len(files) == 6
    polling = PollingThread({str(file): energy_file(file) for file in files}, PERIOD_NS)
    polling.start()
    try:
        yield lambda: Tally(len(polling.rows), polling.cpu_ns, time.monotonic_ns())
    finally:
        polling.stop()


METERS: dict[str, Callable[[FakeMachine], AbstractContextManager[Callable[[], Tally]]]] = {
    "sampler": sampler,
    "thread": thread,
    "no reads": functools.partial(sampler, source="simulated"),
}


def busy(seconds: float) -> None:
    """Compute in Python, without a call that would let another thread in."""
    end_ns = time.monotonic_ns() + int(seconds * 1e9)
    x = 0
    while time.monotonic_ns() < end_ns:
        for i in range(1000):
            x += i * i


def spend(of: FakeMachine, name: str, main_thread: Callable[[float], None]) -> Spent:
    with METERS[name](of) as tally:
        time.sleep(0.05)
        before = tally()
        main_thread(SECONDS)
        after = tally()
    # Beside a busy loop the thread may not have come to a single one.
    samples = after.samples - before.samples
    return Spent(
        (after.cpu_ns - before.cpu_ns) / max(samples, 1),
        samples / (after.t_ns - before.t_ns) * 1e9,
    )


def instructions(name: str) -> float:
    """Count what a sample takes, as what the longer of two runs does more."""
    found = []
    for samples in COUNTED:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            callgrind = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
            command = [*callgrind, sys.executable, __file__, "--take", name, str(samples)]
            done = subprocess.run(
                command,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONHASHSEED": "0"},
            )
            totals = re.search(r"^totals: (\d+)", out.read_text(), re.MULTILINE)
            assert totals is not None, out
            found.append((int(done.stdout), int(totals[1])))
    (few, less), (many, more) = found
    return (more - less) / (many - few)


def take(name: str, samples: int) -> None:
    """What is counted: sample so many times, and print how many it became."""
    with six_channels() as of, METERS[name](of) as tally:
        # Seldom asked how far it is: that is counted as well.
        while (missing := samples - tally().samples) > 0:
            time.sleep(max(0.1, missing * PERIOD_NS * 1e-9))
        taken = tally().samples
    print(taken)


def polling(rounds: int) -> list[Line]:
    with six_channels() as of:
        idle = [
            tuple(spend(of, name, time.sleep) for name in ("sampler", "thread", "no reads"))
            for _ in range(rounds)
        ]
        beside = [(spend(of, "sampler", busy), spend(of, "thread", busy)) for _ in range(rounds)]
    ours_us, theirs_us, sleep_us = (
        statistics.median(spent[i].cpu_ns_per_sample for spent in idle) / 1e3 for i in range(3)
    )
    ratio = statistics.median(b.cpu_ns_per_sample / a.cpu_ns_per_sample for a, b, _ in idle)
    asked_hz = 1e9 / PERIOD_NS
    ours, theirs = (statistics.median(pair[i].rate_hz for pair in beside) for i in (0, 1))
    alone = statistics.median(b.rate_hz for _, b, _ in idle)
    lines = [
        Line(
            "Python polling thread / sampler: CPU per sample",
            ratio,
            "x",
            f"{theirs_us:.1f} us against {ours_us:.1f} us; sleep and clock alone {sleep_us:.1f} us",
            ">= 8",
            ratio >= 8,
        ),
        Line(
            "sampler beside a busy loop in Python: achieved rate",
            ours / asked_hz,
            "of asked",
            f"the Python thread {theirs:.0f} Hz, of {alone:.0f} Hz without the loop",
            ">= 0.99 (idle machine)",
            ours / asked_hz >= 0.99,
        ),
    ]
    if shutil.which("valgrind") is None:
        print("no valgrind, so no instructions per sample (apt install valgrind)", file=sys.stderr)
        return lines
    counts = [instructions(name) for name in ("thread", "sampler")]
    ratio = counts[0] / counts[1]
    reference = f"{counts[0]:.0f} against {counts[1]:.0f}, without the kernel's"
    name = "Python polling thread / sampler: instructions"
    return [*lines, Line(name, ratio, "x", reference, ">= 8", ratio >= 8)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="of five seconds (default: 11)")
    parser.add_argument("--take", nargs=2, metavar=("METER", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.take:
        take(options.take[0], int(options.take[1]))
        return 0
    lines = polling(options.rounds)
    show(lines, {})
    return status(lines)


if __name__ == "__main__":
    sys.exit(main())
