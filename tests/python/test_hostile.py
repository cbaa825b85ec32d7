"""Sensors that vanish, files full of rubbish, nothing there at all: one clear line, no hang."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import draw, pause, wait_rows, wait_until
from fakes.machine import PMU, POWERCAP, UNIT_J, FakeMachine

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.perf import FakePerf

SOURCES = ("rapl_perf", "rapl_msr", "rapl_powercap")
STATUSES = ("readable", "absent", "denied", "unsupported", "invalid", "io")


def vanish(machine: FakeMachine, perf: FakePerf, source: str) -> None:
    """As at hot-unplug, or when a driver is unloaded."""
    if source == "rapl_perf":
        perf.fail_reads(errno.ENODEV)
    elif source == "rapl_msr":
        machine.remove("dev/cpu/0/msr")
    else:
        for zone in list((machine.root / POWERCAP).iterdir()):
            machine.remove(f"{POWERCAP}/{zone.name}/energy_uj")


@pytest.mark.parametrize("source", SOURCES)
def test_a_sensor_vanishes(machine: FakeMachine, perf: FakePerf, source: str) -> None:
    machine.add_perf(perf=perf)
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        t0 = wr.now_ns()
        pause(session, source)
        draw(session, machine, source, "package", 5)
        pause(session, source)
        t1 = wr.now_ns()
        pause(session, source)
        assert not session.stats[source]["gone"]
        vanish(machine, perf, source)
        wait_until(lambda: session.stats[source]["gone"], "gone")
        wait_until(lambda: not session.running, "stopped")
        rows = session.samples(source)
        before = session.energy(t0, t1)
        across = session.energy(t0, wr.now_ns())
    assert session.stats[source]["last_errno"] == errno.ENODEV
    assert rows["status"][-1] & 1
    assert before.energy_j["package-0"] == pytest.approx(5, abs=2 * UNIT_J)
    assert across.energy_j["package-0"] == pytest.approx(5, abs=2 * UNIT_J)
    assert across.bounds_j["package-0"][1] == float("inf"), "who knows what it used since"
    assert "no later sample proves an upper bound" in across.notes["package-0"]
    assert "no later sample proves an upper bound" not in before.notes.get("package-0", [])


def test_the_other_source_goes_on(machine: FakeMachine, perf: FakePerf) -> None:
    machine.add_perf(perf=perf)
    with wr.Session("1ms", environment=machine.environment()) as session:
        assert session.sources == ["rapl_perf", "rapl_msr"]
        t0 = wr.now_ns()
        pause(session, "rapl_perf")
        vanish(machine, perf, "rapl_msr")
        wait_until(lambda: session.stats["rapl_msr"]["gone"], "gone")
        machine.write("dev/cpu/0/msr", "")
        machine.cut_registers(0, 0)
        assert session.running
        draw(session, machine, "rapl_perf", "package", 5)
        wait_rows(session, "rapl_perf")
        measured = session.energy(t0, wr.now_ns())
        assert not session.stats["rapl_perf"]["gone"]
    assert measured.energy_j["package-0"] == pytest.approx(5, abs=2 * UNIT_J)
    assert measured.bounds_j["package-0"][1] < 8
    assert measured.bounds_j["core-0"][1] == float("inf")


def test_perf_says_end_of_file_when_its_cpu_goes(machine: FakeMachine, perf: FakePerf) -> None:
    machine.add_perf(perf=perf)
    with wr.Session("1ms", "rapl_perf", environment=machine.environment()) as session:
        perf.fail_reads(-1)
        wait_until(lambda: session.stats["rapl_perf"]["gone"], "gone")


@pytest.mark.parametrize("source", SOURCES)
def test_gone_before_the_start(machine: FakeMachine, perf: FakePerf, source: str) -> None:
    machine.add_perf(perf=perf)
    session = wr.Session("1ms", source, environment=machine.environment())
    vanish(machine, perf, source)
    with session:
        wait_until(lambda: not session.running, "stopped")
        assert session.stats[source]["gone"]
        now = wr.now_ns()
        measured = session.energy(now, now)
    assert measured.bounds_j["package-0"] == (0, float("inf"))


@pytest.mark.parametrize(
    "text", ["", "rubbish", "-5", "12three", "9" * 23, "1.5", "\0" * 20, "ÿ" * 10]
)
def test_rubbish_in_a_counter_file(machine: FakeMachine, text: str) -> None:
    """While it runs: failed reads and nothing invented. At the start: not taken, with a reason."""
    source = "rapl_powercap"
    machine.set_count(0, "package", 10**9)
    zone = machine.zones[0, "package"][0]
    path = machine.root / POWERCAP / zone / "energy_uj"
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        t0 = wr.now_ns()
        pause(session, source)
        with path.open("r+") as file:
            file.truncate()
            file.write(text)
        wait_rows(session, source, 5)
        path.write_text("")
        machine.add_energy(0, "package", 2.5)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    assert measured.energy_j["package-0"] == pytest.approx(2.5, abs=2 * UNIT_J)
    assert any("failed reads" in note for note in measured.notes["package-0"])
    assert session.stats[source]["last_errno"] == errno.EBADMSG
    path.write_text(text)
    again = wr.Session(sources=source, environment=machine.environment())
    (refused,) = again.skipped
    assert (refused.channel, refused.code) == ("package-0", "unsupported")
    assert "energy_uj holds no energy" in refused.reason


RUBBISH = {
    "nothing": b"",
    "a word": b"rubbish\n",
    "control characters": bytes(range(1, 128)) * 40,
    "no UTF-8": b"\xff\xfe\xfd" * 10,
    "zeros": b"\0" * 5000,
    "negative": b"-1\n",
    "too large": b"99999999999999999999999\n",
    "a folder": None,
    "a dead link": None,
}
TREE = (
    "proc/cpuinfo",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/cpu0/topology/physical_package_id",
    "sys/devices/system/cpu/cpu1/topology/die_id",
    "dev/cpu/0/msr",
    f"{POWERCAP}/intel-rapl:0/name",
    f"{POWERCAP}/intel-rapl:0/energy_uj",
    f"{POWERCAP}/intel-rapl:0:1/max_energy_range_uj",
    f"{PMU}/type",
    f"{PMU}/cpumask",
    f"{PMU}/events/energy-pkg",
    f"{PMU}/events/energy-pkg.scale",
    f"{PMU}/events/energy-ram.unit",
)


@pytest.mark.parametrize("name", TREE)
def test_rubbish_anywhere(machine: FakeMachine, perf: FakePerf, name: str) -> None:
    """Whatever a file says, each source opens or says in one line why not."""
    machine.add_perf(perf=perf)
    path = machine.root / name
    original = path.read_bytes()
    for kind, content in RUBBISH.items():
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        elif kind == "a folder":
            path.mkdir()
        else:
            path.symlink_to("nowhere")
        for info in wr.sources(machine.environment()):
            assert info.status in STATUSES
            assert bool(info.reason) == (info.status != "readable")
            assert "\n" not in info.reason + info.remedy
            assert info.channels or info.status != "readable"
        with wr.Session("1ms", environment=machine.environment()) as session:
            assert session.sources, "two of three interfaces are sound"
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
        path.write_bytes(original)


def test_no_sensor_names_every_reason(tmp_path: Path) -> None:
    env = wr.Environment()
    env.sys = env.dev = env.proc = env.nvml = str(tmp_path)
    with pytest.raises(wr.AbsentError, match=r"rapl_perf: .*rapl_powercap: .*nvml: ") as caught:
        wr.Session(environment=env)
    assert "demo" in caught.value.remedy
    assert "\n" not in str(caught.value)
    by_name = {info.name: info.status for info in wr.sources(env)}
    assert by_name.pop("simulated") == "readable"
    assert set(by_name.values()) <= {"absent", "unsupported"}


def test_a_machine_without_counters(machine: FakeMachine, perf: FakePerf) -> None:
    """A virtual machine: registers that read 0, no zones, events that can't be opened."""
    for domain in machine.domains:
        machine.set_count(0, domain, 0)
    machine.remove("sys/class/powercap")
    machine.add_perf()
    perf.configure(refuse=errno.ENOENT)
    with pytest.raises(wr.AbsentError, match="no energy register answers"):
        wr.Session(environment=machine.environment())


@pytest.mark.parametrize(
    "functions", ["package-0", "=const:5", "a=const", "a=sine:5", "a=const:-5", "a=square:1:2:0"]
)
def test_rubbish_power_functions(functions: str) -> None:
    env = wr.Environment()
    env.simulated = functions
    with pytest.raises(wr.InvalidError, match="no power function"):
        wr.Session(sources="simulated", environment=env)


def test_a_perf_library_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTRING_PERF_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(wr.InvalidError, match=r"none\.so: cannot open"):
        wr.sources()
    monkeypatch.setenv("WATTRING_PERF_LIBRARY", "libm.so.6")
    with pytest.raises(wr.InvalidError, match="has no wattring_perf_open"):
        wr.Session(sources="simulated")
