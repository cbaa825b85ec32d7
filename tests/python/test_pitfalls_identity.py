"""Which counter is which, and counted once. Tests carry numbers of pitfalls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import draw, pause, wait_rows
from fakes.machine import UNIT_J, FakeMachine
from fakes.power import true_j

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.perf import FakePerf

QUANTUM = pytest.approx(0, abs=2.01 * UNIT_J)
SOURCES = ("rapl_perf", "rapl_msr", "rapl_powercap")


def names_of(session: wr.Session, source: str) -> list[str]:
    return sorted(channel.name for channel in session.channels[source])


def skipped_of(session: wr.Session) -> dict[str, wr.Skipped]:
    return {s.channel or s.source: s for s in session.skipped}


def test_03_a_zone_without_range_is_refused(machine: FakeMachine) -> None:
    """PITFALLS 3: no modulus, no channel; the others stay, and the reason is told."""
    machine.add_zone("intel-rapl:1", "package-1", range_uj=None)
    session = wr.Session(sources="rapl_powercap", environment=machine.environment())
    assert names_of(session, "rapl_powercap") == ["core-0", "dram-0", "package-0"]
    refused = skipped_of(session)["package-1"]
    assert (refused.source, refused.code) == ("rapl_powercap", "absent")
    assert "max_energy_range_uj: No such file" in refused.reason
    assert "without its range a wrap cannot be undone" in refused.reason


@pytest.mark.parametrize("text", ["", "-1", "many", "99999999999999999999999"])
def test_03_no_range_at_all_is_an_error(tmp_path: Path, text: str) -> None:
    machine = FakeMachine(tmp_path, domains=())
    zone = machine.add_zone("intel-rapl:0", "package-0")
    (zone / "max_energy_range_uj").write_text(text)
    with pytest.raises(wr.UnsupportedError, match="no zone"):
        wr.Session(sources="rapl_powercap", environment=machine.environment())


@pytest.mark.parametrize("source", ["rapl_msr", "rapl_powercap"])
def test_07_mirrored_dies_are_counted_once(tmp_path: Path, source: str) -> None:
    """PITFALLS 7: both dies of a package show the package's counters."""
    machine = FakeMachine(tmp_path, dies=2, mirrored=True)
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        assert len(names_of(session, source)) == 3
        t0 = wr.now_ns()
        pause(session, source)
        draw(session, machine, source, "package", 10)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    assert measured.total_j - 10 == QUANTUM
    assert {s.code for s in session.skipped} == {"redundant"}


@pytest.mark.parametrize("first", ["rapl_msr", "rapl_perf"])
def test_07_mirrored_dies_are_counted_once_by_all_sources(
    tmp_path: Path, perf: FakePerf, first: str
) -> None:
    """A die that one interface leaves out is not found again by the next."""
    machine = FakeMachine(tmp_path, dies=2, mirrored=True)
    if first == "rapl_perf":
        machine.add_perf("0,2")
        perf.configure("pkg=square:20:80:0.1,ram=const:5")
    with wr.Session(environment=machine.environment()) as session:
        read = [c.name for of in session.channels.values() for c in of]
    assert session.sources[0] == first
    assert "package-0-die-0" in read
    assert not [name for name in read if "die-1" in name]


def test_07_mirrored_dies_are_counted_once_by_perf(tmp_path: Path, perf: FakePerf) -> None:
    """Events count from their opening: only their steps tell that they show one counter."""
    machine = FakeMachine(tmp_path, dies=2)
    machine.add_perf("0,2")
    perf.configure("pkg=square:20:80:0.1,ram=const:5")
    with wr.Session(sources="rapl_perf", environment=machine.environment()) as session:
        assert names_of(session, "rapl_perf") == ["dram-0-die-0", "package-0-die-0"]
        t0 = wr.now_ns()
        time.sleep(0.1)
        t1 = wr.now_ns()
        measured = session.energy(t0, t1)
    true = true_j("square:20:80:0.1", t0, t1) + true_j("const:5", t0, t1)
    assert measured.total_bounds_j[0] <= true <= measured.total_bounds_j[1] < 1.5 * true
    assert [s.code for s in session.skipped] == ["redundant"]


@pytest.mark.parametrize("source", SOURCES)
def test_07_dies_of_their_own_are_all_counted(tmp_path: Path, perf: FakePerf, source: str) -> None:
    machine = FakeMachine(tmp_path, dies=2)
    machine.add_perf("0,2", ("package", "core", "dram"), perf=perf)
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        assert len(names_of(session, source)) == 6
        t0 = wr.now_ns()
        pause(session, source)
        draw(session, machine, source, "package", 10, place=1)
        draw(session, machine, source, "package", 5, place=0)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    assert measured.energy_j["package-0-die-0"] - 5 == QUANTUM
    assert measured.energy_j["package-0-die-1"] - 10 == QUANTUM
    assert measured.total_j - 15 == pytest.approx(0, abs=8 * UNIT_J)


@pytest.mark.parametrize("source", SOURCES)
def test_08_identity_comes_from_names(tmp_path: Path, perf: FakePerf, source: str) -> None:
    """PITFALLS 8: zone 0 is package 1 here, and the energy goes where it belongs."""
    machine = FakeMachine(tmp_path, packages=2)
    machine.add_perf("0,2", ("package", "core", "dram"), perf=perf)
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        t0 = wr.now_ns()
        pause(session, source)
        draw(session, machine, source, "package", 5, place=0)
        draw(session, machine, source, "core", 10, place=1)
        draw(session, machine, source, "dram", 15, place=1)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
        devices = {c.name: c.device for c in session.channels[source]}
    expected = dict.fromkeys(devices, 0) | {"package-0": 5, "core-1": 10, "dram-1": 15}
    assert len(expected) == 6
    for channel, joules in expected.items():
        assert measured.energy_j[channel] - joules == QUANTUM, channel
        assert devices[channel].startswith(f"package {channel[-1]}, Fake CPU, ")
    assert sorted(measured.roots) == ["dram-0", "dram-1", "package-0", "package-1"]


def test_08_psys_is_no_package(machine: FakeMachine) -> None:
    """PITFALLS 8: psys is registered as zone 1, and is not package 1."""
    machine.add_zone("intel-rapl:1", "psys")
    session = wr.Session(sources="rapl_powercap", environment=machine.environment())
    channels = {c.name: c for c in session.channels["rapl_powercap"]}
    assert sorted(channels) == ["core-0", "dram-0", "package-0", "psys"]
    assert channels["package-0"].parent == channels["dram-0"].parent == "psys"
    assert channels["psys"].parent == ""


@pytest.mark.parametrize("source", SOURCES)
def test_10_dram_has_a_unit_of_its_own(tmp_path: Path, perf: FakePerf, source: str) -> None:
    """PITFALLS 10: 2^-16 J on server models, whatever the unit register says."""
    machine = FakeMachine(tmp_path, model=0x55)
    machine.add_perf("0", ("package", "core", "dram"), perf=perf)
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        t0 = wr.now_ns()
        pause(session, source)
        draw(session, machine, source, "dram", 10, step_j=1.25)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    # The kernel's powercap counts 15.3 µJ instead; its figure is passed on, and said to be wrong.
    kernel_error = 15.3e-6 * 2**16 if source == "rapl_powercap" else 1
    assert measured.energy_j["dram-0"] == pytest.approx(10 * kernel_error, abs=2e-4)
    assert any("0.27 %" in n for n in measured.notes["dram-0"]) == (source == "rapl_powercap")
    assert measured.bounds_j["package-0"][1] <= 2.01 * UNIT_J


def test_10_dram_of_other_models_follows_the_register(machine: FakeMachine) -> None:
    session = wr.Session(sources="rapl_msr", environment=machine.environment())
    scales = {c.name: c.scale for c in session.channels["rapl_msr"]}
    assert scales == {"package-0": UNIT_J, "core-0": UNIT_J, "dram-0": UNIT_J}


def test_19_a_total_adds_roots_alone(machine: FakeMachine) -> None:
    """PITFALLS 19: psys contains package and dram, package contains core."""
    zone = machine.add_zone("intel-rapl:1", "psys")
    machine.zones[0, "psys"] = [zone.name]
    machine.set_count(0, "psys", 1000)
    source = "rapl_powercap"
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        t0 = wr.now_ns()
        pause(session, source)
        for domain, joules in (("core", 5.0), ("package", 10.0), ("dram", 2.5), ("psys", 20.0)):
            draw(session, machine, source, domain, joules)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    assert measured.roots == ["psys"]
    assert measured.total_j == measured.energy_j["psys"]
    assert measured.total_j - 20 == QUANTUM
    assert measured.total_bounds_j == measured.bounds_j["psys"]


def test_19_without_psys_package_and_dram_are_roots(machine: FakeMachine) -> None:
    source = "rapl_powercap"
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        t0 = wr.now_ns()
        pause(session, source)
        for domain, joules in (("core", 5.0), ("package", 10.0), ("dram", 2.5)):
            draw(session, machine, source, domain, joules)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    assert measured.roots == ["package-0", "dram-0"]
    assert measured.total_j == pytest.approx(12.5, abs=4 * UNIT_J)


def test_20_twins_of_a_counter_are_left_out(machine: FakeMachine) -> None:
    """PITFALLS 20: intel-rapl-mmio shows package 0 once more."""
    machine.add_twin("intel-rapl-mmio:0", "package-0", 0, "package")
    source = "rapl_powercap"
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        assert names_of(session, source) == ["core-0", "dram-0", "package-0"]
        t0 = wr.now_ns()
        pause(session, source)
        draw(session, machine, source, "package", 10)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    assert measured.total_j - 10 == pytest.approx(0, abs=4 * UNIT_J)
    twin = skipped_of(session)["package-0"]
    assert twin.code == "redundant"
    assert "intel-rapl-mmio:0" in twin.reason


def test_20_a_twin_alone_is_read(tmp_path: Path) -> None:
    machine = FakeMachine(tmp_path, domains=())
    machine.add_zone("intel-rapl-mmio:0", "package-0")
    session = wr.Session(environment=machine.environment())
    assert names_of(session, "rapl_powercap") == ["package-0"]


def test_20_auto_takes_each_domain_once(machine: FakeMachine, perf: FakePerf) -> None:
    """PITFALLS 20: perf has no core domain here, so that one comes from the registers."""
    machine.add_perf(perf=perf)
    with wr.Session("1ms", environment=machine.environment()) as session:
        assert session.sources == ["rapl_perf", "rapl_msr"]
        assert names_of(session, "rapl_perf") == ["dram-0", "package-0"]
        assert names_of(session, "rapl_msr") == ["core-0"]
        t0 = wr.now_ns()
        pause(session, "rapl_perf")
        draw(session, machine, "rapl_perf", "package", 10)
        draw(session, machine, "rapl_msr", "core", 5)
        wait_rows(session, "rapl_perf")
        measured = session.energy(t0, wr.now_ns())
    assert measured.source == {
        "package-0": "rapl_perf",
        "dram-0": "rapl_perf",
        "core-0": "rapl_msr",
    }
    assert measured.total_j - 10 == pytest.approx(0, abs=4 * UNIT_J)
    assert measured.energy_j["core-0"] - 5 == QUANTUM
    powercap = skipped_of(session)["rapl_powercap"]
    assert powercap.code == "redundant"


@pytest.mark.parametrize("cpumask", ["0-3", "0,2", "1-2", "3,1,0,2"])
def test_21_one_event_per_package(tmp_path: Path, perf: FakePerf, cpumask: str) -> None:
    """PITFALLS 21: a mask with all CPUs, each of which would count the same joules."""
    machine = FakeMachine(tmp_path, packages=2)
    machine.add_perf(cpumask, perf=perf)
    session = wr.Session(sources="rapl_perf", environment=machine.environment())
    assert perf.opened == 4
    assert names_of(session, "rapl_perf") == ["dram-0", "dram-1", "package-0", "package-1"]
    cpus = {c.name: int(c.device.rsplit(" ", 1)[1]) for c in session.channels["rapl_perf"]}
    assert {name: cpu // 2 for name, cpu in cpus.items()} == {name: int(name[-1]) for name in cpus}
