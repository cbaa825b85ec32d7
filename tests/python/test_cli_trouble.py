"""Ctrl-C, a full disk and a sensor that vanishes while a verb measures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from wattring.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.machine import FakeMachine
    from fakes.perf import FakePerf


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without sensors."""
    for name in ("WATTRING_SYSFS", "WATTRING_DEV", "WATTRING_PROC"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is interrupted at once."""
    monkeypatch.setattr(time, "sleep", lambda _: signal.raise_signal(signal.SIGINT))


@pytest.mark.usefixtures("nothing", "ctrl_c")
def test_demo_interrupted_shows_what_it_has(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--json"]) == 130
    out, errors = capfd.readouterr()
    (phase,) = json.loads(out)["phases"]
    assert phase["name"] == "short window"
    assert phase["seconds"] > 0
    assert errors == "wattring: interrupted\n"


@pytest.mark.usefixtures("nothing", "ctrl_c")
def test_doctor_interrupted_shows_what_it_has(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 130
    out, errors = capfd.readouterr()
    document = json.loads(out)
    assert not [source for source in document["sources"] if source["status"] == "readable"]
    assert document["sampling"]["simulated"]["samples"] > 0
    assert errors == "wattring: interrupted\n"


def test_doctor_tells_of_a_sensor_that_vanished(
    machine: FakeMachine,
    perf: FakePerf,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    machine.add_perf(perf=perf)
    perf.configure(gone_s=0.2)
    for name, value in machine.variables().items():
        monkeypatch.setenv(name, value)
    assert main(["doctor"]) == 0
    lines = capfd.readouterr().out.splitlines()
    of_perf = lines[lines.index("  rapl_perf") :]
    assert of_perf[1] == "    the sensor VANISHED while it was read; figures end there"
    assert sum("VANISHED" in line for line in lines) == 1


def test_a_report_that_cannot_be_written_is_a_failure() -> None:
    """Of a full disk behind standard error nothing but the exit status can tell."""
    stat = [sys.executable, "-m", "wattring", "stat", "--sources", "simulated", "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*stat, "--", "true"], stderr=full, check=False, timeout=60, env=os.environ
        )
    assert done.returncode == 125
