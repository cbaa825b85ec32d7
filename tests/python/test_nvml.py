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
    assert last.total_j == pytest.approx(sum(last.energy_j.values()))
    assert last.device["gpu-1"].startswith(f"{UUID}1, NVIDIA Fake H100, PCI ")
    assert "20 to 100 ms" in str(last.notes["gpu-0"])


def test_gpus_stand_beside_rapl(machine: FakeMachine, nvml: FakeNvml) -> None:
    """Each counted once; the driver is left in peace at whatever rate RAPL is sampled."""
    nvml.configure("const:100,const:200")
    env = nvml.environment(machine)
    with wr.Session("1ms", environment=env) as session:
        assert session.sources == ["rapl_msr", "nvml"]
        begin, calls = session.stats, nvml.energy_calls
        wait_rows(session, "nvml", 20)
        called, end = nvml.energy_calls - calls, session.stats  # inside, for rows come all the time
    assert (end["rapl_msr"]["period_ns"], end["nvml"]["period_ns"]) == (1_000_000, 20_000_000)
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
    with wr.Session("60ms", ["rapl_msr", "nvml"], environment=env) as session:
        wait_rows(session, "nvml", 5)
        stats = session.stats
    assert stats["nvml"]["read_ns"]["p50"] > 45e6
    assert stats["rapl_msr"]["read_ns"]["p50"] < 45e6


def test_pynvml_reads_the_same(nvml: FakeNvml) -> None:
    """The fake is what NVIDIA's own Python binding takes for the driver's library."""
    nvml.configure(f"set,const:300,{SQUARE}")
    program = """
        import json, time, pynvml as n
        n.nvmlInit()
        n.nvmlLib.fake_nvml_set(0, n.c_uint64(9007199254740993))
        def gpu(i):
            h = n.nvmlDeviceGetHandleByIndex(i)
            pci = n.nvmlDeviceGetPciInfo(h)
            before = time.monotonic_ns()
            energy = n.nvmlDeviceGetTotalEnergyConsumption(h)
            power = n.nvmlDeviceGetPowerUsage(h)
            fields = n.nvmlDeviceGetFieldValues(h, [83, 185, 186, 191, (186, 2), 5])
            return {
                "times": (before, time.monotonic_ns()), "energy": energy, "power": power,
                "uuid": n.nvmlDeviceGetUUID(h), "name": n.nvmlDeviceGetName(h),
                "index": n.nvmlDeviceGetIndex(h), "arch": n.nvmlDeviceGetArchitecture(h),
                "pci": (pci.busId, pci.busIdLegacy, pci.domain, pci.bus, pci.device,
                        pci.pciDeviceId, pci.pciSubSystemId),
                "types": [f.valueType for f in fields], "codes": [f.nvmlReturn for f in fields],
                "fields": [f.value.ullVal if f.valueType == 3 else f.value.uiVal for f in fields],
                "age_s": [time.time() - f.timestamp * 1e-6 for f in fields],
            }
        found = {"gpus": [gpu(i) for i in range(n.nvmlDeviceGetCount())],
                 "driver": n.nvmlSystemGetDriverVersion(), "nvml": n.nvmlSystemGetNVMLVersion()}
        h = n.nvmlDeviceGetHandleByIndex(1)
        n.nvmlLib.fake_nvml_fail(b"*@1=15")
        try:
            n.nvmlDeviceGetTotalEnergyConsumption(h)
        except n.NVMLError as error:
            found["lost"] = error.value
        n.nvmlShutdown()
        print(json.dumps(found, default=lambda text: text.decode()))
    """
    done = run("-c", textwrap.dedent(program), env={"LD_LIBRARY_PATH": str(nvml.library.parent)})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["driver"], found["nvml"]) == ("550.54.15", "12.550.54.15")
    assert found["lost"] == 15
    assert len(found["gpus"]) == 3
    assert found["gpus"][0]["energy"] == 9007199254740993
    assert found["gpus"][0]["fields"][0] == found["gpus"][0]["fields"][3] == 9007199254740993
    for index, function in ((1, "const:300"), (2, SQUARE)):
        gpu = found["gpus"][index]
        assert (gpu["index"], gpu["arch"]) == (index, 9)
        assert (gpu["uuid"], gpu["name"]) == (f"{UUID}{index}", "NVIDIA Fake H100")
        bus = 0x17 + index
        addresses = [f"00000000:{bus:02X}:00.0", f"0000:{bus:02X}:00.0"]
        assert gpu["pci"] == [*addresses, 0, bus, 0, 0x233010DE, 0x16C110DE]
        assert gpu["types"][:5] == [3, 1, 1, 3, 1]
        assert gpu["codes"] == [0, 0, 0, 0, 3, 3]
        assert all(0 <= age < 60 for age in gpu["age_s"])
        # What was published at most a refresh before.
        begin, end = gpu["times"]
        for energy in (gpu["energy"], gpu["fields"][0], gpu["fields"][3]):
            assert 1e3 * true_j(function, 0, begin - 100_000_000) - 1 <= energy
            assert energy <= 1e3 * true_j(function, 0, end)
    assert found["gpus"][1]["power"] == 300_000
    assert found["gpus"][1]["fields"][1:3] == [300_000, 300_000]
    # A second of the square wave holds two periods of it.
    assert found["gpus"][2]["power"] == found["gpus"][2]["fields"][1] == 375_000
    assert 50_000 <= found["gpus"][2]["fields"][2] <= 700_000


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
    nvml.configure(f"{SQUARE},const:5", f"{ENERGY}@1=3")
    env = nvml.variables(machine)
    done = run("-m", "wattring", "list", env=env)
    lines = done.stdout.splitlines()
    assert "nvml: readable" in lines
    (line,) = [line for line in lines if " gpu-0 " in line]
    assert "1000 µJ" in line
    assert "100 ms" in line
    assert "never" in line
    assert UUID in line
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
    nvml.configure("const:100", f"{ENERGY}=4")
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
