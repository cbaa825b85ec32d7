"""What a measurement says: JSON, text, roots, notes."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from wattring.measurement import format_joules

if TYPE_CHECKING:
    from fakes.machine import FakeMachine

INFINITY = float("inf")


def measurement(**changes: object) -> wr.Measurement:
    fields: dict[str, object] = {
        "t_begin_ns": 1_000_000_000,
        "t_end_ns": 1_250_000_000,
        "energy_j": {"package-0": 12.41, "core-0": 8.0, "dram-0": 0.00456},
        "bounds_j": {"package-0": (12.33, 12.52), "core-0": (7.9, INFINITY), "dram-0": (0, 0.01)},
        "method": {"package-0": "counter", "core-0": "counter", "dram-0": "counter"},
        "source": {"package-0": "rapl_perf", "core-0": "rapl_msr", "dram-0": "rapl_perf"},
        "device": {"package-0": "package 0, A CPU", "core-0": "", "dram-0": ""},
        "notes": {"core-0": ["2 failed reads", "no later sample proves an upper bound"]},
        "roots": ["package-0", "dram-0"],
    }
    return wr.Measurement(**(fields | changes))  # type: ignore[arg-type]


def test_derived_figures() -> None:
    m = measurement()
    assert m.seconds == pytest.approx(0.25)
    assert m.power_w == pytest.approx({"package-0": 49.64, "core-0": 32.0, "dram-0": 0.01824})
    assert m.total_j == pytest.approx(12.41456)
    assert m.total_bounds_j == pytest.approx((12.33, 12.53))


def test_to_dict_is_json_under_the_same_names() -> None:
    m = measurement()
    document = json.loads(json.dumps(m.to_dict(), allow_nan=False))
    names = {f.name for f in dataclasses.fields(wr.Measurement)}
    assert set(document) == names | {"seconds", "total_j", "total_bounds_j"}
    for name in set(document) - {"bounds_j", "total_bounds_j"}:
        assert document[name] == getattr(m, name)
    assert document["bounds_j"] == {
        "package-0": [12.33, 12.52],
        "core-0": [7.9, None],
        "dram-0": [0, 0.01],
    }
    assert document["total_bounds_j"] == pytest.approx([12.33, 12.53])


def test_an_empty_window_has_no_power() -> None:
    m = measurement(t_end_ns=1_000_000_000)
    assert all(math.isnan(power) for power in m.power_w.values())
    assert m.to_dict()["power_w"] == {"package-0": None, "core-0": None, "dram-0": None}
    json.dumps(m.to_dict(), allow_nan=False)


def test_as_text() -> None:
    package, core, dram = str(measurement()).splitlines()
    assert package.split() == [
        "package-0",
        "12.41",
        "J",
        "(12.33",
        "…",
        "12.52)",
        "0.250",
        "s",
        "49.6",
        "W",
    ]
    assert core.split("   [")[1] == "2 failed reads; no later sample proves an upper bound]"
    assert "(7.90 … ∞)" in core
    assert dram.split()[:6] == ["dram-0", "0.00456", "J", "(0.00", "…", "0.01)"]
    columns = [[line.index(unit) for unit in (" J ", " s ", " W")] for line in (package, dram)]
    assert columns[0] == columns[1]


@pytest.mark.parametrize(
    ("joules", "text"),
    [(0, "0.00"), (12.346, "12.35"), (0.5, "0.5"), (0.00001234, "1.23e-05"), (INFINITY, "∞")],
)
def test_joules_as_text(joules: float, text: str) -> None:
    assert format_joules(joules) == text


@pytest.mark.parametrize(
    ("psys", "dram", "roots"),
    [
        (True, True, ["psys"]),
        (False, True, ["package-0", "dram-0"]),
        (False, False, ["package-0"]),
    ],
)
def test_roots_of_real_channels(
    machine: FakeMachine, *, psys: bool, dram: bool, roots: list[str]
) -> None:
    if psys:
        machine.add_zone("intel-rapl:1", "psys")
    if not dram:
        machine.remove("sys/class/powercap/intel-rapl:0:1")
    with wr.Session(sources="rapl_powercap", environment=machine.environment()) as session:
        now = wr.now_ns()
        assert session.energy(now, now).roots == roots


def test_a_core_without_its_package_is_a_root(machine: FakeMachine) -> None:
    machine.remove("sys/class/powercap/intel-rapl:0/energy_uj")
    with wr.Session(sources="rapl_powercap", environment=machine.environment()) as session:
        now = wr.now_ns()
        assert session.energy(now, now).roots == ["core-0", "dram-0"]


def test_of_a_session() -> None:
    with wr.Session(sources="simulated") as session:
        t0 = wr.now_ns()
        time.sleep(0.02)
        t1 = wr.now_ns()
        m = session.energy(t0, t1)
    assert (m.t_begin_ns, m.t_end_ns) == (t0, t1)
    channels = ["package-0", "core-0", "dram-0"]
    for by_channel in (m.energy_j, m.bounds_j, m.power_w, m.method, m.source, m.device):
        assert list(by_channel) == channels
    assert set(m.method.values()) == {"counter"}
    assert set(m.source.values()) == {"simulated"}
    assert m.device["dram-0"] == "simulated machine, const:5 W"
    with pytest.raises(dataclasses.FrozenInstanceError):
        m.t_end_ns = 0  # type: ignore[misc]


def test_an_empty_window_of_a_session() -> None:
    with wr.Session(sources="simulated") as session:
        now = wr.now_ns()
        m = session.energy(now, now)
    assert m.seconds == 0
    assert all(low == 0 <= high < 1 for low, high in m.bounds_j.values())
    json.dumps(m.to_dict(), allow_nan=False)


def test_28_a_window_shorter_than_a_refresh_has_bounds() -> None:
    """PITFALLS 28: an estimate with bounds, never a bare 0."""
    with wr.Session(sources="simulated") as session:
        for _ in range(20):
            t0 = wr.now_ns()
            t1 = t0 + 100_000
            while wr.now_ns() <= t1:
                pass
            m = session.energy(t0, t1)
            low, high = m.bounds_j["package-0"]
            assert low <= 20 * 1e-4
            assert high >= 20 * 1e-4
            assert low <= m.energy_j["package-0"] <= high
            assert 0 < m.energy_j["package-0"] < 0.5
