"""The report of all windows, and what it says of those that could not be counted."""

from __future__ import annotations

import json
import math
import time

import pytest

import wattring as wr
from fakes.power import SIMULATED, functions_of, true_j

FUNCTIONS = functions_of(SIMULATED)


def test_the_report_is_a_table_a_dict_and_json() -> None:
    with wr.Session(sources="simulated") as session, session.window("outer"):
        for _ in range(2):
            with session.window("inner"):
                time.sleep(0.005)
    report = session.report()
    outer, inner = report.windows["outer"], report.windows["inner"]
    for channel in FUNCTIONS:
        low, high = outer.exclusive_bounds_j[channel]
        assert low <= outer.exclusive_j[channel] <= high
        own = outer.energy_j[channel] - inner.energy_j[channel]
        assert outer.exclusive_j[channel] == pytest.approx(own, abs=1e-9)
        assert inner.min_j[channel] <= inner.max_j[channel]
    assert inner.roots == ["package-0", "dram-0"]
    text = str(report)
    for word in ("outer", "inner", "package-0", "joules", "bounds", "SIMULATED"):
        assert word in text
    found = json.loads(report.to_json())
    assert found == report.to_dict()
    assert found["windows"]["inner"]["count"] == 2
    assert found["windows"]["inner"]["total_j"] == pytest.approx(inner.total_j)
    assert found["dropped"] == 0


def test_an_empty_report() -> None:
    session = wr.Session(sources="simulated")
    assert session.report().windows == {}
    session.window("never entered")
    assert session.report().windows == {}
    assert session.report().to_dict()["open"] == 0


def test_a_window_before_the_start_is_refused() -> None:
    session = wr.Session(sources="simulated")
    w = session.window("x")
    with pytest.raises(wr.StateError, match="not started"), w:
        pass
    with session:
        with w:
            pass
        assert w.measurement.seconds > 0
    assert session.report().dropped == session.report().late == 0


def test_the_stop_cuts_off_what_is_open_and_later_ones_run_uncounted() -> None:
    with wr.Session(sources="simulated") as session:
        never_ended = session.begin("open")
        ended_late = session.begin("open")
        time.sleep(0.005)
    session.end(ended_late)
    for w in (never_ended, ended_late):
        for channel, (low, high) in w.measurement.bounds_j.items():
            true = true_j(FUNCTIONS[channel], w.measurement.t_begin_ns, w.measurement.t_end_ns)
            assert low <= true <= high < math.inf
        for notes in w.measurement.notes.values():
            assert "the session stopped before the window ended" in notes
    with session.window("late") as late:
        ran = True
    assert ran
    with pytest.raises(wr.StateError, match=r"not counted.*late"):
        _ = late.measurement
    report = session.report()
    assert (report.windows["open"].count, report.windows["open"].cut_off) == (0, 2)
    assert report.late == 1, "what was cut off is no more than that"
    assert "2 cut off by the stop" in str(report)
    assert "1 came after the session's stop" in str(report)
    assert json.loads(report.to_json())["windows"]["open"]["min_seconds"] is None


def test_what_is_dropped_is_visible() -> None:
    session = wr.Session(60, "simulated", rows=1).start()
    w = session.window("flood")
    entered = 0
    while session.stats["simulated"]["dropped"] == 0:
        for _ in range(1000):
            with w:
                entered += 1
    with pytest.raises(wr.StateError, match=r"not counted.*dropped"):
        _ = w.measurement
    session.stop()
    report = session.report()
    assert 0 < report.dropped <= 1000
    assert report.windows["flood"].count + report.dropped == entered
    assert session.stats["simulated"]["dropped"] == report.dropped
    assert f"{report.dropped} dropped" in str(report)
