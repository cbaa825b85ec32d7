"""The thread that bench/ holds the sampler against."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakes.driving import wait_until
from fakes.machine import POWERCAP

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from polling_thread import PollingThread, energy_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.machine import FakeMachine


def wait_for(value: Callable[[], float], at_least: float) -> None:
    wait_until(lambda: value() >= at_least, f"at least {at_least}")


def test_the_polling_thread_keeps_what_the_files_say(machine: FakeMachine) -> None:
    folder = machine.root / POWERCAP
    paths = {domain: folder / zone / "energy_uj" for (_, domain), (zone,) in machine.zones.items()}
    thread = PollingThread({d: energy_file(path) for d, path in paths.items()}, 1_000_000)
    thread.start()
    try:
        for count in (5000, 70_000):
            for domain in paths:
                machine.set_count(0, domain, count)
            seen = len(thread.rows)
            wait_for(lambda: len(thread.rows), seen + 2)
            joules = [int(path.read_text()) * 1e-6 for path in paths.values()]
            assert thread.rows[-1][1] == pytest.approx(joules)
            assert joules[0] > count / 2**14 * 0.99
        assert 0 < thread.cpu_ns < time.process_time_ns()
    finally:
        thread.stop()
    times = [t_ns for t_ns, _ in thread.rows]
    assert times == sorted(times)
