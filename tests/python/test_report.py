"""The report of all windows, and what it says of those that could not be counted."""

from __future__ import annotations

import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.power import SIMULATED, functions_of, true_j
from wattring.measurement_text import count_notes
from wattring.report import from_ledger

if TYPE_CHECKING:
    from wattring.report import WindowTotals

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


def assert_covers(totals: WindowTotals, spans: list[wr.Measurement]) -> None:
    """The energy of these spans of time, which lie apart, and of nothing else."""
    assert totals.seconds == pytest.approx(sum(span.seconds for span in spans), abs=1e-12)
    for channel, function in FUNCTIONS.items():
        low, high = totals.bounds_j[channel]
        true = sum(true_j(function, span.t_begin_ns, span.t_end_ns) for span in spans)
        assert low <= true <= high < math.inf
        assert low <= totals.energy_j[channel] <= high
        # The simulated machine has an update every millisecond.
        assert totals.energy_j[channel] == pytest.approx(true, abs=len(spans) * 0.2)
        assert totals.exclusive_j[channel] <= totals.energy_j[channel]
        assert totals.exclusive_bounds_j[channel][1] <= high
    assert totals.exclusive_seconds <= totals.seconds
    powers = totals.power_w
    assert powers["package-0"] == pytest.approx(totals.energy_j["package-0"] / totals.seconds)


def whole(session: wr.Session, *measurements: wr.Measurement) -> wr.Measurement:
    """From the first begin to the last end."""
    begin_ns = min(m.t_begin_ns for m in measurements)
    return session.energy(begin_ns, max(m.t_end_ns for m in measurements))


def test_pitfall_26_threads_in_one_name_are_one_machine() -> None:
    all_in = threading.Barrier(4)
    with wr.Session(sources="simulated") as session:

        def work(_: int) -> wr.Measurement:
            with session.window("step") as w:
                all_in.wait()
                time.sleep(0.05)
                all_in.wait()
            return w.measurement

        with ThreadPoolExecutor(4) as pool:
            measured = list(pool.map(work, range(4)))
        report = session.report()
        totals = report.windows["step"]
        assert (totals.count, totals.overlapped) == (4, 3)
        assert_covers(totals, [whole(session, *measured)])
    assert totals.summed_seconds == pytest.approx(sum(m.seconds for m in measured))
    for channel, joules in totals.summed_j.items():
        assert joules == pytest.approx(sum(m.energy_j[channel] for m in measured), abs=0.2)
        assert joules > 3.5 * totals.energy_j[channel]
    assert totals.power_w["package-0"] < 81, "the machine never takes more than 80 W"
    in_full = f"{totals.summed_j['package-0'] + totals.summed_j['dram-0']:.2f} J"
    assert f"step: 3 of its windows overlapped; {in_full} if each counted in full" in str(report)
    assert json.loads(report.to_json())["windows"]["step"]["summed_j"] == totals.summed_j


def test_pitfall_26_partial_overlaps_and_what_lies_apart() -> None:
    with wr.Session(sources="simulated") as session:
        a = session.begin("x")
        time.sleep(0.01)
        b = session.begin("x")
        time.sleep(0.01)
        session.end(a)
        time.sleep(0.01)
        session.end(b)
        time.sleep(0.02)
        with session.window("x") as c:
            time.sleep(0.01)
        totals = session.report().windows["x"]
        first = whole(session, a.measurement, b.measurement)
        assert_covers(totals, [first, c.measurement])
        assert (totals.count, totals.overlapped) == (3, 1)
        # One that is still open takes nothing from, and adds nothing to, those that have ended.
        still_open = session.begin("x")
        with session.window("x") as d:
            time.sleep(0.01)
        assert_covers(session.report().windows["x"], [first, c.measurement, d.measurement])
        time.sleep(0.01)
    report = session.report()
    assert_covers(report.windows["x"], [first, c.measurement, d.measurement])
    assert (report.windows["x"].cut_off, still_open.name) == (1, "x")


def test_pitfall_26_recursion_and_the_parts_of_a_whole() -> None:
    with wr.Session(sources="simulated") as session:

        def f(levels: int) -> None:
            with session.window("f"):
                time.sleep(0.003)
                if levels > 1:
                    f(levels - 1)
                with session.window("leaf"):
                    time.sleep(0.003)

        with session.window("outer") as outer:
            time.sleep(0.003)
            f(4)
        windows = session.report().windows
        assert_covers(windows["outer"], [outer.measurement])
    f_totals = windows["f"]
    assert (f_totals.count, f_totals.overlapped) == (4, 3)
    assert f_totals.seconds == f_totals.max_seconds
    # Every moment has one innermost window: the own parts are the whole.
    assert sum(t.exclusive_seconds for t in windows.values()) == pytest.approx(
        windows["outer"].seconds, abs=1e-9
    )
    for channel in FUNCTIONS:
        own = sum(t.exclusive_j[channel] for t in windows.values())
        assert own == pytest.approx(windows["outer"].energy_j[channel], abs=1e-9)
    # Of a steady power; where it changes in between the parts may weigh less.
    assert f_totals.summed_j["dram-0"] > 2 * f_totals.energy_j["dram-0"]


def test_the_report_says_whose_energy_it_is() -> None:
    with wr.Session(sources="simulated") as session, session.window("x") as w:
        time.sleep(0.002)
    report = session.report()
    assert report.device == w.measurement.device
    assert report.to_dict()["device"] == report.device
    assert "energy of whole devices, not of this process alone" in str(report)
    assert "overlapped" not in str(report)


def test_reports_do_not_add_up() -> None:
    with wr.Session(sources="simulated") as session, session.window("x"):
        pass
    report = session.report()
    with pytest.raises(TypeError):
        report + report  # type: ignore[operator]


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


def test_a_report_counts_what_went_wrong_in_the_words_of_a_measurement() -> None:
    with wr.Session(sources="simulated") as session, session.window("work"):
        pass
    native = session._native.report()
    package, core, _ = native["names"][0]["channels"]
    package["unbounded"] = package["failed"] = package["reset"] = package["ambiguous"] = 1
    core["unbounded"] = 2
    report = from_ledger(native, session.channels["simulated"], session.stats)
    said = "; ".join(["1 window with no proven upper bound", *count_notes(1, 1, 1)])
    assert f"work: package-0: {said}" in report.notes
    assert "work: core-0: 2 windows with no proven upper bound" in report.notes
