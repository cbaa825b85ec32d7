"""What else GPU meters get wrong. Tests carry the numbers of pitfalls."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wattring as wr
from fakes.driving import wait_until
from fakes.power import true_j

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml

FAILED, GAP = 1, 8
FLAT = "const:300"
AVERAGE_ALONE = "average=100/1000,usage=average"


def test_13_a_flat_power_gives_samples(machine: FakeMachine, nvml: FakeNvml) -> None:
    """PITFALLS 13: equal readings are readings, and their energy goes on."""
    nvml.configure(f"{FLAT},{FLAT},{FLAT}", sensor=f"hopper;pascal;{AVERAGE_ALONE}", arch="9;4;9")
    with wr.Session(sources="nvml", environment=nvml.environment(machine)) as session:
        time.sleep(0.3)
        t0 = wr.now_ns()
        time.sleep(1)
        m = session.energy(t0, wr.now_ns())
        rows = session.samples("nvml")
        stats = session.stats["nvml"]
        refresh = session.refresh()
    assert len(rows) >= 10
    assert stats["failed"] == 0
    for gauge in ("gpu-0-power", "gpu-1-power", "gpu-2-power-average"):
        assert set(rows[gauge]) == {300_000}
        assert not refresh[gauge].stale
    for channel in ("gpu-0", "gpu-0-integral", "gpu-1", "gpu-2"):
        assert m.power_w[channel] == pytest.approx(300, rel=0.15)
        assert np.all(np.diff(rows[channel].astype(np.int64)) >= 0)
        assert not any("stood still" in note for note in m.notes[channel])
    low, high = m.bounds_j["gpu-0"]
    assert low <= true_j(FLAT, m.t_begin_ns, m.t_end_ns) <= high


def test_14_a_refresh_is_robust_or_unknown(machine: FakeMachine, nvml: FakeNvml) -> None:
    """PITFALLS 14: under loads that change at random; and of powers that never change."""
    nvml.configure(f"steps,{FLAT}", sensor="hopper")
    chance = random.Random(7)
    with wr.Session("19ms", "nvml", environment=nvml.environment(machine)) as session:
        end_ns = wr.now_ns() + 3_500_000_000
        while wr.now_ns() < end_ns:
            nvml.power(0, chance.uniform(50, 700))
            time.sleep(chance.uniform(0.005, 0.03))
        refresh = session.refresh()
    # A machine that is held up may see too little; then it says so.
    for channel in ("gpu-0", "gpu-0-power", "gpu-0-power-average"):
        found = refresh[channel]
        assert found.published_ns == 100_000_000
        if found.observed_ns is None:
            assert found.reason
        else:
            assert found.observed_ns == pytest.approx(100e6, rel=0.1)
    assert any(refresh[channel].observed_ns for channel in ("gpu-0", "gpu-0-power"))
    for channel in ("gpu-1-power", "gpu-1-power-average"):
        assert refresh[channel].observed_ns is None
        assert "too few changes" in refresh[channel].reason
    assert not any("integral" in channel for channel in refresh)


def check_no_spike(trace: wr.Trace, windows: list[tuple[int, int]]) -> None:
    """A flat load stays flat, whatever the driver did."""
    for channel in ("gpu-0", "gpu-0-integral", "gpu-1"):
        power_w = trace.power(channel)["power_w"]
        assert len(power_w) > 5
        # An update is dated to a poll or so, and lies a refresh or more from the next.
        assert power_w.max() < 300 * 1.35, channel
        assert power_w.min() > 300 * 0.65, channel
    for t0, t1 in windows:
        low, high = trace.measurement(t0, t1).bounds_j["gpu-0"]
        assert low <= true_j(FLAT, t0, t1) <= high


@pytest.mark.parametrize("how", ["slow", "timeouts"])
def test_16_a_stalled_driver_is_no_spike(machine: FakeMachine, nvml: FakeNvml, how: str) -> None:
    """PITFALLS 16: for 0.8 s one call does not return, or all of them fail."""
    nvml.configure(f"{FLAT},{FLAT}", sensor=f"hopper;{AVERAGE_ALONE}")
    with wr.Session(sources="nvml", environment=nvml.environment(machine)) as session:
        time.sleep(0.7)
        t0 = wr.now_ns()
        calls = nvml.calls("nvmlDeviceGetFieldValues")
        if how == "slow":
            nvml.delay(800_000_000)
            wait_until(lambda: nvml.calls("nvmlDeviceGetFieldValues") > calls, "in the call")
            nvml.delay(0)
            time.sleep(0.8)
        else:
            nvml.fail("nvmlDeviceGetFieldValues=10")
            time.sleep(0.8)
            nvml.fail("")
        t1 = wr.now_ns()
        time.sleep(0.7)
        m = session.energy(t0, t1)
        rows = session.samples("nvml")
        trace = session.trace()
    after = rows[rows["t_begin_ns"] > t0]
    if how == "slow":
        assert (rows["t_end_ns"] - rows["t_begin_ns"]).max() > 700_000_000
        assert m.gaps["nvml"] >= 1
        assert np.any(after["status"] & GAP)
    else:
        assert m.failed["gpu-0"] == m.failed["gpu-1"] > 0
        assert any("failed reads" in note for note in m.notes["gpu-0-integral"])
        assert np.any(after["status"] & FAILED)
    check_no_spike(trace, [(t0, t1)])


def test_16_nothing_is_known_of_a_long_silence(machine: FakeMachine, nvml: FakeNvml) -> None:
    """A counter counts on while nobody can read it; a power that nobody read is anybody's guess."""
    nvml.configure("steps", sensor="hopper")
    nvml.power(0, 100)
    with wr.Session(sources="nvml", environment=nvml.environment(machine)) as session:
        time.sleep(0.4)
        t0 = wr.now_ns()
        nvml.fail("nvmlDeviceGetFieldValues=10")
        nvml.power(0, 600)
        time.sleep(2.3)
        nvml.power(0, 100)
        nvml.fail("")
        time.sleep(0.4)
        t1 = wr.now_ns()
        m = session.energy(t0, t1)
    true = nvml.joules_until(0, t1) - nvml.joules_until(0, t0)
    low, high = m.bounds_j["gpu-0"]
    assert low <= true <= high < true + 2 * 600 * 0.4
    low, high = m.bounds_j["gpu-0-integral"]
    assert low <= true
    assert high == math.inf
    assert m.ambiguous["gpu-0-integral"] == 1


FORKING = """
    import os, sys, time
    import pynvml
    import wattring as wr

    def measure(session, seconds):
        t0 = wr.now_ns()
        time.sleep(seconds)
        return session.energy(t0, wr.now_ns())

    def power():
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        return pynvml.nvmlDeviceGetPowerUsage(handle)

    def check(session):
        m = measure(session, 0.4)
        for channel in ("gpu-0", "gpu-0-integral", "gpu-1"):
            assert m.failed[channel] == 0, m
            assert 0.6 * 300 < m.power_w[channel] < 1.4 * 300, (channel, m)
        low, high = m.bounds_j["gpu-0"]
        assert low <= 300 * m.seconds <= high, m
        assert session.stats["nvml"]["failed"] == 0

    pynvml.nvmlInit()
    assert power() == 300_000
    session = wr.Session(sources="nvml").start()
    time.sleep(0.2)
    child = os.fork()
    if child == 0:
        try:
            session.mark()
            os._exit(1)
        except wr.StateError:
            pass
        try:
            power()  # the parent's initialisation is none of the child's
            os._exit(2)
        except pynvml.NVMLError_Uninitialized:
            pass
        pynvml.nvmlInit()
        del session  # ends what the parent initialised, not what the child did
        assert power() == 300_000
        with wr.Session(sources="nvml") as own:
            time.sleep(0.2)
            check(own)
            assert power() == 300_000
        assert power() == 300_000
        pynvml.nvmlShutdown()
        sys.exit(0)
    check(session)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    check(session)
    assert power() == 300_000
    session.stop()
    del session
    assert power() == 300_000
    pynvml.nvmlShutdown()
    with wr.Session(sources="nvml") as again:
        time.sleep(0.2)
        check(again)
    print("done")
"""


def test_15_both_sides_of_a_fork_go_on(machine: FakeMachine, nvml: FakeNvml) -> None:
    """PITFALLS 15: by wattring, with its integrals, and by pynvml beside it."""
    nvml.configure(f"{FLAT},{FLAT}", sensor=f"hopper;{AVERAGE_ALONE}")
    # pynvml asks for the library by its name alone.
    paths = {"LD_LIBRARY_PATH": str(nvml.library.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process", "-c", textwrap.dedent(FORKING)],
        env=os.environ | nvml.variables(machine) | paths,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
