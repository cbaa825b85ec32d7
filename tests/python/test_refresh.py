"""How often sensors publish, and sensors that are stuck. Tests carry numbers of pitfalls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import draw, pause, wait_rows, wait_until

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from fakes.perf import FakePerf

MS = 1_000_000
POWERS = "pkg=square:20:80:0.5,ram=const:5"


@pytest.fixture
def slow_perf(machine: FakeMachine, perf: FakePerf, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """Perf events that publish every 20 ms, some of them 4 ms late, and say that it is 1 ms."""
    machine.add_perf()
    perf.configure(POWERS, jitter_ns=4 * MS)
    monkeypatch.setenv("FAKE_PERF_REFRESH_NS", str(20 * MS))
    return machine


def wait_known(session: wr.Session, changes: int) -> dict[str, wr.Refresh]:
    found: dict[str, wr.Refresh] = {}

    def known() -> bool:
        found.update(session.refresh())
        return all(r.observed_ns is not None and r.changes >= changes for r in found.values())

    # Asked once more, a few rows later, a search in few rows may find none.
    wait_until(known, f"a refresh from {changes} changes")
    return found


def test_14_the_refresh_is_no_shortest_interval(slow_perf: FakeMachine) -> None:
    """PITFALLS 14: updates come early and late; the period is what most of them agree on."""
    with wr.Session("1ms", "rapl_perf", environment=slow_perf.environment()) as session:
        found = wait_known(session, 60)
    assert set(found) == {"package-0", "dram-0"}
    for refresh in found.values():
        assert refresh.published_ns == MS
        assert refresh.observed_ns == pytest.approx(20 * MS, rel=0.04)
        assert refresh.seconds >= 60 * 0.015
        assert (refresh.stale_s, refresh.stale_times, refresh.stale) == (0, 0, False)
        assert refresh.reason == ""


def test_14_the_refresh_of_a_sensor_as_quick_as_the_sampler(
    machine: FakeMachine, perf: FakePerf
) -> None:
    """PITFALLS 14: each sample sees a change, yet the refresh is no multiple of the period."""
    machine.add_perf()
    perf.configure(POWERS)
    with wr.Session("1ms", "rapl_perf", environment=machine.environment()) as session:
        found = wait_known(session, 400)
    for refresh in found.values():
        assert refresh.observed_ns == pytest.approx(976_000, rel=0.002)


def test_14_unknown_of_too_few_changes(
    slow_perf: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PITFALLS 14: and it says why."""
    monkeypatch.setenv("FAKE_PERF_REFRESH_NS", str(10_000 * MS))
    with wr.Session("1ms", "rapl_perf", environment=slow_perf.environment()) as session:
        wait_rows(session, "rapl_perf", 100)
        refresh = session.refresh()["package-0"]
    assert refresh.observed_ns is None
    assert refresh.changes < 10
    assert "too few changes" in refresh.reason
    assert f"observed unknown ({refresh.changes} change" in str(refresh)
    assert json.loads(json.dumps(refresh.to_dict()))["observed_ns"] is None


def test_13_an_idle_machine_gives_samples_and_is_not_stale(
    machine: FakeMachine, perf: FakePerf
) -> None:
    """PITFALLS 13: equal values are samples, and no sign of a sensor that is stuck."""
    machine.add_perf(domains=("package", "core", "dram"))
    perf.configure("pkg=const:0,cores=const:0,ram=const:0")
    with wr.Session("1ms", "rapl_perf", environment=machine.environment()) as session:
        wait_rows(session, "rapl_perf", 300)
        rows = session.samples("rapl_perf")
        found = session.refresh()
    assert len(rows) >= 300
    assert set(rows["package-0"]) == {0}
    for refresh in found.values():
        assert refresh.changes == 0
        assert (refresh.stale_s, refresh.stale_times, refresh.stale) == (0, 0, False)


def test_13_a_register_that_stands_still_while_energy_is_used_is_stale(
    machine: FakeMachine,
) -> None:
    """PITFALLS 13: the cores go on, and the package that contains them does not."""
    with wr.Session("1ms", "rapl_msr", environment=machine.environment()) as session:
        for _ in range(5):
            for domain in ("core", "package"):
                draw(session, machine, "rapl_msr", domain, 2.5)
        pause(session, "rapl_msr")
        good = session.refresh()
        assert not any(refresh.stale_times for refresh in good.values())
        draw(session, machine, "rapl_msr", "core", 25)
        pause(session, "rapl_msr")
        stuck = session.refresh()
        machine.add_energy(0, "package", 4)
        pause(session, "rapl_msr")
        after = session.refresh()
    package = stuck["package-0"]
    assert (package.stale, package.stale_times) == (True, 1)
    assert 0 < package.stale_s < package.seconds
    assert "STALE" in package.reason
    assert "now too" in package.reason
    assert "STALE" in str(package)
    assert not stuck["core-0"].stale
    assert not stuck["dram-0"].stale
    assert (after["package-0"].stale, after["package-0"].stale_times) == (False, 1)
    assert "now too" not in after["package-0"].reason


def test_a_session_that_is_over_still_tells(slow_perf: FakeMachine) -> None:
    session = wr.Session("1ms", "rapl_perf", environment=slow_perf.environment())
    assert session.refresh()["package-0"].changes == 0
    with session:
        wait_known(session, 20)
    assert session.refresh()["package-0"].observed_ns == pytest.approx(20 * MS, rel=0.1)


def test_not_in_a_child_of_fork(machine: FakeMachine) -> None:
    with wr.Session("1ms", "rapl_msr", environment=machine.environment()) as session:
        child = os.fork()
        if child == 0:
            try:
                session.refresh()
            except wr.StateError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def doctor(machine: FakeMachine, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "wattring", "doctor", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | machine.variables(),
    )
    return done.stdout


def test_doctor_sets_published_against_observed(slow_perf: FakeMachine) -> None:
    found = json.loads(doctor(slow_perf, "--json"))["refresh"]["rapl_perf"]["package-0"]
    assert found["published_ns"] == MS
    assert found["observed_ns"] == pytest.approx(20 * MS, rel=0.1)
    assert found["changes"] >= 10


def test_doctor_says_what_is_unknown(machine: FakeMachine) -> None:
    lines = [line.strip() for line in doctor(machine).splitlines()]
    begin = "refresh of package-0: published 1 ms, observed unknown (0 changes in "
    assert any(line.startswith(begin) for line in lines), lines
