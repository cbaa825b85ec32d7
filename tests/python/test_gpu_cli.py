"""What people see of GPUs: the command line, and measurements as text and as HTML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from wattring.figures import place_notes, place_total, wrapped

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml

COUNTERS_NOTE = "a new value every 20 to 100 ms"
PART_NOTE = "the sensor sees 25 ms of each 100 ms"


@pytest.fixture
def env(machine: FakeMachine, nvml: FakeNvml) -> dict[str, str]:
    """Variables of a machine with two GPUs that tell all, and one with an average alone."""
    sensors = "hopper;hopper;average=100/1000,usage=average"
    nvml.configure("square:50:700:0.37,const:300,const:200", sensor=sensors)
    return nvml.variables(machine)


def run(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wattring", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | env,
    )


def check_notes_below(lines: list[str], columns: int = 100) -> None:
    """Each note once, with all its channels, and no line that a terminal would break."""
    assert max(len(line) for line in lines) <= columns
    flat = " ".join(line.strip() for line in lines)
    assert flat.count(COUNTERS_NOTE) == flat.count(PART_NOTE) == 1
    assert "differs from card to card (gpu-0, gpu-1)" in flat
    assert "(gpu-0-integral, gpu-1-integral)" in flat
    assert "the mean of 1000 ms" in flat
    for channel in ("gpu-0", "gpu-0-integral", "gpu-2"):
        (line,) = [line for line in lines if line.split()[:1] == [channel]]
        assert "[" not in line


@pytest.mark.parametrize("repeat", [[], ["-r", "2"]])
def test_stat_says_each_note_once(env: dict[str, str], repeat: list[str]) -> None:
    done = run("stat", *repeat, "--", "sleep", "0.2", env=env)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    check_notes_below(lines)
    total = " total: package-0 + dram-0 + gpu-0 + gpu-1 + gpu-2"
    assert total in lines
    order = [next(i for i, line in enumerate(lines) if what in line) for what in (total, PART_NOTE)]
    assert order == sorted(order)


def test_a_run_that_ended_before_the_signal_came_is_whole(env: dict[str, str]) -> None:
    """Its GPUs are settled some 0.2 s after its end."""
    script = "(sleep 0.08; kill -INT $PPID) > /dev/null 2>&1 &"
    done = run("stat", "-r", "5", "--json", "--", "sh", "-c", script, env=env)
    assert done.returncode == 0, done.stderr
    whole, *_ = json.loads(done.stderr)["runs"]
    assert whole["exit_status"] == 0
    assert whole["interrupted"] is False


def test_list_and_doctor_leave_out_what_only_bounds_need(env: dict[str, str]) -> None:
    for verb in ("list", "doctor"):
        done = run(verb, env=env)
        assert done.returncode == 0, done.stderr
        assert "gpu-0-integral" in done.stdout
        assert "variance" not in done.stdout
    lines = done.stdout.splitlines()
    (line,) = [line for line in lines if "refresh of gpu-0-power:" in line]
    assert "published 100 ms, observed " in line
    assert line.endswith("; each the mean of 25 ms")
    (line,) = [line for line in lines if "refresh of gpu-2-power-average:" in line]
    assert line.endswith("; each the mean of 1000 ms")
    (line,) = [line for line in lines if "refresh of gpu-0:" in line]
    assert "mean" not in line
    document = json.loads(run("doctor", "--json", env=env).stdout)
    assert document["averaging_ns"]["gpu-0-power"] == 25_000_000
    (source,) = [s for s in document["sources"] if s["name"] == "nvml"]
    assert "gpu-0-integral" in source["channels"]
    assert not any("variance" in channel for channel in source["channels"])


def test_measurements_and_reports_say_each_note_once(
    env: dict[str, str], machine: FakeMachine, nvml: FakeNvml
) -> None:
    with wr.Session(sources="nvml", environment=nvml.environment(machine)) as session:
        with session.window("work") as w:
            time.sleep(0.2)
        m, report = w.measurement, session.report()
    check_notes_below(str(m).splitlines(), 150)
    text = str(report).splitlines()
    assert max(len(line) for line in text) <= 100
    assert sum(COUNTERS_NOTE in line for line in text) == 1
    page = m._repr_html_()
    table, below = page.split("</table>")
    assert COUNTERS_NOTE not in table
    assert below.count(COUNTERS_NOTE) == 1


def test_a_long_total_says_below_what_it_adds() -> None:
    assert place_total(["a", "b"], ["hot (a)"]) == ("(a + b)", ["hot (a)"])
    roots = [f"gpu-{i}" for i in range(16)]
    behind, below = place_total(roots, ["hot (gpu-0)"])
    assert behind == ""
    assert below == [f"total: {' + '.join(roots)}", "hot (gpu-0)"]


def test_short_notes_stay_behind_their_channels() -> None:
    notes = {"a": ["2 failed reads"], "b": [], "c": ["hot", "cold"]}
    assert place_notes(notes) == ({"a": "[2 failed reads]", "c": "[hot; cold]"}, [])
    behind, below = place_notes({"a": ["hot"], "b": ["x" * 75, "hot"]})
    assert behind == {}
    assert below == ["hot (a, b)", f"{'x' * 75} (b)"]
    assert wrapped(["short", "word " * 20], 80) == [
        "short",
        ("word " * 16).rstrip(),
        "  " + ("word " * 4).rstrip(),
    ]
