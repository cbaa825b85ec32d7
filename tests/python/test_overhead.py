"""What a session says of its own cost, on machines of known power and known CPU time."""

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
from fakes.driving import draw, wait_rows, wait_until
from fakes.machine import POWERCAP, FakeMachine
from wattring.cpu_time import CpuTime
from wattring.overhead import Moment, Price, price

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wattring.overhead import Cost

SOURCE = "rapl_msr"
# Hundredths of a second that the CPUs have spent before.
BOOT = {"user": 777_000, "nice": 5, "system": 9_000, "idle": 1_000_000, "irq": 17, "softirq": 900}


def session_of(machine: FakeMachine, sources: str = SOURCE) -> wr.Session:
    return wr.Session(sources=sources, environment=machine.environment())


def known_cost(session: wr.Session, source: str = SOURCE) -> Cost:
    """Cost of a source as soon as its newest samples are a small part of the time."""
    wait_until(lambda: not session.stats[source]["cost"]["reason"], "known cost")
    return session.stats[source]["cost"]


@pytest.fixture
def busy_machine(tmp_path: Path) -> FakeMachine:
    """Two packages, after a boot in which the CPUs have done much."""
    machine = FakeMachine(tmp_path, packages=2)
    machine.set_cpu_time(**BOOT)
    return machine


def use_a_hundred_joules(session: wr.Session, machine: FakeMachine) -> None:
    """Two packages use 60 and 40 J in 2 s of busy CPUs and 6 s of idle ones."""
    for place, joules in ((0, 60), (1, 40)):
        draw(session, machine, SOURCE, "package", joules, place)
    # Inside the packages, and beside them: neither is to count.
    for domain in ("core", "dram"):
        draw(session, machine, SOURCE, domain, 20)
    wait_rows(session, SOURCE, 2)
    machine.set_cpu_time(
        user=777_100,
        nice=55,
        system=9_025,
        idle=1_000_500,
        iowait=100,
        irq=32,
        softirq=910,
        steal=1_000,  # somebody else's
        guest=90,  # in user already
        guest_nice=40,
    )


def test_the_estimate_is_the_known_figure(busy_machine: FakeMachine) -> None:
    with session_of(busy_machine) as session:
        use_a_hundred_joules(session, busy_machine)
        cost = known_cost(session)
        assert cost["busy_cpu_w"] == pytest.approx(100 / 2)
    stats = session.stats[SOURCE]
    cost = stats["cost"]
    assert stats["cpu_s"] > 0
    assert cost["estimate_j"] == pytest.approx(stats["cpu_s"] * 100 / 2)
    assert cost["low_j"] == pytest.approx(stats["cpu_s"] * 100 / 8)
    assert "packages" in cost["method"]
    assert cost["reason"] == ""
    busy_machine.set_cpu_time(user=9_999_999)
    assert session.stats[SOURCE]["cost"] == cost, "what comes after the stop is not its own"


def test_every_source_has_its_own_cost(busy_machine: FakeMachine) -> None:
    """Packages from one source price the CPU time of both."""
    both = [SOURCE, "simulated"]
    with wr.Session(sources=both, environment=busy_machine.environment()) as session:
        use_a_hundred_joules(session, busy_machine)
        known_cost(session)
    for stats in session.stats.values():
        assert stats["cost"]["estimate_j"] == pytest.approx(stats["cpu_s"] * 50)


def test_dies_are_parts_of_packages(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path, dies=2)
    machine.set_cpu_time(user=100)
    with session_of(machine) as session:
        for die in (0, 1):
            draw(session, machine, SOURCE, "package", 50, die)
        wait_rows(session, SOURCE, 2)
        machine.set_cpu_time(user=300)
        assert known_cost(session)["busy_cpu_w"] == pytest.approx(50)


def no_times(machine: FakeMachine) -> None:
    machine.remove("proc/stat")


def rubbish_times(machine: FakeMachine) -> None:
    machine.write("proc/stat", "cpu of a kind unheard of")


def few_columns(machine: FakeMachine) -> None:
    machine.write("proc/stat", "cpu  1 2 3 4")


def a_virtual_machine(machine: FakeMachine) -> None:
    machine.write("proc/cpuinfo", "model name\t: Fake CPU\nflags\t\t: fpu msr hypervisor lahf_lm")


def a_container_with_times_of_its_own(machine: FakeMachine) -> None:
    machine.write(
        "proc/self/mountinfo",
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        "99 22 0:50 /of/a/container /proc/stat rw,nosuid - fuse.lxcfs lxcfs rw",
    )


def a_package_that_cannot_be_read(machine: FakeMachine) -> None:
    machine.remove(f"{POWERCAP}/intel-rapl:0/energy_uj")  # the second package's


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_times, "proc/stat: No such file or directory"),
        (rubbish_times, "has no times of the CPUs"),
        (few_columns, "has no times of the CPUs"),
        (a_virtual_machine, "virtual machine"),
        (a_container_with_times_of_its_own, "the container's own"),
        (a_package_that_cannot_be_read, "package-1 is not measured"),
    ],
)
def test_no_estimate_where_it_cannot_be_told(
    busy_machine: FakeMachine, spoil: Callable[[FakeMachine], None], reason: str
) -> None:
    spoil(busy_machine)
    with session_of(busy_machine, "rapl_powercap") as session:
        wait_rows(session, "rapl_powercap", 5)
    cost = session.stats["rapl_powercap"]["cost"]
    assert (cost["estimate_j"], cost["low_j"], cost["busy_cpu_w"]) == (None, None, None)
    assert reason in cost["reason"]


def test_no_estimate_without_packages(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path, domains=("dram",))
    machine.set_cpu_time()
    with session_of(machine, "rapl_powercap") as session:
        machine.set_cpu_time(user=1_000)
        cost = session.stats["rapl_powercap"]["cost"]
    assert cost["estimate_j"] is None
    assert cost["reason"].startswith("no package is measured")


def test_no_estimate_of_a_simulated_power() -> None:
    with wr.Session(sources="simulated") as session:
        cost = session.stats["simulated"]["cost"]
    assert cost["estimate_j"] is None
    assert "simulated" in cost["reason"]


def test_no_estimate_once_a_sensor_has_vanished(busy_machine: FakeMachine) -> None:
    with session_of(busy_machine, "rapl_powercap") as session:
        wait_rows(session, "rapl_powercap", 3)
        for zone in list((busy_machine.root / POWERCAP).iterdir()):
            busy_machine.remove(f"{POWERCAP}/{zone.name}/energy_uj")
        wait_until(lambda: session.stats["rapl_powercap"]["gone"], "gone")
        stats = session.stats["rapl_powercap"]
        assert stats["cost"]["reason"] == "rapl_powercap vanished"
        time.sleep(0.02)
        assert session.stats["rapl_powercap"]["elapsed_s"] == stats["elapsed_s"]
    assert session.stats["rapl_powercap"]["rate_hz"] == stats["rate_hz"]


def test_no_estimate_after_a_reset_or_with_a_reading_missing(busy_machine: FakeMachine) -> None:
    with session_of(busy_machine) as session:
        use_a_hundred_joules(session, busy_machine)
        known_cost(session)
        busy_machine.cut_registers(2, 0x611)
        wait_until(
            lambda: session.stats[SOURCE]["cost"]["reason"] == "package-1 could not be read", "it"
        )
        busy_machine.set_count(1, "package", 7)
        wait_until(lambda: session.stats[SOURCE]["resets"] > 0, "reset")
        assert session.stats[SOURCE]["cost"]["estimate_j"] is None
    assert session.stats[SOURCE]["cost"]["reason"].startswith("a counter began anew")


def moment(
    t_s: float,
    cpu: CpuTime | str = "unknown",
    *,
    sampler_s: float = 0.0,
    age_s: float = 0.0,
    joules: float | None = 0.0,
    spoiled: int = 0,
) -> Moment:
    packages = {"package-0": (round((t_s - age_s) * 1e9), joules)}
    return Moment(round(t_s * 1e9), cpu, sampler_s, packages, spoiled)


BEGIN = moment(1, CpuTime(10, 20), joules=7)


def test_a_price_is_joules_by_seconds() -> None:
    found = price(BEGIN, moment(5, CpuTime(14, 36), joules=55, sampler_s=4))
    assert found == Price(busy_cpu_w=12, any_cpu_w=3)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (moment(5, "no file"), "no file"),
        (moment(5, CpuTime(10.49, 36)), "busy for 0.49 s"),
        (moment(5, CpuTime(9, 36)), "busy for 0.00 s"),
        (moment(5, CpuTime(11, 36), sampler_s=1.01), "less than the sampler's own"),
        (moment(5, CpuTime(14, 36), spoiled=1), "began anew"),
        (moment(5, CpuTime(14, 36), joules=None), "package-0 could not be read"),
        (moment(5, CpuTime(14, 36), joules=7), "counted no energy"),
        (moment(5, CpuTime(14, 36), age_s=0.41), "samples of package-0 0.41 s old"),
    ],
)
def test_no_price_where_it_cannot_be_told(end: Moment, reason: str) -> None:
    found = price(BEGIN, end)
    assert isinstance(found, str)
    assert reason in found


def test_no_price_of_an_unknown_begin() -> None:
    end = moment(5, CpuTime(14, 36), joules=48)
    assert price(moment(1, "no file"), end) == "no file"
    assert isinstance(price(moment(1, CpuTime(10, 20), age_s=0.5), end), str)
    assert isinstance(price(moment(1, CpuTime(10, 20), joules=None), end), str)


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
            time.sleep(0.005)  # 500 W
        busy_machine.set_cpu_time(**BOOT | {"user": 777_200, "idle": 1_000_600})
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    if json_wanted:
        stats = json.loads(said)["stats"][SOURCE]
        assert stats["cost"]["estimate_j"] == pytest.approx(stats["cpu_s"] * 50)
        assert stats["cost"]["low_j"] == pytest.approx(stats["cpu_s"] * 100 / 8)
        assert 0 < stats["rate_hz"] < 1_001
    else:
        assert re.search(r"cost [\d.]+ to [\d.]+ J by estimate, at up to 50 W a", said), said
        assert max(map(len, said.splitlines())) <= 100


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
