"""Eight GPUs whose driver is slow: how long it is held up, and what is still known of them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import wait_rows
from fakes.power import true_j

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml

LOADS = (
    *(f"square:50:700:{period_s}" for period_s in (0.07, 0.23, 0.37, 0.83, 2.1, 6.3)),
    "bursts:50:700:1.07:0.2",
    "const:300",
)
AT_FIRST_S = 0.080  # may be spent beforehand: the share of the first 16 s


def test_a_window_after_a_long_rest_is_no_worse(machine: FakeMachine, nvml: FakeNvml) -> None:
    """While nobody waits, rows are many seconds apart: that is no device which does not answer.

    Windows are also settled by the threads of other sources, which have rows all the time. A
    budget that allows a call in 0.6 s leaves the time of an update open by a refresh of 0.1 s, half
    to either side of both ends.
    """
    nvml.configure("const:300", delay_ns=3_000_000)
    open_j = 300 * 0.1
    with wr.Session(environment=nvml.environment(machine)) as session:
        for _ in range(2):
            time.sleep(4)
            with session.window("work") as w:
                time.sleep(0.2)
            m = w.measurement
            assert m.energy_j["gpu-0"] == pytest.approx(300 * m.seconds, abs=open_j)
            assert math.isfinite(m.bounds_j["gpu-0"][1])
        total = session.report().windows["work"]
    assert total.energy_j["gpu-0"] == pytest.approx(300 * total.seconds, abs=2 * open_j)


def test_eight_gpus_keep_to_the_budget(machine: FakeMachine, nvml: FakeNvml) -> None:
    """15 s at the defaults, calls of 0.2 ms, by the library's own watch; RAPL goes on beside."""
    nvml.configure(",".join(LOADS), delay_ns=200_000)
    with wr.Session(environment=nvml.environment(machine)) as session:
        busy_ns, begin_ns, before = nvml.busy_ns, wr.now_ns(), session.stats
        windows = []
        for seconds in (1.0, 0.2, 5.0, 0.2, 1.0):
            with session.window("work") as w:
                time.sleep(seconds)
            windows.append(w.measurement)
            time.sleep(1.5)
        busy_ns, seconds = nvml.busy_ns - busy_ns, (wr.now_ns() - begin_ns) * 1e-9
        wait_rows(session, "rapl_msr")
        after, elapsed_s = session.stats, (wr.now_ns() - begin_ns) * 1e-9
        report = session.report().windows["work"]
    assert session.sources == ["rapl_msr", "nvml"]
    # A reading that has begun is made, however long the machine holds it up.
    longest_s = after["nvml"]["read_ns"]["max"] * 1e-9
    assert busy_ns * 1e-9 < 0.005 * seconds + AT_FIRST_S + longest_s
    assert after["nvml"]["spared"] > 0
    assert after["nvml"]["read_s"] - before["nvml"]["read_s"] >= busy_ns * 1e-9
    for m in windows:
        for gpu, load in enumerate(LOADS):
            low, high = m.bounds_j[f"gpu-{gpu}"]
            assert low <= true_j(load, m.t_begin_ns, m.t_end_ns) <= high, (load, m.seconds)
    for gpu, load in enumerate(LOADS):
        true = sum(true_j(load, m.t_begin_ns, m.t_end_ns) for m in windows)
        low, high = report.bounds_j[f"gpu-{gpu}"]
        assert low <= true <= high
    # Read in the GPUs' thread, RAPL would have a row per 1.6 ms, at the best.
    rows = after["rapl_msr"]["samples"] - before["rapl_msr"]["samples"]
    missed = after["rapl_msr"]["missed"] - before["rapl_msr"]["missed"]
    assert after["rapl_msr"]["period_ns"] == 1_000_000
    assert after["rapl_msr"]["spared"] == 0
    assert rows + missed > 950 * elapsed_s
    assert rows > 100 * elapsed_s
    assert after["rapl_msr"]["read_ns"]["p50"] < 200_000
