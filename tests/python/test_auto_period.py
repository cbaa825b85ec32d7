"""`period="auto"`: what sessions say of it. That it follows is shown in simulated time, in C++."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.power import SIMULATED, functions_of, true_j
from wattring.cli import main
from wattring.self_report import lines

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from wattring._core import AutoStats


def learned(session: wr.Session) -> AutoStats:
    """What it says of its only source once it has learned, however slow this machine is."""
    (source,) = session.sources
    until = time.monotonic() + 30
    while time.monotonic() < until:
        auto = session.stats[source]["auto"]
        assert auto is not None
        if auto["state"] != "learning" and (auto["reason"] or auto["updates"]):
            return auto
        time.sleep(0.01)
    raise AssertionError("it still learns")


def test_a_period_asked_for_is_not_automatic() -> None:
    session = wr.Session("1ms", "simulated")
    assert session.stats["simulated"]["auto"] is None
    assert session.period_ns == 1_000_000
    assert not any("automatic" in line for line in lines(session.stats))


def test_it_begins_at_what_the_counters_publish() -> None:
    session = wr.Session("auto", "simulated")
    assert session.period_ns == session.stats["simulated"]["period_ns"] == 976_000
    assert session.stats["simulated"]["auto"] == {
        "state": "learning",
        "reason": "",
        "updates": 0,
        "seen_share": 0.0,
        "reads_per_update": 0.0,
    }
    assert any("still learning" in line for line in lines(session.stats))


def test_of_several_sources_the_quickest_is_the_sessions(machine: FakeMachine) -> None:
    both = ["rapl_msr", "simulated"]
    env = machine.environment()
    env.simulated = "psys-0=const:5"
    session = wr.Session("auto", both, environment=env)
    assert [session.stats[source]["period_ns"] for source in both] == [1_000_000, 976_000]
    assert session.period_ns == 976_000


def test_energy_is_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTRING_SIMULATED", SIMULATED)
    with wr.Session("auto", "simulated") as session:
        auto = learned(session)
        t0_ns = time.monotonic_ns()
        time.sleep(0.2)
        t1_ns = time.monotonic_ns()
        measured = session.energy(t0_ns, t1_ns)
    for channel, power in functions_of(SIMULATED).items():
        low_j, high_j = measured.bounds_j[channel]
        assert low_j <= true_j(power, t0_ns, t1_ns) <= high_j
    assert auto["state"] in ("following", "fixed")
    assert 0 <= auto["seen_share"] <= 1
    # Of a counter that moves, whatever this machine is busy with.
    assert auto["reason"] in (
        "",
        "the updates keep to no beat",
        "no counter moves often enough to tell its updates",
        "this machine wakes the sampling thread too late",
    )


def test_a_counter_that_stands_still_is_polled_as_it_publishes(machine: FakeMachine) -> None:
    with wr.Session("auto", "rapl_msr", environment=machine.environment()) as session:
        auto = learned(session)
        assert auto["state"] == "fixed"
        assert auto["reason"] == "no counter moves often enough to tell its updates"
        assert session.stats["rapl_msr"]["period_ns"] == session.period_ns == 1_000_000
        said = [line for line in lines(session.stats) if "automatic" in line]
    assert said
    assert "fell back to 1000 µs" in said[0]


def test_other_words_are_no_period() -> None:
    with pytest.raises(wr.InvalidError, match="'Auto' is no duration"):
        wr.Session("Auto", "simulated")


def test_calls_are_measured_with_it() -> None:
    assert wr.measure(sum, [1], period="auto", sources="simulated").value == 1


def test_stat_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["stat", "--period", "auto", "--sources", "simulated", "--", "sleep", "0.3"]
    assert main(command) == 0
    assert "automatic period" in capsys.readouterr().err
