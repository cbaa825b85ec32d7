"""GPUs through NVIDIA's library, which here is a fake of the same C ABI with a known energy."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.driving import wait_rows, wait_until
from fakes.nvml import ENERGY
from fakes.power import true_j

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml

SQUARE = "square:50:700:0.5"
FIELDS = "nvmlDeviceGetFieldValues"
USAGE = "nvmlDeviceGetPowerUsage"
UUID = "GPU-fa4e0000-0000-4000-8000-00000000000"


def run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | (env or {}),
    )


def test_truth_lies_inside_the_bounds(machine: FakeMachine, nvml: FakeNvml) -> None:
    """Refreshes of 100 ms and two phases of them; windows of 0.2 to 5 s, some at once."""
    functions = {"gpu-0": SQUARE, "gpu-1": "const:300", "gpu-2": "square:50:700:0.07"}
    nvml.configure(",".join(functions.values()))
    windows = []
    with wr.Session(sources="nvml", environment=nvml.environment(machine)) as session:
        first = wr.now_ns()
        for seconds in (0.2, 0.2, 0.2, 1, 0.2, 0.2, 1, 0.2, 1, 0.2):
            t0 = wr.now_ns()
            time.sleep(seconds)
            windows.append((t0, wr.now_ns()))
        time.sleep(max(0, 5 - (wr.now_ns() - first) * 1e-9))
        windows.append((first, wr.now_ns()))
        measured = [session.energy(t0, t1) for t0, t1 in windows]
    for m in measured:
        for channel, function in functions.items():
            low, high = m.bounds_j[channel]
            assert low <= true_j(function, m.t_begin_ns, m.t_end_ns) <= high, (channel, m.seconds)
            assert low <= m.energy_j[channel] <= high
    # At each end: a refresh and the polls around it, at 700 W; the median, for a loaded machine.
    widths = sorted(m.bounds_j["gpu-0"][1] - m.bounds_j["gpu-0"][0] for m in measured)
    assert widths[len(widths) // 2] < 2 * 700 * 0.25
    last = measured[-1]
    assert last.seconds >= 5
    for channel, function in functions.items():
        true = true_j(function, last.t_begin_ns, last.t_end_ns)
        assert last.energy_j[channel] == pytest.approx(true, rel=0.05)
    assert last.total_j == pytest.approx(sum(last.energy_j[channel] for channel in functions))
    assert last.device["gpu-1"].startswith(f"{UUID}1, NVIDIA Fake H100, PCI ")
    assert "20 to 100 ms" in str(last.notes["gpu-0"])


def test_gpus_stand_beside_rapl(machine: FakeMachine, nvml: FakeNvml) -> None:
    """Each counted once; the driver is left in peace at whatever rate RAPL is sampled."""
    nvml.configure("const:100,const:200")
    env = nvml.environment(machine)
    with wr.Session("1ms", environment=env) as session:
        assert session.sources == ["rapl_msr", "nvml"]
        begin, calls = session.stats, nvml.calls(FIELDS)
        wait_rows(session, "nvml", 20)
        called, end = (
            nvml.calls(FIELDS) - calls,
            session.stats,
        )  # inside, for rows come all the time
    assert (end["rapl_msr"]["period_ns"], end["nvml"]["period_ns"]) == (1_000_000, 19_000_000)
    rows = end["nvml"]["samples"] - begin["nvml"]["samples"]
    assert called <= 2 * (rows + 2)
    assert end["rapl_msr"]["samples"] - begin["rapl_msr"]["samples"] > 3 * rows
    again = wr.Session(sources=["nvml", "nvml"], environment=env)
    assert again.sources == ["nvml"]
    assert [s.code for s in again.skipped] == ["redundant"]


def test_slow_calls_do_not_delay_rapl(
    machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NVML_DELAY_NS", "50000000")
    nvml.configure("const:100")
    env = nvml.environment(machine)
    with wr.Session("60ms", ["rapl_msr", "nvml"], gpu_budget=1, environment=env) as session:
        wait_rows(session, "nvml", 5)
        stats = session.stats
    assert stats["nvml"]["read_ns"]["p50"] > 45e6
    assert stats["rapl_msr"]["read_ns"]["p50"] < 45e6


def test_a_lost_gpu_leaves_the_others(machine: FakeMachine, nvml: FakeNvml) -> None:
    nvml.configure("const:100,const:200")
    env = nvml.environment(machine)
    with wr.Session(sources=["rapl_msr", "nvml"], environment=env) as session:
        t0 = wr.now_ns()
        wait_rows(session, "nvml", 10)
        nvml.fail("*@1=15")
        wait_rows(session, "nvml", 10)
        t1 = wr.now_ns()
        m = session.energy(t0, t1)
        assert not session.stats["nvml"]["gone"]
        nvml.fail("*=15")
        wait_until(lambda: session.stats["nvml"]["gone"], "gone")
        wait_rows(session, "rapl_msr", 5)
    low, high = m.bounds_j["gpu-0"]
    assert low <= true_j("const:100", t0, t1) <= high < math.inf
    assert m.failed["gpu-0"] == 0
    assert m.failed["gpu-1"] > 0
    assert m.bounds_j["gpu-1"][0] <= true_j("const:200", t0, t1) <= m.bounds_j["gpu-1"][1]


def test_a_flat_counter_and_a_reset(machine: FakeMachine, nvml: FakeNvml) -> None:
    """PITFALLS 13, 23: equal values are samples; a driver's reload is marked, nothing invented."""
    nvml.configure("set")
    nvml.set(0, 5_000_000)
    with wr.Session(sources="nvml", environment=nvml.environment(machine)) as session:
        t0 = wr.now_ns()
        wait_rows(session, "nvml", 10)
        nvml.set(0, 1_000)
        wait_rows(session, "nvml", 5)
        m = session.energy(t0, wr.now_ns())
        rows = session.samples("nvml")
        driver = session.trace().header["sources"]["nvml"]["driver"]
    assert driver.startswith("NVIDIA: ")
    assert len(rows) >= 15
    assert set(rows["gpu-0"]) == {0}
    assert m.resets["gpu-0"] == 1
    assert m.bounds_j["gpu-0"] == (0, math.inf)


def test_a_forked_child_measures_anew(machine: FakeMachine, nvml: FakeNvml) -> None:
    """PITFALLS 15: the parent's handles are of no use in the child, nor touched by it."""
    nvml.configure(SQUARE)
    program = """
        import os, time, wattring as wr
        s = wr.Session(sources="nvml").start()
        t0 = wr.now_ns()
        child = os.fork()
        if child == 0:
            try:
                s.energy(t0, t0)
                os._exit(1)
            except wr.StateError as error:
                assert "belongs to process" in str(error), error
            own = wr.Session(sources="nvml").start()
            t1 = wr.now_ns()
            s.stop()
            del s  # what it kept initialised is the parent's
            time.sleep(0.3)
            m = own.energy(t1, wr.now_ns())
            assert m.failed["gpu-0"] == 0 and m.energy_j["gpu-0"] > 0, m
            assert own.stats["nvml"]["failed"] == 0
            own.stop()
            raise SystemExit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        m = s.energy(t0, wr.now_ns())
        print(m.failed["gpu-0"], s.stats["nvml"]["failed"], m.energy_j["gpu-0"] > 5)
    """
    done = run(
        "-W",
        "ignore:This process",
        "-c",
        textwrap.dedent(program),
        env=nvml.variables(machine),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0 0 True\n"


def test_list_and_stat_carry_gpus(machine: FakeMachine, nvml: FakeNvml) -> None:
    nvml.configure(f"{SQUARE},const:5", f"{FIELDS}@1=3,{ENERGY}@1=3,{USAGE}@1=3")
    env = nvml.variables(machine)
    done = run("-m", "wattring", "list", env=env)
    lines = done.stdout.splitlines()
    assert "nvml: readable" in lines
    (line,) = [line for line in lines if line.strip().startswith("gpu-0 ")]
    assert "1000 µJ" in line
    assert "100 ms" in line
    assert "never" in line
    assert UUID[:16] in line
    assert any("gpu-1 not used: " in line and "Not Supported" in line for line in lines)
    done = run("-m", "wattring", "stat", "--json", "--", "sleep", "1", env=env)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stderr)
    (one,) = document["runs"]
    low, high = one["bounds_j"]["gpu-0"]
    assert low <= true_j(SQUARE, one["t_begin_ns"], one["t_end_ns"]) <= high
    assert {"package-0", "dram-0", "gpu-0"} <= set(one["energy_j"])
    assert one["total_j"] == pytest.approx(
        sum(one["energy_j"][c] for c in ("package-0", "dram-0", "gpu-0"))
    )
    assert {"source": "nvml", "channel": "gpu-1", "code": "unsupported"}.items() <= next(
        s for s in document["skipped"] if s["channel"] == "gpu-1"
    ).items()


def test_25_denied_is_not_absent(machine: FakeMachine, nvml: FakeNvml) -> None:
    """PITFALLS 25: each refusal with its reason and remedy, by name and in "auto"."""
    env = nvml.environment(machine)
    nvml.configure("const:100", f"{FIELDS}=4,{ENERGY}=4,{USAGE}=4")
    with pytest.raises(wr.DeniedError, match="Insufficient Permissions") as denied:
        wr.Session(sources="nvml", environment=env)
    assert "/dev/nvidia" in denied.value.remedy
    session = wr.Session(environment=env)
    (skipped,) = [s for s in session.skipped if s.source == "nvml"]
    assert (skipped.code, skipped.remedy) == ("denied", denied.value.remedy)
    nvml.configure("const:100", "nvmlInit_v2=9")
    with pytest.raises(wr.AbsentError, match="Driver Not Loaded"):
        wr.Session(sources="nvml", environment=env)
    env.nvml = "libnvidia-ml-of-nobody.so.1"
    with pytest.raises(wr.AbsentError, match="no NVIDIA driver's library") as absent:
        wr.Session(sources="nvml", environment=env)
    assert "install" in absent.value.remedy
    doctor = json.loads(run("-m", "wattring", "doctor", "--json").stdout)
    (source,) = [s for s in doctor["sources"] if s["name"] == "nvml"]
    assert (source["status"], source["fix"]) == ("absent", absent.value.remedy)
