"""Sessions: life cycle, samples, energies."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wattring as wr
from fakes.driving import wait_rows

if TYPE_CHECKING:
    from fakes.machine import FakeMachine


def true_j(channel: str, t0_ns: int, t1_ns: int) -> float:
    """Energy of the simulated machine, from its default power functions."""
    low, high = {"package-0": (20, 80), "core-0": (10, 60), "dram-0": (5, 5)}[channel]

    def until(t_s: float) -> float:
        whole, rest = divmod(t_s, 0.5)
        return whole * 0.25 * (low + high) + low * min(rest, 0.25) + high * max(rest - 0.25, 0)

    return until(t1_ns * 1e-9) - until(t0_ns * 1e-9)


def test_rows_have_the_promised_columns() -> None:
    with wr.Session(sources="simulated") as session:
        time.sleep(0.05)
        rows = session.samples("simulated")
    assert rows.dtype.names == ("t_begin_ns", "t_end_ns", "status", "package-0", "core-0", "dram-0")
    assert rows["t_begin_ns"].dtype == np.int64
    assert rows["package-0"].dtype == np.uint64
    assert len(rows) > 20
    assert (np.diff(rows["t_begin_ns"]) > 0).all()
    assert (rows["t_end_ns"] >= rows["t_begin_ns"]).all()
    assert (np.diff(rows["package-0"].astype(np.int64)) >= 0).all()
    assert rows["package-0"][0] == 0, "the first reading is the baseline"


def test_truth_lies_inside_the_bounds_of_every_window() -> None:
    rng = np.random.default_rng(1)
    with wr.Session(sources="simulated") as session:
        for _ in range(100):
            t0 = time.monotonic_ns()
            time.sleep(rng.uniform(0.0005, 0.02))
            t1 = time.perf_counter_ns()
            measured = session.energy(t0, t1)
            for channel, (low, high) in measured.bounds_j.items():
                assert low <= true_j(channel, t0, t1) <= high
                assert low <= measured.energy_j[channel] <= high


def test_half_a_second_is_right_to_one_percent() -> None:
    with wr.Session(sources="simulated") as session:
        t0 = wr.now_ns()
        time.sleep(0.5)
        t1 = wr.now_ns()
        measured = session.energy(t0, t1)
    assert measured.energy_j["package-0"] == pytest.approx(true_j("package-0", t0, t1), rel=0.01)
    assert measured.roots == ["package-0", "dram-0"]
    total = measured.energy_j["package-0"] + measured.energy_j["dram-0"]
    assert measured.total_j == pytest.approx(total)


def test_reader_says_how_many_rows_it_lost() -> None:
    with wr.Session("100us", "simulated", rows=512) as session:
        reader = session.reader("simulated")
        reader.read()
        while session.stats["simulated"]["samples"] < 2000:
            time.sleep(0.01)
    rows = reader.read()
    assert len(rows) <= 512
    assert reader.lost > 0
    assert len(reader.read()) == 0


def test_reader_neither_repeats_nor_skips() -> None:
    with wr.Session("1ms", "simulated") as session:
        reader = session.reader("simulated")
        parts = []
        for _ in range(10):
            parts.append(reader.read())
            time.sleep(0.01)
    parts.append(reader.read())
    together = np.concatenate(parts)
    assert reader.lost == 0
    assert len(together) == session.stats["simulated"]["samples"]
    assert (together == session.samples("simulated")).all()


def test_ring_view_is_read_only_and_keeps_the_ring_alive() -> None:
    session = wr.Session(sources="simulated").start()
    time.sleep(0.02)
    session.stop()
    view = session.ring_view("simulated")
    copy = session.samples("simulated")
    assert not view.flags.writeable
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view["status"][0] = 1
    del session
    gc.collect()
    assert (view == copy).all()


def test_stopping_twice_and_reading_afterwards() -> None:
    session = wr.Session(sources="simulated").start()
    t0 = wr.now_ns()
    time.sleep(0.01)
    t1 = wr.now_ns()
    session.stop()
    session.stop()
    assert not session.running
    low, high = session.energy(t0, t1).bounds_j["package-0"]
    assert low <= true_j("package-0", t0, t1) <= high
    with pytest.raises(wr.StateError, match="started before"):
        session.start()


def test_energy_refuses_what_it_cannot_know() -> None:
    session = wr.Session(sources="simulated")
    with pytest.raises(wr.StateError, match="not started"):
        session.energy(0, 1)
    before = wr.now_ns() - 10**9
    with session:
        time.sleep(0.02)
        now = wr.now_ns()
        with pytest.raises(wr.StateError, match="no sample is as old"):
            session.energy(before, now)
        with pytest.raises(wr.InvalidError, match="future"):
            session.energy(now, now + 10**12)
        with pytest.raises(wr.InvalidError, match="ends before it begins"):
            session.energy(now, now - 10**6)
        with pytest.raises(wr.InvalidError, match="does not read"):
            session.samples("rapl_msr")


def test_two_sessions_at_once() -> None:
    with wr.Session(sources="simulated") as a, wr.Session("2ms", "simulated") as b:
        t0 = wr.now_ns()
        time.sleep(0.05)
        t1 = wr.now_ns()
        for session in (a, b):
            low, high = session.energy(t0, t1).bounds_j["dram-0"]
            assert low <= true_j("dram-0", t0, t1) <= high


def test_a_reset_is_marked_and_nothing_is_invented(machine: FakeMachine) -> None:
    """PITFALLS 23."""
    machine.set_count(0, "package", 10**9)
    with wr.Session("1ms", "rapl_msr", environment=machine.environment()) as session:
        wait_rows(session, "rapl_msr", 3)
        t0 = wr.now_ns()
        machine.set_count(0, "package", 5000)
        wait_rows(session, "rapl_msr", 3)
        machine.add_energy(0, "package", 1)
        wait_rows(session, "rapl_msr", 3)
        measured = session.energy(t0, wr.now_ns())
    assert measured.energy_j["package-0"] == pytest.approx(1, abs=1e-4)
    assert measured.bounds_j["package-0"][1] == float("inf")
    assert any("reset" in note for note in measured.notes["package-0"])
    assert measured.to_dict()["bounds_j"]["package-0"][1] is None


def test_a_vanished_sensor_is_named(machine: FakeMachine) -> None:
    with wr.Session("1ms", "rapl_msr", environment=machine.environment()) as session:
        wait_rows(session, "rapl_msr", 3)
        machine.remove("dev/cpu/0/msr")
        deadline = time.monotonic() + 20
        while not session.stats["rapl_msr"]["gone"] and time.monotonic() < deadline:
            time.sleep(0.001)
        assert session.stats["rapl_msr"]["gone"]
        assert not session.running


def test_auto_takes_each_domain_once(machine: FakeMachine) -> None:
    """PITFALLS 20, 25."""
    machine.add_zone("intel-rapl-mmio:0", "package-0")
    session = wr.Session(environment=machine.environment())
    names = [c.name for channels in session.channels.values() for c in channels]
    assert sorted(names) == ["core-0", "dram-0", "package-0"]
    assert session.sources == ["rapl_msr"]
    skipped = {s.source: s for s in session.skipped}
    assert skipped["rapl_perf"].code == "absent"
    assert skipped["rapl_powercap"].code == "redundant"


def test_identity_comes_from_names(tmp_path: object, machine: FakeMachine) -> None:
    """PITFALLS 8: psys is registered as zone 1, and is not package 1."""
    machine.add_zone("intel-rapl:1", "psys")
    session = wr.Session(sources="rapl_powercap", environment=machine.environment())
    channels = {c.name: c for c in session.channels["rapl_powercap"]}
    assert sorted(channels) == ["core-0", "dram-0", "package-0", "psys"]
    assert channels["package-0"].parent == "psys"


def test_a_zone_without_range_is_refused(machine: FakeMachine) -> None:
    """PITFALLS 3."""
    machine.add_zone("intel-rapl:1", "package-1", range_uj=None)
    session = wr.Session(sources="rapl_powercap", environment=machine.environment())
    assert "package-1" not in [c.name for c in session.channels["rapl_powercap"]]
    reasons = {s.channel: s.reason for s in session.skipped}
    assert "wrap" in reasons["package-1"]


@pytest.mark.parametrize("period", ["0", 0, -1, "1 parsec", "", "1e-30s", float("nan"), True])
def test_impossible_periods(period: str | float) -> None:
    with pytest.raises(wr.InvalidError):
        wr.Session(period, "simulated")


def test_periods_that_the_sensor_cannot_serve() -> None:
    """PITFALLS 6: half the wrap time at full power, and the cost of a read."""
    with pytest.raises(wr.InvalidError, match="can wrap every 262 s at 1000 W"):
        wr.Session("200s", "simulated")
    with pytest.raises(wr.InvalidError, match=r"costs .* us"):
        wr.Session("1ns", "simulated")
    wr.Session("130s", "simulated")


def test_no_sensor_names_every_reason(tmp_path: object) -> None:
    env = wr.Environment()
    env.sys = env.dev = env.proc = str(tmp_path)
    with pytest.raises(wr.AbsentError, match=r"rapl_perf: .*rapl_msr: .*rapl_powercap: "):
        wr.Session(environment=env)
    with pytest.raises(wr.InvalidError, match="choose from"):
        wr.Session(sources="rapl_prf")
