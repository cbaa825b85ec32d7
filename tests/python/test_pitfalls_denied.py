"""PITFALLS 25: who may not read is told so, why, and what to do; nothing is estimated instead."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import as_nobody
from fakes.machine import FakeMachine

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.perf import FakePerf


def lock_files(machine: FakeMachine, pattern: str) -> None:
    """Take everybody's permission to read, the owner's as well."""
    files = list(machine.root.glob(pattern))
    assert files
    for path in files:
        path.chmod(0)


@pytest.fixture
def locked(open_folder: Path, perf: FakePerf) -> FakeMachine:
    """A machine that has everything, for root alone."""
    machine = FakeMachine(open_folder)
    machine.add_perf(perf=perf)
    machine.write("proc/sys/kernel/perf_event_paranoid", "3")
    perf.configure(refuse=errno.EACCES)
    lock_files(machine, "dev/cpu/*/msr")
    lock_files(machine, "sys/class/powercap/*/energy_uj")
    return machine


@pytest.mark.parametrize("error_number", [errno.EACCES, errno.EPERM])
def test_25_perf_denied(machine: FakeMachine, perf: FakePerf, error_number: int) -> None:
    machine.add_perf()
    machine.write("proc/sys/kernel/perf_event_paranoid", "4")
    perf.configure(refuse=error_number)
    with pytest.raises(wr.DeniedError, match=r"power/energy-pkg/.*paranoid is 4") as caught:
        wr.Session(sources="rapl_perf", environment=machine.environment())
    assert isinstance(caught.value, PermissionError)
    assert "sysctl kernel.perf_event_paranoid=0" in caught.value.remedy
    assert caught.value.remedy in str(caught.value)


@pytest.mark.parametrize(
    ("source", "remedy"), [("rapl_msr", "root"), ("rapl_powercap", "chmod a+r")]
)
def test_25_files_denied(locked: FakeMachine, source: str, remedy: str) -> None:
    with (
        as_nobody(),
        pytest.raises(wr.DeniedError, match=r"(msr|energy_uj): Permission denied") as caught,
    ):
        wr.Session(sources=source, environment=locked.environment())
    assert remedy in caught.value.remedy


def test_25_auto_without_permission_is_an_error_that_names_all(locked: FakeMachine) -> None:
    """Never "no device", and never the simulated machine in its place."""
    with as_nobody(), pytest.raises(wr.DeniedError) as caught:
        wr.Session(environment=locked.environment())
    for source in ("rapl_perf", "rapl_msr", "rapl_powercap"):
        assert f"{source}: " in caught.value.reason
    assert caught.value.reason.count("Permission denied") == 3
    assert "perf_event_paranoid" in caught.value.remedy
    assert "simulated" not in caught.value.reason


def test_25_what_is_denied_is_in_skipped(locked: FakeMachine, perf: FakePerf) -> None:
    """One interface is left: it is taken, and the others are named with their remedies."""
    perf.configure()
    with as_nobody():
        session = wr.Session(environment=locked.environment())
    assert session.sources == ["rapl_perf"]
    skipped = {s.source: s for s in session.skipped}
    assert skipped.pop("nvml").code == "absent"
    assert sorted(skipped) == ["rapl_msr", "rapl_powercap"]
    for source, entry in skipped.items():
        assert entry.code == "denied", source
        assert "Permission denied" in entry.reason
        assert entry.remedy


def test_25_sources_says_denied(locked: FakeMachine) -> None:
    with as_nobody():
        found = {info.name: info for info in wr.sources(locked.environment())}
    assert list(found) == ["rapl_perf", "rapl_msr", "rapl_powercap", "nvml", "simulated"]
    for name in ("rapl_perf", "rapl_msr", "rapl_powercap"):
        assert found[name].status == "denied"
        assert "Permission denied" in found[name].reason
        assert found[name].remedy
        assert found[name].channels == []
    assert found["simulated"].status == "readable"
    assert not found["simulated"].automatic


def test_25_denied_is_not_absent(machine: FakeMachine) -> None:
    """The same machine without the drivers: absent, and another remedy."""
    machine.remove("dev/cpu")
    machine.remove("sys/class/powercap")
    found = {info.name: info for info in wr.sources(machine.environment())}
    for name in ("rapl_perf", "rapl_msr", "rapl_powercap"):
        assert found[name].status == "absent"
        assert "modprobe" in found[name].remedy
    with pytest.raises(wr.AbsentError):
        wr.Session(environment=machine.environment())


def test_25_what_was_opened_stays_readable(open_folder: Path) -> None:
    """Permission is asked for when a file is opened: open as root, then step down."""
    machine = FakeMachine(open_folder)
    session = wr.Session(sources="rapl_msr", environment=machine.environment())
    lock_files(machine, "dev/cpu/*/msr")
    with as_nobody(), session:
        assert len(session.samples("rapl_msr")) > 0
    assert session.stats["rapl_msr"]["failed"] == 0
