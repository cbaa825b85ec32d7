"""What a measurement says: JSON, text, roots, notes."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

import wattring as wr
from fakes.driving import wait_rows, wait_until
from fakes.measurements import INFINITY, measurement
from wattring.measurement import format_joules
from wattring.measurement_text import count_notes

if TYPE_CHECKING:
    from fakes.machine import FakeMachine


def test_derived_figures() -> None:
    m = measurement()
    assert m.seconds == pytest.approx(0.25)
    assert m.power_w == pytest.approx({"package-0": 49.64, "core-0": 32.0, "dram-0": 0.01824})
    assert m.total_j == pytest.approx(12.41456)
    assert m.total_bounds_j == pytest.approx((12.33, 12.53))
    assert m.total_power_w == pytest.approx(12.41456 / 0.25)
    assert m.spans_ns == [(1_000_000_000, 1_250_000_000)]


def test_to_dict_is_json_under_the_same_names() -> None:
    m = measurement()
    document = json.loads(json.dumps(m.to_dict(), allow_nan=False))
    names = {f.name for f in dataclasses.fields(wr.Measurement)}
    assert set(document) == names | {"format", "seconds", "total_j", "total_bounds_j"}
    assert document["format"] == "wattring.Measurement/1"
    assert document["spans_ns"] == [[1_000_000_000, 1_250_000_000]]
    for name in set(document) - {"format", "spans_ns", "bounds_j", "total_bounds_j"}:
        assert document[name] == getattr(m, name)
    assert document["bounds_j"] == {
        "package-0": [12.33, 12.52],
        "core-0": [7.9, None],
        "dram-0": [0, 0.01],
    }
    assert document["total_bounds_j"] == pytest.approx([12.33, 12.53])


def test_what_went_wrong_is_counted_in_one_and_in_many() -> None:
    assert count_notes(0, 0, 0) == []
    assert count_notes(1, 1, 1) == [
        "1 stall in which the counter may have wrapped unseen",
        "the counter was reset 1 time; what it lost is missing",
        "1 failed read",
    ]
    assert count_notes(2, 2, 2) == [
        "2 stalls in which the counter may have wrapped unseen",
        "the counter was reset 2 times; what it lost is missing",
        "2 failed reads",
    ]


def test_an_empty_window_has_no_power() -> None:
    m = measurement(t_end_ns=1_000_000_000)
    assert all(math.isnan(power) for power in m.power_w.values())
    assert m.to_dict()["power_w"] == {"package-0": None, "core-0": None, "dram-0": None}
    json.dumps(m.to_dict(), allow_nan=False)
    assert math.isnan(m.total_power_w)
    assert all(line.split("   [")[0].endswith(" - W") for line in str(m).splitlines()[:3])


def test_as_text() -> None:
    package, core, dram, total = str(measurement()).splitlines()
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
    assert total.split()[:5] == ["total", "12.41", "J", "(12.33", "…"]
    assert total.endswith("0.250 s     49.7 W   (package-0 + dram-0)")
    lines = (package, dram, total)
    columns = [[line.index(unit) for unit in (" J ", " s ", " W")] for line in lines]
    assert columns[0] == columns[1] == columns[2]


def test_one_root_needs_no_total() -> None:
    assert "total" not in str(measurement(roots=["package-0"]))


def test_gaps_are_told() -> None:
    assert "gap" not in str(measurement())
    told = str(measurement(gaps={"rapl_perf": 1, "rapl_msr": 3})).splitlines()[-2:]
    assert told == ["rapl_perf: 1 gap in the sampling", "rapl_msr: 3 gaps in the sampling"]


def test_as_html() -> None:
    """What comes from the machine, names and notes, is text and never markup."""
    m = measurement(notes={"core-0": ["<b>2</b> failed reads & more"]})
    page = m._repr_html_()
    assert "&lt;b&gt;2&lt;/b&gt; failed reads &amp; more" in page
    table = ElementTree.fromstring(f"<div>{page}</div>").find("table")
    assert table is not None
    rows = [[cell.text or "" for cell in row] for row in table.iter("tr")]
    assert rows[0] == ["channel", "energy", "bounds", "time", "power", ""]
    assert rows[1] == ["package-0", "12.41 J", "(12.33 … 12.52)", "0.250 s", "49.6 W", ""]
    assert [row[0] for row in rows[2:]] == ["core-0", "dram-0", "total"]


@pytest.mark.parametrize(
    ("joules", "text"),
    [
        (0, "0.00"),
        (12.346, "12.35"),
        (0.5, "0.5"),
        (0.00001234, "1.23e-05"),
        (INFINITY, "∞"),
        (-INFINITY, "-∞"),
    ],
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
    assert m.refresh_ns == dict.fromkeys(channels, 976_000)
    assert m.coverage == dict.fromkeys(channels, 1.0)
    for counts in (m.failed, m.ambiguous, m.resets):
        assert counts == dict.fromkeys(channels, 0)
    assert list(m.gaps) == list(m.lost) == ["simulated"]
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


def test_gaps_are_the_marked_rows_of_the_window() -> None:
    """At such a period deadlines pass while the sampler sleeps."""
    with wr.Session("10us", "simulated") as session:
        begin = session.mark()
        missed = session.stats["simulated"]["missed"] + 50
        wait_until(lambda: session.stats["simulated"]["missed"] > missed, "50 missed deadlines")
        end = session.mark()
        m = session.between(begin, end)
    rows = session.samples("simulated")
    assert len(rows) == session.stats["simulated"]["samples"]
    first = int((rows["t_end_ns"] <= begin.t_ns).sum())
    last = int((rows["t_end_ns"] <= end.t_ns).sum())
    marked = int((rows["status"][first : last + 1] & 8 != 0).sum())
    assert marked > 0
    assert m.gaps == {"simulated": marked}
    assert m.lost == {"simulated": 0}


def test_samples_that_left_the_ring_are_counted_as_lost() -> None:
    with wr.Session("100us", "simulated", rows=512) as session:
        begin = session.mark()
        wait_rows(session, "simulated", 1200)
        m = session.between(begin, session.mark())
    assert m.lost["simulated"] >= 1200 - 512
    low, high = m.bounds_j["package-0"]
    assert low <= m.energy_j["package-0"] <= high < INFINITY


def test_failed_reads_and_resets_are_counted(machine: FakeMachine) -> None:
    with wr.Session(sources="rapl_powercap", environment=machine.environment()) as session:
        begin = session.mark()
        machine.set_energy_file("intel-rapl:0", "rubbish")
        wait_rows(session, "rapl_powercap", 5)
        machine.set_count(0, "package", 2**31)
        wait_rows(session, "rapl_powercap", 5)
        m = session.between(begin, session.mark())
    assert m.failed["package-0"] >= 4
    assert m.failed["core-0"] == 0
    assert m.resets == {"package-0": 1, "core-0": 0, "dram-0": 0}
    assert m.ambiguous == {"package-0": 0, "core-0": 0, "dram-0": 0}
    assert m.bounds_j["package-0"][1] == INFINITY
    assert wr.Measurement.from_json(m.to_json()) == m
