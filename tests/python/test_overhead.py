"""What sampling cost in joules, on machines of known power and known CPU time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.busy import SOURCE, known_cost, session_of, use_a_hundred_joules
from fakes.driving import draw, wait_rows, wait_until
from fakes.machine import POWERCAP, FakeMachine
from wattring.cpu_time import CpuTime
from wattring.overhead import Moment, Price, price

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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


def test_no_estimate_of_the_packages_beside_a_simulated_one(busy_machine: FakeMachine) -> None:
    both = ["simulated", SOURCE]
    with wr.Session(sources=both, environment=busy_machine.environment()) as session:
        assert "package-1" in [channel.name for channel in session.channels[SOURCE]]
        assert "simulated" in session.stats[SOURCE]["cost"]["reason"]


def test_a_die_that_mirrors_another_is_not_missed(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path, dies=2, mirrored=True)
    machine.set_cpu_time(user=100)
    with session_of(machine) as session:
        draw(session, machine, SOURCE, "package", 50)
        wait_rows(session, SOURCE, 2)
        machine.set_cpu_time(user=200)
        assert known_cost(session)["busy_cpu_w"] == pytest.approx(50)


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
