"""The machine at rest: its power, its bounds, its spread, and what is refused."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import wait_rows
from fakes.power import true_j
from wattring.baseline import plan_parts, power_spread_w

if TYPE_CHECKING:
    from fakes.machine import FakeMachine

STATED = "package-0=square:20:80:0.1,dram-0=const:5"


def simulated(stated: str = STATED, period: str = "1ms") -> wr.Session:
    environment = wr.Environment()
    environment.simulated = stated
    return wr.Session(period, "simulated", environment=environment)


def test_power_and_bounds_of_the_rest() -> None:
    with simulated() as session:
        baseline = session.idle(0.2)
    rest = baseline.measurement
    assert baseline.parts == 10
    assert baseline.seconds == rest.seconds >= 0.2
    for channel, (low, high) in baseline.bounds_w.items():
        function = {"package-0": "square:20:80:0.1", "dram-0": "const:5"}[channel]
        true_w = true_j(function, rest.t_begin_ns, rest.t_end_ns) / baseline.seconds
        assert low <= true_w <= high
        assert low <= baseline.power_w[channel] <= high
    assert baseline.power_w is rest.power_w
    assert list(baseline.spread_w) == ["package-0", "dram-0"]
    assert all("SIMULATED" in line and " W   [" in line for line in str(baseline).splitlines())


def test_the_spread_tells_a_restless_machine_from_a_steady_one() -> None:
    """Parts of 20 ms see a square of 0.1 s, from 20 to 80 W; a steady 5 W moves no part of them."""
    with simulated() as session:
        baseline = session.idle("200ms")
    assert baseline.spread_w["package-0"] > 10
    assert baseline.spread_w["dram-0"] < 2


def test_spread_is_the_deviation_between_parts() -> None:
    with simulated("package-0=const:10") as session:
        marks = [session.mark()]
        for _ in range(4):
            wait_rows(session, "simulated", 10)
            marks.append(session.mark())
        parts = [session.between(a, b) for a, b in itertools.pairwise(marks)]
    watts = [m.power_w["package-0"] for m in parts]
    mean = sum(watts) / 4
    expected = (sum((w - mean) ** 2 for w in watts) / 3) ** 0.5
    assert power_spread_w(parts) == pytest.approx({"package-0": expected})


def test_net_of_the_same_power_is_about_nothing() -> None:
    """Both windows see the same stated power, so nothing is what is truly above the rest."""
    with simulated("package-0=const:30") as session:
        baseline = session.idle(0.1)
        begin = session.mark()
        wait_rows(session, "simulated", 50)
        net = session.between(begin, session.mark()).net(baseline)
    low, high = net.bounds_j["package-0"]
    assert low <= 0 <= high
    assert low <= net.energy_j["package-0"] <= high
    assert net.gross.energy_j["package-0"] == pytest.approx(30 * net.seconds, rel=0.2)
    assert "SIMULATED" in str(net)


def test_a_rest_longer_than_the_ring() -> None:
    environment = wr.Environment()
    environment.simulated = STATED
    with wr.Session("100us", "simulated", rows=512, environment=environment) as session:
        baseline = session.idle(0.3)
        samples = session.stats["simulated"]["samples"]
    assert baseline.measurement.lost["simulated"] > 0, f"{samples} samples in a ring of 512"
    assert all(high < float("inf") for _, high in baseline.bounds_w.values())


def test_too_short_a_rest_is_refused_with_the_least() -> None:
    with simulated("package-0=const:10", "2ms") as session:
        with pytest.raises(wr.InvalidError, match=r"0.039 s at rest .* - ask for at least 0.04 s"):
            session.idle(0.039)
        assert session.idle(0.04).parts == 2
        with pytest.raises(wr.InvalidError, match="'soon' is no duration"):
            session.idle("soon")


def test_a_session_that_is_not_started_has_no_rest() -> None:
    with pytest.raises(wr.StateError, match="not started"):
        simulated().idle(0.1)


@pytest.mark.parametrize(
    ("length_s", "parts", "part_s"),
    [(2, 20, 0.1), (0.5, 10, 0.05), (60, 600, 0.1), (0.05, 5, 0.01)],
)
def test_how_a_rest_is_parted(length_s: float, parts: int, part_s: float) -> None:
    assert plan_parts(round(length_s * 1e9), 1_000_000, []) == (parts, round(part_s * 1e9))


def test_slow_sensors_want_longer_parts(machine: FakeMachine) -> None:
    session = wr.Session(sources="rapl_powercap", environment=machine.environment())
    counters = session.channels["rapl_powercap"]
    slowest_ns = max(channel.refresh_ns for channel in counters)
    parts, part_ns = plan_parts(100 * slowest_ns, 1, counters)
    assert parts == 10
    assert part_ns == 10 * slowest_ns
    with pytest.raises(wr.InvalidError, match="too short"):
        plan_parts(20 * slowest_ns - 1, 1, counters)
