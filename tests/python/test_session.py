"""Sessions: life cycle, energies, what is refused, threads."""

from __future__ import annotations

import gc
import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import as_nobody, wait_rows, wait_until
from fakes.power import SIMULATED, functions_of, true_j

if TYPE_CHECKING:
    from fakes.machine import FakeMachine

FUNCTIONS = functions_of(SIMULATED)


def sampling_threads() -> list[int]:
    """Threads of this process that sample, by the name they give themselves."""
    tasks = Path("/proc/self/task")
    names = {int(t.name): (t / "comm").read_text().strip() for t in tasks.iterdir()}
    return [task for task, name in names.items() if name.startswith("wr-")]


def assert_true(measured: wr.Measurement) -> None:
    for channel, (low, high) in measured.bounds_j.items():
        true = true_j(FUNCTIONS[channel], measured.t_begin_ns, measured.t_end_ns)
        assert low <= true <= high
        assert low <= measured.energy_j[channel] <= high


def test_start_and_stop() -> None:
    session = wr.Session(sources="simulated")
    assert not session.running
    assert session.sources == ["simulated"]
    assert session.start() is session
    assert session.running
    t0 = wr.now_ns()
    time.sleep(0.01)
    t1 = wr.now_ns()
    session.stop()
    session.stop()
    assert not session.running
    assert_true(session.energy(t0, t1))
    with pytest.raises(wr.StateError, match="started before"):
        session.start()


def test_stop_without_start() -> None:
    session = wr.Session(sources="simulated")
    session.stop()
    assert len(session.samples("simulated")) == 0


def test_with_stops_also_after_an_exception() -> None:
    session = wr.Session(sources="simulated")
    with pytest.raises(KeyError), session as entered:
        assert entered is session
        raise KeyError
    assert not session.running


def test_the_first_moments_after_start_and_before_stop_are_covered() -> None:
    for _ in range(5):
        with wr.Session(sources="simulated") as session:
            t0 = wr.now_ns()
            time.sleep(0.003)
            t1 = wr.now_ns()
        measured = session.energy(t0, t1)
        assert_true(measured)
        low, high = measured.bounds_j["package-0"]
        assert high - low < 2


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
        with pytest.raises(wr.InvalidError, match="does not read 'rapl_msr' - it reads: simulated"):
            session.samples("rapl_msr")


def test_marks_outlive_the_ring() -> None:
    """A window longer than the ring: its begin is settled while it is there."""
    with wr.Session("100us", "simulated", rows=512) as session:
        begin = session.mark()
        wait_until(lambda: session.samples("simulated")["t_begin_ns"][0] > begin.t_ns, "overtaken")
        end = session.mark()
        with pytest.raises(wr.StateError, match=r"no sample is as old .* larger ring"):
            session.energy(begin.t_ns, end.t_ns)
        measured = session.between(begin, end)
    assert (measured.t_begin_ns, measured.t_end_ns) == (begin.t_ns, end.t_ns)
    assert_true(measured)
    with pytest.raises(wr.InvalidError, match="ends before it begins"):
        session.between(end, begin)


def test_marks_of_another_session_are_refused() -> None:
    with wr.Session(sources="simulated") as a, wr.Session(sources="simulated") as b:
        begin = b.mark()
        with pytest.raises(wr.InvalidError, match="another session"):
            a.between(begin, a.mark())


def test_marks_on_a_ring_that_is_full() -> None:
    """Once the ring is full its oldest row goes with every sample; times well inside it stay."""
    refused = []
    with wr.Session("20us", "simulated", rows=65_536) as session:
        wait_until(lambda: session.stats["simulated"]["samples"] > 66_000, "full")
        until_ns = wr.now_ns() + 700_000_000
        while wr.now_ns() < until_ns:
            try:
                session.mark(wr.now_ns() - 100_000_000)
            except wr.StateError as error:
                refused.append(str(error))
    assert refused == []


def test_windows_next_to_each_other_add_up() -> None:
    with wr.Session(sources="simulated") as session:
        marks = [session.mark()]
        for _ in range(5):
            time.sleep(0.005)
            marks.append(session.mark())
        parts = [session.between(a, b) for a, b in itertools.pairwise(marks)]
        whole = session.between(marks[0], marks[-1])
    assert sum(p.energy_j["package-0"] for p in parts) == pytest.approx(whole.energy_j["package-0"])


def test_two_sessions_at_once() -> None:
    with wr.Session(sources="simulated") as a, wr.Session("2ms", "simulated") as b:
        t0 = wr.now_ns()
        time.sleep(0.05)
        t1 = wr.now_ns()
        for session in (a, b):
            assert_true(session.energy(t0, t1))


def test_stats() -> None:
    with wr.Session(sources="simulated") as session:
        wait_rows(session, "simulated", 50)
        first = session.stats["simulated"]
        wait_rows(session, "simulated", 10)
        second = session.stats["simulated"]
    assert second["samples"] >= first["samples"] + 10
    assert first["running"]
    assert not session.stats["simulated"]["running"]
    for stats in (first, session.stats["simulated"]):
        assert (stats["retries"], stats["failed"], stats["last_errno"]) == (0, 0, 0)
        assert not stats["gone"]
        assert stats["cpu_s"] > 0
        for quantiles in (stats["lateness_ns"], stats["read_ns"]):
            assert 0 <= quantiles["p50"] <= quantiles["p99"]
            assert quantiles["p99"] <= 1.1 * quantiles["max"]
    assert len(session.samples("simulated")) == session.stats["simulated"]["samples"]


def test_the_period_is_kept_without_bursts() -> None:
    with wr.Session("2ms", "simulated") as session:
        wait_rows(session, "simulated", 5)
        t0 = wr.now_ns()
        wait_rows(session, "simulated", 100)
        t1 = wr.now_ns()
        rows = session.samples("simulated")
    inside = rows[(rows["t_begin_ns"] > t0) & (rows["t_end_ns"] < t1)]
    assert len(inside) <= (t1 - t0) / 2e6 + 1, "a missed deadline is never caught up"


def test_nothing_is_left_behind() -> None:
    with wr.Session(sources="simulated"):
        assert len(sampling_threads()) == 1
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        session = wr.Session(sources="simulated", rows=512).start()
        del session
        gc.collect()
    assert sampling_threads() == []
    assert len(os.listdir("/proc/self/fd")) == files


def test_signals_are_left_to_the_program() -> None:
    with wr.Session(sources="simulated"):
        (task,) = sampling_threads()
        status = Path(f"/proc/self/task/{task}/status").read_text()
        blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    for signal_number in (1, 2, 10, 14, 15, 17):
        assert blocked >> (signal_number - 1) & 1


def test_any_thread_may_measure() -> None:
    with wr.Session(sources="simulated") as session, ThreadPoolExecutor(8) as pool:

        def measure(_: int) -> wr.Measurement:
            t0 = wr.now_ns()
            time.sleep(0.005)
            assert len(session.samples("simulated")) > 0
            assert session.stats["simulated"]["samples"] > 0
            return session.energy(t0, wr.now_ns())

        measured = list(pool.map(measure, range(64)))
    for each in measured:
        assert_true(each)


def test_stop_while_others_measure() -> None:
    for _ in range(5):
        session = wr.Session(sources="simulated").start()
        done = threading.Event()

        def measure(session: wr.Session = session, done: threading.Event = done) -> None:
            while not done.is_set():
                now = wr.now_ns()
                session.energy(now, now)

        with ThreadPoolExecutor(4) as pool:
            measuring = [pool.submit(measure) for _ in range(3)]
            stopping = [pool.submit(session.stop) for _ in range(1)]
            stopping[0].result(timeout=30)
            done.set()
            for future in measuring:
                future.result(timeout=30)
        assert not session.running


def test_one_start_wins() -> None:
    session = wr.Session(sources="simulated")
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(session.start) for _ in range(8)]
        errors = [future.exception() for future in futures]
    session.stop()
    assert sum(error is None for error in errors) == 1
    assert all(isinstance(error, wr.StateError) for error in errors if error is not None)


def test_an_affinity_is_asked_for() -> None:
    cpu = max(os.sched_getaffinity(0))
    with wr.Session(sources="simulated", cpu=cpu) as session:
        (task,) = sampling_threads()
        assert os.sched_getaffinity(task) == {cpu}
        assert session.stats["simulated"]["refused"] == ""


def test_who_spins_is_awake_between_samples() -> None:
    with wr.Session("100ms", "simulated", spin="100ms") as session:
        until = time.monotonic() + 20
        # A sample that is slept for takes some ten microseconds.
        while session.stats["simulated"]["cpu_s"] < 0.05:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_spin_is_a_duration() -> None:
    with pytest.raises(wr.InvalidError, match="'long' is no duration"):
        wr.Session(sources="simulated", spin="long")


def test_a_refusal_is_told_and_not_fatal() -> None:
    session = wr.Session(sources="simulated", cpu=1000, priority=99)
    with as_nobody():
        session.start()
    wait_rows(session, "simulated", 3)
    session.stop()
    refused = session.stats["simulated"]["refused"]
    assert "cpu 1000: Invalid argument" in refused
    assert "real-time priority 99: Operation not permitted" in refused
    assert len(session.samples("simulated")) > 3


def test_unknown_sources(machine: FakeMachine) -> None:
    with pytest.raises(wr.InvalidError, match="no source is called 'rapl_prf' - choose from: auto"):
        wr.Session(sources="rapl_prf")
    with pytest.raises(wr.InvalidError, match="no source was asked for"):
        wr.Session(sources=[])
    with pytest.raises(wr.AbsentError):
        wr.Session(sources=["rapl_msr", "rapl_perf"], environment=machine.environment())


@pytest.mark.parametrize("rows", [0, -1, 2**28 + 1])
def test_impossible_rings(rows: int) -> None:
    with pytest.raises(wr.InvalidError, match=f"a ring of {rows} rows"):
        wr.Session(sources="simulated", rows=rows)


def test_what_nobody_can_run_at_is_refused_at_once() -> None:
    with pytest.raises(wr.InvalidError, match="no CPU -1"):
        wr.Session(sources="simulated", cpu=-1)
    with pytest.raises(wr.InvalidError, match="no priority -1"):
        wr.Session(sources="simulated", priority=-1)
    with pytest.raises(wr.InvalidError, match="no gauge of a GPU is called 'warmth'"):
        wr.Session(sources="simulated", gpu_gauges="warmth")


def test_what_two_sources_have_is_taken_from_the_first(machine: FakeMachine) -> None:
    names = ["rapl_powercap", "rapl_msr"]
    session = wr.Session(sources=names, environment=machine.environment())
    assert session.sources == ["rapl_powercap"]
    assert [(s.source, s.code) for s in session.skipped] == [("rapl_msr", "redundant")]


def test_a_simulated_channel_never_replaces_a_real_one(machine: FakeMachine) -> None:
    names = ["rapl_msr", "simulated"]
    with wr.Session(sources=names, environment=machine.environment()) as session:
        now = wr.now_ns()
        assert session.energy(now, now).source["package-0"] == "rapl_msr"
