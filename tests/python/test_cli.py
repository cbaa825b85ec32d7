"""The command line without `stat`, run as people run it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from fakes.driving import as_nobody
from fakes.machine import FakeMachine
from fakes.power import SIMULATED, functions_of, true_j
from wattring.cli import main, parser

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.perf import FakePerf

WATTRING = [sys.executable, "-m", "wattring"]
VERBS = ("list", "stat", "doctor", "calibrate", "demo")


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WATTRING, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | (env or {}),
    )


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    """Variables of a machine without sensors."""
    return dict.fromkeys(("WATTRING_SYSFS", "WATTRING_DEV", "WATTRING_PROC"), str(tmp_path))


def test_list_of_a_machine_with_sensors(machine: FakeMachine) -> None:
    document = json.loads(run("list", "--json", env=machine.variables()).stdout)
    found = {source["name"]: source for source in document["sources"]}
    assert found["rapl_msr"]["status"] == "readable"
    assert found["rapl_perf"]["status"] == "absent"
    assert found["rapl_perf"]["reason"]
    assert not found["simulated"]["automatic"]
    channels = {c["name"]: c for c in found["rapl_msr"]["channels"]}
    assert list(channels) == ["package-0", "core-0", "dram-0"]
    assert channels["core-0"]["parent"] == "package-0"
    assert channels["package-0"]["scale"] == 2.0**-14
    assert channels["package-0"]["wrap_s"] == pytest.approx(
        2.0**32 * 2.0**-14 / channels["package-0"]["max_power_w"]
    )
    lines = run("list", env=machine.variables()).stdout.splitlines()
    assert "rapl_msr: readable" in lines
    assert any("core-0" in line and "package-0" in line and "61.04 µJ" in line for line in lines)
    assert not any("psys" in line for line in lines), "no such channel here"
    table = [line for line in lines if "fix:" not in line]  # those are to be pasted whole
    assert max(len(line) for line in table) <= 100


def test_list_of_a_machine_without_sensors(nothing: dict[str, str]) -> None:
    done = run("list", env=nothing)
    assert done.returncode == 0
    for source in ("rapl_perf", "rapl_powercap"):
        assert f"{source}: absent\n" in done.stdout
    assert done.stdout.count("why: ") == 4
    assert ": readable\n" not in done.stdout


def test_doctor_of_a_machine_with_sensors(machine: FakeMachine) -> None:
    done = run("doctor", "--json", env=machine.variables())
    assert done.returncode == 0
    document = json.loads(done.stdout)
    status = {source["name"]: source["status"] for source in document["sources"]}
    assert status == {
        "rapl_perf": "absent",
        "rapl_msr": "readable",
        "rapl_powercap": "readable",
        "nvml": "absent",
    }
    assert list(document["sampling"]) == ["rapl_msr"]
    sampling = document["sampling"]["rapl_msr"]
    assert sampling["samples"] > 100
    assert 100 < sampling["rate_hz"] < 1200
    assert 0 < sampling["cpu_share"] < 1
    late = sampling["lateness_ns"]
    assert 0 < late["p50"] <= late["p99"] <= late["max"]


def test_doctor_of_a_machine_without_sensors(nothing: dict[str, str]) -> None:
    done = run("doctor", env=nothing)
    assert done.returncode == 1
    assert "simulated (SIMULATED" in done.stdout
    for module in ("rapl", "intel_rapl_msr"):
        assert f"fix: sudo modprobe {module}\n" in done.stdout


def test_doctor_has_a_remedy_for_each_refusal(
    open_folder: Path,
    perf: FakePerf,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    machine = FakeMachine(open_folder)
    machine.add_perf(perf=perf)
    perf.configure(refuse=errno.EACCES)
    for path in (*open_folder.glob("dev/cpu/*/msr"), *open_folder.rglob("energy_uj")):
        path.chmod(0)
    for name, value in machine.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("USER", "")
    parser()  # imports what somebody else may not be able to read
    with as_nobody():
        assert main(["doctor", "--json"]) == 1
    found = {s["name"]: s for s in json.loads(capfd.readouterr().out)["sources"]}
    assert {s["status"] for name, s in found.items() if name != "nvml"} == {"denied"}
    for source, fixes in {
        "rapl_perf": (
            "sudo sysctl kernel.perf_event_paranoid=0",
            "/etc/sysctl.d/",
            "sudo setcap cap_perfmon=ep /",
            "every script",
        ),
        "rapl_powercap": (
            "sudo usermod -aG power $(id -un)\n",
            "sudo chgrp power /sys/class/powercap/*/energy_uj",
            "chmod a+r /sys/class/powercap/*/energy_uj",
            "/etc/udev/rules.d/",
            "/etc/tmpfiles.d/",
        ),
        "rapl_msr": ("as good as root", "cap_sys_rawio"),
    }.items():
        assert found[source]["reason"]
        for fix in fixes:
            assert fix in found[source]["fix"]
    with as_nobody():
        main(["doctor"])
    assert "CVE-2020-8694" in capfd.readouterr().out


def test_demo_says_simulated_on_every_line(nothing: dict[str, str]) -> None:
    done = run("demo", "--seconds", "0.2", env=nothing)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert all(line.startswith("SIMULATED") for line in lines)
    assert "true joules" in done.stdout
    assert "dram-0" in lines[-1]


def test_demo_shows_the_truth_inside_the_bounds(nothing: dict[str, str]) -> None:
    document = json.loads(run("demo", "--seconds", "0.3", "--json", env=nothing).stdout)
    assert document["simulated"]
    assert len(document["phases"]) == 3
    for phase in document["phases"]:
        for channel, function in functions_of(SIMULATED).items():
            truth = true_j(function, phase["t_begin_ns"], phase["t_end_ns"])
            low, high = phase["bounds_j"][channel]
            assert low <= truth <= high
            assert phase["true_j"][channel] == pytest.approx(truth, rel=1e-6)


def test_demo_with_real_sensors(machine: FakeMachine) -> None:
    done = run("demo", "--seconds", "0.4", env=machine.variables())
    assert done.returncode == 0
    assert "SIMULATED" not in done.stdout
    assert "true" not in done.stdout
    for phase in ("at rest ", "one busy CPU", "at rest again", "CPUs busy"):
        assert phase in done.stdout


def test_help_has_examples_and_version() -> None:
    for verb in VERBS:
        assert "examples:" in run(verb, "--help").stdout
    assert run("--version").stdout.startswith("wattring ")
    assert run().returncode == 2
    assert run("stat", "--no-such-option").returncode == 2


# Python holds output back, or not; either way it writes once more at exit.
BUFFERING = pytest.mark.parametrize("unbuffered", ["", "1"])


@BUFFERING
@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["list", "--json"]])
def test_a_closed_pipe_is_no_error(arguments: list[str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*WATTRING, *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@BUFFERING
def test_a_full_disk_is_one_line(unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*WATTRING, "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 125
    assert done.stderr == "wattring: standard output: No space left on device\n"


def test_a_terminal_without_micro_signs() -> None:
    done = run("list", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "61.04 ?J" in done.stdout
