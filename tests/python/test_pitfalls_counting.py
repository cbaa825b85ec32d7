"""How registers become energy: wraps, resets, failures. Tests carry numbers of pitfalls."""

from __future__ import annotations

import errno
import itertools
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wattring as wr
from fakes.driving import draw, pause, wait_rows
from fakes.machine import UNIT_J, FakeMachine

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from fakes.perf import FakePerf

QUANTUM = pytest.approx(0, abs=2.01 * UNIT_J)
STILL = "the counter stood still at one end"
FAILED, RESET, GAP = 1, 4, 8
SOURCES = ("rapl_perf", "rapl_msr", "rapl_powercap")


def steps_of(rows: npt.NDArray[np.void], channel: str) -> list[int]:
    return [int(b) - int(a) for a, b in itertools.pairwise(rows[channel])]


@pytest.mark.parametrize("source", SOURCES)
def test_01_04_a_wrap_adds_what_was_used_and_nothing_else(
    machine: FakeMachine, perf: FakePerf, source: str
) -> None:
    """PITFALLS 1, 4: no row is a range too low, none is dropped, none says 0 W."""
    machine.add_perf(perf=perf)
    machine.set_count(0, "package", 2**32 - 1)
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        wait_rows(session, source)
        for count in (0, 1, 5, 40_965):
            machine.set_count(0, "package", 2**32 + count)
            wait_rows(session, source)
        rows = session.samples(source)
        scale = next(c.scale for c in session.channels[source] if c.name == "package-0")
    changes = [round(step * scale / UNIT_J) for step in steps_of(rows, "package-0") if step]
    assert changes == [1, 1, 4, 40_960]


def test_02_a_failed_read_keeps_the_last_value(machine: FakeMachine) -> None:
    """PITFALLS 2: never 0, never a wrap; counted, visible, and energy goes on afterwards."""
    machine.set_count(0, "package", 10**9)
    machine.set_count(0, "core", 10**9)
    with wr.Session("1ms", "rapl_msr", environment=machine.environment()) as session:
        wait_rows(session, "rapl_msr")
        t0 = wr.now_ns()
        pause(session, "rapl_msr")
        draw(session, machine, "rapl_msr", "package", 5)
        draw(session, machine, "rapl_msr", "core", 2.5)
        machine.cut_registers(0, 0x639)  # core fails, package does not
        wait_rows(session, "rapl_msr", 5)
        during = session.samples("rapl_msr")[-1]
        machine.add_energy(0, "core", 2.5)
        wait_rows(session, "rapl_msr")
        t1 = wr.now_ns()
        measured = session.energy(t0, t1)
        rows = session.samples("rapl_msr")
        stats = session.stats["rapl_msr"]
    core_bit = 1 << (8 + 1)
    assert during["status"] & ~np.uint64(GAP) == FAILED | core_bit
    assert during["core-0"] == round(2.5 / UNIT_J)
    assert measured.energy_j["core-0"] - 5 == QUANTUM
    assert measured.energy_j["package-0"] - 5 == QUANTUM
    assert min(steps_of(rows, "core-0")) >= 0
    failures = int(((rows["status"] & FAILED) != 0).sum())
    assert failures >= 4
    assert f"{failures} failed reads" in measured.notes["core-0"]
    assert not any("failed" in note for note in measured.notes.get("package-0", []))
    assert stats["last_errno"] == errno.EIO
    assert stats["failed"] == 0, "sweeps in which nothing at all could be read"
    assert not stats["gone"]


@pytest.mark.parametrize("error_number", [errno.EIO, errno.EINTR])
def test_02_sweeps_that_fail_wholly_are_counted(
    machine: FakeMachine, perf: FakePerf, error_number: int
) -> None:
    machine.add_perf(perf=perf)
    with wr.Session("1ms", "rapl_perf", environment=machine.environment()) as session:
        wait_rows(session, "rapl_perf")
        t0 = wr.now_ns()
        pause(session, "rapl_perf")
        perf.fail_reads(error_number)
        wait_rows(session, "rapl_perf", 5)
        machine.add_energy(0, "package", 2.5)
        machine.add_energy(0, "dram", 1.25)
        perf.fail_reads(0)
        wait_rows(session, "rapl_perf")
        measured = session.energy(t0, wr.now_ns())
        stats = session.stats["rapl_perf"]
    assert stats["failed"] >= 4
    assert stats["last_errno"] == error_number
    assert measured.energy_j["package-0"] - 2.5 == QUANTUM
    assert measured.energy_j["dram-0"] - 1.25 == QUANTUM
    assert "failed reads" in " ".join(measured.notes["dram-0"])


def test_05_09_readings_outgrow_the_register(tmp_path: Path) -> None:
    """PITFALLS 5, 9: a driver with a range of its own, in µJ, run through three times and more."""
    machine = FakeMachine(tmp_path, domains=())
    zone = machine.add_zone("intel-rapl:0", "package-0", range_uj=999_999_999)
    total_uj = 500
    machine.set_energy_file(zone.name, f"{total_uj}\n")
    with wr.Session("1ms", "rapl_powercap", environment=machine.environment()) as session:
        (channel,) = session.channels["rapl_powercap"]
        wait_rows(session, "rapl_powercap")
        t0 = wr.now_ns()
        pause(session, "rapl_powercap")
        for _ in range(640):
            total_uj += 5_000_000
            machine.set_energy_file(zone.name, f"{total_uj % 1_000_000_000}\n")
            wait_rows(session, "rapl_powercap", 1)
        wait_rows(session, "rapl_powercap")
        measured = session.energy(t0, wr.now_ns())
        rows = session.samples("rapl_powercap")
    assert channel.modulus == 10**9
    assert channel.wrap_s == pytest.approx(1)
    assert rows["package-0"][-1] == 3_200_000_000, "64 bits and the exact sum"
    assert measured.energy_j["package-0"] == pytest.approx(3200, abs=1e-5)


def test_09_amd_counts_on_above_bit_31(tmp_path: Path) -> None:
    """PITFALLS 9: newer AMD registers do not stop at 32 bits; either way the energy goes on."""
    machine = FakeMachine(tmp_path, model=0x11, vendor="AuthenticAMD", domains=("package",))
    machine.set_count(0, "package", 2**32 - 30_000)
    with wr.Session("1ms", "rapl_msr", environment=machine.environment()) as session:
        wait_rows(session, "rapl_msr")
        t0 = wr.now_ns()
        pause(session, "rapl_msr")
        draw(session, machine, "rapl_msr", "package", 50)
        wait_rows(session, "rapl_msr")
        measured = session.energy(t0, wr.now_ns())
    assert machine.counts[0, "package"] > 2**32
    assert measured.energy_j["package-0"] - 50 == QUANTUM


@pytest.mark.parametrize("source", SOURCES)
def test_11_each_domain_wraps_by_itself(tmp_path: Path, perf: FakePerf, source: str) -> None:
    """PITFALLS 11: DRAM wraps in its own unit while the package, in another, does not."""
    machine = FakeMachine(tmp_path, model=0x55)
    machine.add_perf("0", ("package", "core", "dram"), perf=perf)
    machine.set_count(0, "dram", 2**32 - 100_000)
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        wait_rows(session, source)
        t0 = wr.now_ns()
        pause(session, source)
        draw(session, machine, source, "dram", 5, step_j=1.25)
        draw(session, machine, source, "package", 5)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    kernel_error = 15.3e-6 * 2**16 if source == "rapl_powercap" else 1
    assert measured.energy_j["dram-0"] / kernel_error - 5 == QUANTUM
    assert measured.energy_j["package-0"] - 5 == QUANTUM
    assert not any("reset" in note for notes in measured.notes.values() for note in notes)


def test_11_each_zone_has_a_range_of_its_own(tmp_path: Path) -> None:
    """PITFALLS 11: DRAM falls by its own range, not by the package's."""
    machine = FakeMachine(tmp_path, domains=())
    machine.add_zone("intel-rapl:0", "package-0", range_uj=999_999_999)
    dram = machine.add_zone("intel-rapl:0:0", "dram", range_uj=299_999_999)
    source = "rapl_powercap"
    total_uj = 290_000_000
    machine.set_energy_file(dram.name, f"{total_uj}\n")
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        wait_rows(session, source)
        t0 = wr.now_ns()
        pause(session, source)
        for _ in range(20):
            total_uj += 1_000_000
            machine.set_energy_file(dram.name, f"{total_uj % 300_000_000}\n")
            wait_rows(session, source, 1)
        wait_rows(session, source)
        measured = session.energy(t0, wr.now_ns())
    assert measured.energy_j["dram-0"] == pytest.approx(20, abs=1e-5)
    assert measured.energy_j["package-0"] == 0


def test_17_the_first_reading_is_no_energy(machine: FakeMachine) -> None:
    """PITFALLS 17."""
    machine.set_count(0, "package", 3_000_000_000)
    with wr.Session("1ms", "rapl_msr", environment=machine.environment()) as session:
        wait_rows(session, "rapl_msr")
        t0 = wr.now_ns()
        wait_rows(session, "rapl_msr", 6)
        measured = session.energy(t0, wr.now_ns())
        rows = session.samples("rapl_msr")
    assert not rows["package-0"].any()
    low, high = measured.bounds_j["package-0"]
    assert (low, measured.energy_j["package-0"]) == (0, 0)
    assert 0 < high <= 1.01 * UNIT_J


def test_22_the_tpmi_drivers_fall_at_a_wrap_is_mended(machine: FakeMachine, perf: FakePerf) -> None:
    """PITFALLS 22: the 64-bit count falls by 2^32 × the driver's cut scale."""
    machine.set_count(0, "package", 2**32 - 50_000)
    machine.add_perf(perf=perf, tpmi=True)
    with wr.Session("1ms", "rapl_perf", environment=machine.environment()) as session:
        wait_rows(session, "rapl_perf")
        t0 = wr.now_ns()
        pause(session, "rapl_perf")
        draw(session, machine, "rapl_perf", "package", 20)
        wait_rows(session, "rapl_perf")
        measured = session.energy(t0, wr.now_ns())
        rows = session.samples("rapl_perf")
    assert min(steps_of(rows, "package-0")) == 0
    assert measured.energy_j["package-0"] == pytest.approx(20, rel=1e-5)
    assert measured.notes == {"package-0": [STILL], "dram-0": [STILL]}


@pytest.mark.parametrize("source", SOURCES)
def test_23_a_reset_is_marked_and_nothing_is_invented(
    machine: FakeMachine, perf: FakePerf, source: str
) -> None:
    """PITFALLS 23: the counter falls back; the lower bound holds, there is no upper one."""
    machine.add_perf(perf=perf)
    machine.set_count(0, "package", 10**9)
    with wr.Session("1ms", source, environment=machine.environment()) as session:
        wait_rows(session, source)
        before = wr.now_ns()
        pause(session, source)
        draw(session, machine, source, "package", 5)
        wait_rows(session, source)
        t0 = wr.now_ns()
        wait_rows(session, source, 6)
        machine.set_count(0, "package", 5000)
        wait_rows(session, source)
        draw(session, machine, source, "package", 2.5)
        wait_rows(session, source)
        t1 = wr.now_ns()
        measured, earlier = session.energy(t0, t1), session.energy(before, t0)
        rows = session.samples(source)
    assert measured.energy_j["package-0"] - 2.5 == QUANTUM
    assert measured.bounds_j["package-0"][1] == float("inf")
    assert "the counter was reset 1 time; what it lost is missing" in measured.notes["package-0"]
    assert measured.bounds_j["dram-0"][1] <= 2.01 * UNIT_J, "only the channel that was reset"
    assert int(((rows["status"] & RESET) != 0).sum()) == 1
    assert min(steps_of(rows, "package-0")) >= 0
    assert earlier.energy_j["package-0"] - 5 == QUANTUM, "what ended before is not spoiled"
    assert earlier.bounds_j["package-0"][1] < 10
    document = json.loads(json.dumps(measured.to_dict(), allow_nan=False))
    assert document["bounds_j"]["package-0"][1] is None
    assert document["total_bounds_j"][1] is None


def test_23_a_reset_right_behind_a_window_spoils_its_upper_bound(machine: FakeMachine) -> None:
    """What was used but not yet published at the window's end is lost with the reset."""
    source = "rapl_msr"
    for _ in range(50):
        machine.set_count(0, "package", 10**9)
        with wr.Session("1ms", source, environment=machine.environment()) as session:
            t0 = wr.now_ns()
            pause(session, source)
            draw(session, machine, source, "package", 5)
            t1 = wr.now_ns()
            machine.set_count(0, "package", 5000)
            wait_rows(session, source)
            draw(session, machine, source, "package", 2.5)
            wait_rows(session, source)
            measured = session.energy(t0, t1)
            rows = session.samples(source)
        reset_ns = int(rows["t_end_ns"][(rows["status"] & RESET) != 0][0])
        if reset_ns - t1 < 3_000_000:
            break  # else the counter stood still for long enough to be settled
    assert measured.energy_j["package-0"] - 5 == QUANTUM
    assert measured.bounds_j["package-0"][1] == float("inf")
