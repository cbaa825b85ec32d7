"""What a session, a report and the command line say of the sampling itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wattring as wr
from fakes.busy import BOOT, SOURCE, known_cost, session_of, use_a_hundred_joules
from fakes.driving import wait_rows
from wattring.self_report import lines

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.machine import FakeMachine


def test_percentiles_are_those_of_the_rows() -> None:
    with wr.Session(sources="simulated", rows=2**16) as session:
        wait_rows(session, "simulated", 500)
    rows, stats = session.samples("simulated"), session.stats["simulated"]
    assert len(rows) == stats["samples"]
    took_ns = (rows["t_end_ns"] - rows["t_begin_ns"]).astype(np.float64)
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9)):
        exact = np.percentile(took_ns, percent, method="inverted_cdf")
        assert dict(stats["read_ns"])[name] == pytest.approx(exact, rel=0.0625)
    assert stats["read_ns"]["max"] == took_ns.max()
    assert stats["read_s"] == pytest.approx(took_ns.sum() * 1e-9)


def test_rate_and_share_are_of_the_time_between_start_and_stop() -> None:
    session = wr.Session("2ms", "simulated")
    before = session.stats["simulated"]
    assert (before["elapsed_s"], before["rate_hz"], before["cpu_share"]) == (0, 0, 0)
    assert before["cost"]["reason"] == "the session was not started"
    began = wr.now_ns()
    session.start()
    started = wr.now_ns()
    wait_rows(session, "simulated", 100)
    first = session.stats["simulated"]
    stopping = wr.now_ns()
    session.stop()
    stopped = wr.now_ns()
    stats = session.stats["simulated"]
    assert first["elapsed_s"] < stats["elapsed_s"]
    assert (stopping - started) * 1e-9 <= stats["elapsed_s"] <= (stopped - began) * 1e-9
    counted = stats["rate_hz"] * stats["elapsed_s"]
    assert counted == pytest.approx(round(counted))
    assert 100 <= counted < stats["samples"], "first and last rows come at another pace"
    assert 0 < stats["cpu_share"] * stats["elapsed_s"] < stats["cpu_s"]
    time.sleep(0.01)
    session.stop()
    assert session.stats["simulated"] == stats


def test_a_second_stop_while_the_first_goes_on_changes_nothing() -> None:
    with wr.Session(sources="simulated") as session:
        session._self_report.end()
        stopped = session.stats["simulated"]["elapsed_s"]
        wait_rows(session, "simulated", 3)
    assert session.stats["simulated"]["elapsed_s"] == stopped


def test_a_report_says_what_the_sampling_cost(busy_machine: FakeMachine) -> None:
    with session_of(busy_machine) as session:
        with session.window("work"):
            use_a_hundred_joules(session, busy_machine)
        known_cost(session)
        wait_rows(session, SOURCE, 100)
    report = session.report()
    stats = session.stats[SOURCE]
    assert report.stats == session.stats
    assert json.loads(report.to_json())["stats"][SOURCE] == stats
    assert_told(str(report), stats)


def assert_told(text: str, stats: Any) -> None:
    """The lines below a table have the figures of these stats."""
    said = " ".join(text.split())
    assert f"{SOURCE}: {stats['samples']} samples, {stats['rate_hz']:.0f} of 1000 Hz" in said
    assert f"{stats['missed']} missed; CPU {stats['cpu_s'] * 1e3:.1f} ms" in said
    assert f"{100 * stats['cpu_share']:.2f} % of one" in said
    for words, key, behind in (
        ("late by", "lateness_ns", "p50, p90, p99, p99.9, max"),
        ("a read takes", "read_ns", "likewise"),
    ):
        (found,) = re.findall(rf"{SOURCE}: {words} ([\d., ]+) µs \({behind}\)", said)
        told_us = [float(figure) for figure in found.split(", ")]
        assert told_us == pytest.approx([ns / 1e3 for ns in stats[key].values()], rel=0.05, abs=0.1)
    low, high = (stats["cost"][key] for key in ("low_j", "estimate_j"))
    assert f"{SOURCE}: cost {low:.3g} to {high:.3g} J by estimate, at up to 50 W a" in said


@pytest.mark.parametrize("json_wanted", [True, False])
def test_stat_says_what_the_sampling_cost(busy_machine: FakeMachine, json_wanted: bool) -> None:
    """The command tells that it runs; then the machine works, and the command ends."""
    options = ["--json"] if json_wanted else []
    command = ["sh", "-c", "echo; exec cat"]
    with subprocess.Popen(
        [sys.executable, "-m", "wattring", "stat", "--sources", SOURCE, *options, "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | busy_machine.variables(),
    ) as process:
        assert process.stdout
        process.stdout.readline()
        for _ in range(40):
            busy_machine.add_energy(0, "package", 2.5)
            time.sleep(0.02)  # 125 W
        busy_machine.set_cpu_time(**BOOT | {"user": 777_200, "idle": 1_000_600})
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    if json_wanted:
        stats = json.loads(said)["stats"][SOURCE]
        assert stats["cost"]["estimate_j"] == pytest.approx(stats["cpu_s"] * 50)
        assert stats["cost"]["low_j"] == pytest.approx(stats["cpu_s"] * 100 / 8)
        # One of its many hundred samples may lie at either end.
        assert 0 < stats["rate_hz"] < 1_002
    else:
        assert re.search(r"cost [\d.]+ to [\d.]+ J by estimate, at up to 50 W a", said), said
        assert max(map(len, said.splitlines())) <= 100


def test_sources_of_one_cost_share_a_line() -> None:
    stats = wr.Session(sources="simulated").stats["simulated"]
    said = lines({"first": stats, "second": stats})
    assert said[-1].startswith("first, second: cost in joules unknown: ")
    assert sum("cost" in line for line in said) == 1
    assert said[0].startswith("first: 0 samples, asked for 1000 Hz")


def test_demo_and_doctor_say_why_they_cannot_tell(tmp_path: Path) -> None:
    names = ("WATTRING_SYSFS", "WATTRING_DEV", "WATTRING_PROC")
    nothing = os.environ | dict.fromkeys(names, str(tmp_path))
    for verb in ("demo", "doctor"):
        done = subprocess.run(
            [sys.executable, "-m", "wattring", verb],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=nothing,
        )
        assert "cost in joules unknown: the power is simulated" in done.stdout
        assert "p99.9" in done.stdout
