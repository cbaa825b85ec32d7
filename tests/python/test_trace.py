"""Traces in memory: power and energy on update edges, windows by the thousand, provenance."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wattring as wr
from fakes.driving import wait_until
from fakes.power import SIMULATED, functions_of, true_j
from wattring import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fakes.machine import FakeMachine

POWERS = functions_of(SIMULATED)


@pytest.fixture(scope="module")
def session() -> Iterator[wr.Session]:
    with wr.Session(sources="simulated") as session:
        with session.window("all"):
            for _ in range(100):
                with session.window("step"):
                    time.sleep(0.012)
        yield session


@pytest.fixture(scope="module")
def trace(session: wr.Session) -> wr.Trace:
    return session.trace()


def test_the_windows_that_ended_are_there(trace: wr.Trace) -> None:
    windows = trace.windows
    assert windows.dtype.names == ("name", "t_begin_ns", "t_end_ns")
    assert (windows["name"] == "step").sum() == 100
    assert windows["name"][-1] == "all"
    steps = windows[windows["name"] == "step"]
    assert (np.diff(steps["t_begin_ns"]) > 0).all()
    outer = windows[-1]
    assert outer["t_begin_ns"] <= steps["t_begin_ns"][0]
    assert outer["t_end_ns"] >= steps["t_end_ns"][-1]
    assert trace.notes == []
    assert trace.lost == {}


def test_many_windows_at_once_against_the_truth(trace: wr.Trace) -> None:
    windows = trace.windows
    found = trace.energy_between(windows["t_begin_ns"], windows["t_end_ns"])
    assert len(found) == 101
    for channel, power in POWERS.items():
        truth = np.array([true_j(power, t0, t1) for _, t0, t1 in windows.tolist()])
        lower, upper = found.bounds_j[channel]
        assert (lower <= truth + 1e-6).all()
        assert (truth <= upper + 1e-6).all()
        assert np.isfinite(upper).all()
        errors = np.abs(found.energy_j[channel] / truth - 1)
        assert np.median(errors) < 0.02, channel
    assert found.roots == ["package-0", "dram-0"]
    np.testing.assert_allclose(
        found.total_j, found.energy_j["package-0"] + found.energy_j["dram-0"]
    )
    np.testing.assert_allclose(
        found.total_bounds_j[1], found.bounds_j["package-0"][1] + found.bounds_j["dram-0"][1]
    )
    np.testing.assert_allclose(found.power_w["dram-0"], found.energy_j["dram-0"] / found.seconds)


def test_it_says_what_the_session_says(session: wr.Session, trace: wr.Trace) -> None:
    for name, t0, t1 in trace.windows.tolist()[:20] + trace.windows.tolist()[-1:]:
        live, kept = session.energy(t0, t1), trace.measurement(t0, t1)
        for channel, bounds in live.bounds_j.items():
            assert kept.bounds_j[channel] == pytest.approx(bounds), (name, channel)
        # A clock that was found from other rows may say a little else.
        assert kept.energy_j == pytest.approx(live.energy_j, rel=0.02, abs=0.01), name
        assert (kept.device, kept.method, kept.notes) == (live.device, live.method, live.notes)
        assert kept.gaps == live.gaps
    one = trace.energy_between([t0], [t1])
    assert one.energy_j["package-0"][0] == pytest.approx(kept.energy_j["package-0"])
    assert "package-0" in str(kept)


def test_power_lies_on_update_edges(trace: wr.Trace) -> None:
    power = trace.power("dram-0")
    assert power.dtype.names == ("t_begin_ns", "t_end_ns", "power_w", "gap")
    assert (power["t_begin_ns"][1:] == power["t_end_ns"][:-1]).all()
    seconds = (power["t_end_ns"] - power["t_begin_ns"]) * 1e-9
    assert abs((power["power_w"] * seconds).sum() / seconds.sum() - 5) < 0.02
    # Polls see no update now and then, or two: 0 W, double power. The ends are not settled yet.
    middle = power["power_w"][10:-10]
    assert np.mean((middle > 4.5) & (middle < 5.5)) > 0.97
    energy = trace.energy("dram-0")
    assert energy.dtype.names == ("t_ns", "energy_j")
    assert (energy["t_ns"][:-1] == power["t_begin_ns"]).all()
    joules = np.diff(energy["energy_j"])
    np.testing.assert_allclose(joules, power["power_w"] * seconds, atol=1e-12)
    channel = trace.channels["simulated"][2]
    rows = trace.samples("simulated")
    assert energy["energy_j"][-1] <= int(rows["dram-0"][-1]) * channel.scale


def test_windows_beyond_the_samples_have_no_value(trace: wr.Trace) -> None:
    t0, t1 = trace.t_begin_ns, trace.t_end_ns
    found = trace.energy_between([t0 - 10**9, t0, t1], [t0 + 10**6, t1 - 10**6, t1 + 10**9])
    assert np.isnan(found.energy_j["package-0"]).tolist() == [True, False, True]
    lower, upper = found.bounds_j["package-0"]
    assert lower[0] == lower[2] == 0
    assert np.isinf(upper[[0, 2]]).all()
    with pytest.raises(wr.InvalidError, match="before this trace"):
        trace.measurement(t0 - 10**9, t1)


@pytest.mark.parametrize(
    ("t0", "t1", "message"),
    [
        ([1, 2], [3], "2 begins and 1 ends"),
        ([1.5], [2.5], "integers"),
        ([[1]], [[2]], "shape"),
        ([5, 9], [6, 8], "window 1 ends before it begins"),
        (["a"], ["b"], "integers"),
    ],
)
def test_bad_windows_are_refused(trace: wr.Trace, t0: object, t1: object, message: str) -> None:
    with pytest.raises(wr.InvalidError, match=message):
        trace.energy_between(t0, t1)  # type: ignore[arg-type]


def test_no_windows_at_all(trace: wr.Trace) -> None:
    found = trace.energy_between([], [])
    assert len(found) == 0
    assert found.total_j.shape == (0,)


def test_unknown_names_are_told_what_there_is(trace: wr.Trace) -> None:
    with pytest.raises(wr.InvalidError, match=r"no counter 'gpu-0' .*package-0"):
        trace.power("gpu-0")
    with pytest.raises(wr.InvalidError, match=r"no source 'nvml' .*simulated"):
        trace.samples("nvml")


def test_provenance(trace: wr.Trace) -> None:
    header = trace.header
    assert header["format"] == "wattring.Trace/1"
    assert header["machine"].keys() == {"cpu", "kernel", "wattring", "host", "boot_id"}
    assert header["period_ns"] == 1_000_000
    source = header["sources"]["simulated"]
    assert "measures nothing" in source["driver"]
    assert [c["name"] for c in source["channels"]] == ["package-0", "core-0", "dram-0"]
    assert source["channels"][0]["refresh_ns"] == 976_000
    assert json.loads(json.dumps(header)) == header
    header["sources"].clear()
    assert trace.sources == ["simulated"]


def test_the_wall_clock_of_a_time_stamp(trace: wr.Trace) -> None:
    before = time.time_ns()
    t_ns = wr.now_ns()
    after = time.time_ns()
    slack = trace.header["clocks"][0]["error_ns"] + 10**7
    assert before - slack <= int(trace.wall_ns(t_ns)) <= after + slack
    assert trace.wall_ns([t_ns, t_ns + 5]).shape == (2,)


def test_samples_are_read_only(trace: wr.Trace) -> None:
    rows = trace.samples("simulated")
    with pytest.raises(ValueError, match="read-only"):
        rows["status"][0] = 1
    with pytest.raises(ValueError, match="read-only"):
        trace.windows["t_end_ns"][0] = 1


def test_pandas_and_arrow(trace: wr.Trace) -> None:
    frame = trace.to_pandas()
    columns = ["channel", "t_begin_ns", "t_end_ns", "energy_j", "power_w", "gap"]
    assert list(frame.columns) == columns
    assert len(frame) == sum(len(trace.power(channel)) for channel in POWERS)
    sums = frame.groupby("channel", observed=True).energy_j.sum()
    energy = trace.energy("package-0")["energy_j"]
    assert sums["package-0"] == pytest.approx(energy[-1] - energy[0])
    table = trace.to_arrow()
    assert table.column_names == columns
    assert table.to_pandas()["power_w"].tolist() == frame["power_w"].tolist()
    assert table.to_pandas()["channel"].tolist() == frame["channel"].tolist()


def test_windows_older_than_the_samples_are_left_out_and_counted() -> None:
    with wr.Session(sources="simulated", rows=64) as session:
        with session.window("old"):
            pass
        old = session.samples("simulated")["t_begin_ns"][-1]
        wait_until(
            lambda: session.samples("simulated")["t_begin_ns"][0] > old + 10**7, "ring gone round"
        )
        with session.window("new"):
            pass
        trace = session.trace()
    assert trace.windows["name"].tolist() == ["new"]
    assert trace.notes == ["1 window began before the oldest sample; not in this trace"]


def test_windows_that_ended_just_before_are_there() -> None:
    with wr.Session(sources="simulated") as session:
        w = session.window("w")
        for _ in range(60_000):  # more than are settled in a millisecond
            with w:
                pass
        assert len(session.trace().windows) == 60_000 - session.report().dropped


def test_a_session_without_windows(machine: FakeMachine) -> None:
    with wr.Session(sources="rapl_msr", environment=machine.environment()) as session:
        trace = session.trace()
    assert len(trace.windows) == 0
    assert len(trace.energy("package-0")) == 0, "it never moved"
    assert len(trace.power("package-0")) == 0
    assert "rapl_msr" in repr(trace)


def test_a_session_that_was_not_started() -> None:
    session = wr.Session(sources="simulated")
    with pytest.raises(wr.StateError, match="not started"):
        session.trace()


def test_rows_of_another_shape_are_refused(trace: wr.Trace) -> None:
    channels = trace.channels["simulated"]
    rows = trace.samples("simulated")
    with pytest.raises(wr.InvalidError, match="no samples of such channels"):
        _core.Timeline(rows, channels[:2])
    with pytest.raises(wr.InvalidError, match="no samples of such channels"):
        _core.Timeline(rows[::2], channels)
    with pytest.raises(wr.InvalidError, match="out of order"):
        _core.Timeline(rows[::-1].copy(), channels)
