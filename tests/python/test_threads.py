"""Threads, with a GIL and without: what they share adds up exactly. And other interpreters."""

from __future__ import annotations

import collections
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.power import SIMULATED, functions_of, true_j

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS = functions_of(SIMULATED)
THREADS = 6


def together(work: Callable[[int], None]) -> None:
    """Run it in threads that begin at once; what one of them raises is raised here."""
    barrier = threading.Barrier(THREADS)
    errors: collections.deque[BaseException] = collections.deque()

    def run(number: int) -> None:
        barrier.wait(60)
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


def program(text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(text)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def assert_true(measured: wr.Measurement) -> None:
    for channel, (low, high) in measured.bounds_j.items():
        assert low <= true_j(FUNCTIONS[channel], measured.t_begin_ns, measured.t_end_ns) <= high


def test_threads_share_everything_at_once() -> None:
    """One window, recursive beyond its own room, and all that may be asked meanwhile."""
    rounds, levels = 300, 9
    with wr.Session(sources="simulated") as session:
        shared = session.window("shared")
        rows: set[tuple[int, ...]] = set()

        def descend(level: int) -> None:
            with shared:
                if level > 1:
                    descend(level - 1)

        def work(number: int) -> None:
            for i in range(rounds):
                descend(1 + (number + i) % levels)
                with session.window("named") as named:
                    pass
                if i % 30 == number:
                    assert_true(named.measurement)
                    assert_true(shared.measurement)
                    assert session.report().windows["named"].count > i
                    assert len(session.samples("simulated")) > 0
                    assert session.stats["simulated"]["dropped"] == 0
                    rows.add(tuple(session.samples("simulated")[0].item()))
                    begin = session.mark()
                    assert_true(session.between(begin, session.mark()))

        together(work)
    report = session.report()
    entered = sum(1 + (number + i) % levels for number in range(THREADS) for i in range(rounds))
    assert report.windows["shared"].count == entered
    assert report.windows["named"].count == THREADS * rounds
    assert (report.open, report.pending, report.dropped, report.late) == (0, 0, 0, 0)
    assert len(rows) == 1, "the oldest row is the same for all"
    with pytest.raises(wr.StateError, match="not open"):
        session.end(shared)


def test_threads_end_what_others_began() -> None:
    """Begun and ended in step: no thread gets an end that is not there."""
    rounds = 500
    with wr.Session(sources="simulated") as session:
        shared = session.window("shared")
        begun = threading.Semaphore(0)

        def work(number: int) -> None:
            for _ in range(rounds):
                if number % 2:
                    assert begun.acquire(timeout=60)
                    session.end(shared)
                else:
                    shared.__enter__()
                    begun.release()

        together(work)
        report = session.report()
    assert report.windows["shared"].count == THREADS // 2 * rounds
    assert (report.open, report.dropped) == (0, 0)


def test_threads_are_refused_before_the_start_and_uncounted_after_the_stop() -> None:
    session = wr.Session(sources="simulated")
    w = session.window("w")
    refused: collections.deque[str] = collections.deque()
    rounds = 500

    def too_early(_: int) -> None:
        for _ in range(rounds):
            try:
                w.__enter__()
            except wr.StateError as error:
                refused.append(error.reason)

    together(too_early)
    assert refused == collections.deque(["this session was not started"] * THREADS * rounds)
    with pytest.raises(wr.StateError, match="not open"):
        session.end(w)
    with session, w:
        pass

    def too_late(_: int) -> None:
        for _ in range(rounds):
            with w, w:
                pass

    together(too_late)
    report = session.report()
    assert report.late == 2 * THREADS * rounds
    assert (report.windows["w"].count, report.open, report.dropped) == (1, 0, 0)
    with pytest.raises(wr.StateError, match="not open"):
        session.end(w)


def test_a_session_is_stopped_while_threads_have_windows_open() -> None:
    """Each window is counted once: measured, cut off or late; an end after the stop is fine."""
    session = wr.Session(sources="simulated").start()
    shared = session.window("shared")
    entered = [0] * THREADS
    seen_running = threading.Semaphore(0)

    def work(number: int) -> None:
        if number == 0:
            for _ in range(THREADS - 1):
                assert seen_running.acquire(timeout=60)
            session.stop()
            return
        with shared:
            entered[number] += 1
            seen_running.release()
            while session.running:
                with shared, session.window("shared"):
                    entered[number] += 2
                time.sleep(0.0001)  # the queue must not fill up
        with shared:
            entered[number] += 1

    together(work)
    report = session.report()
    totals = report.windows["shared"]
    assert totals.count + totals.cut_off + report.late == sum(entered)
    assert totals.cut_off >= THREADS - 1, "the outer ones at least"
    assert report.late >= THREADS - 1, "the last ones at least"
    assert (report.open, report.pending, report.dropped, totals.lost) == (0, 0, 0, 0)


def test_several_sessions_at_once() -> None:
    """The same names and threads, other periods: each keeps its own books."""
    periods = ("200us", "1ms", "7ms")
    sessions = [wr.Session(period, "simulated").start() for period in periods]
    rounds = 20

    def work(number: int) -> None:
        for i in range(rounds):
            outer, inner = sessions[number % 3], sessions[(number + i) % 3]
            with outer.window("outer"), inner.window("inner"), sessions[i % 3].window("x") as x:
                time.sleep(0.001)
            if i % 5 == 0:
                assert_true(x.measurement)

    together(work)
    reports = [session.report() for session in sessions]
    sessions[0].stop()
    with sessions[1].window("x") as w:
        pass
    assert_true(w.measurement)  # what the others do is none of its business
    for session in sessions[1:]:
        session.stop()
    for k, report in enumerate(reports):
        counts = {name: totals.count for name, totals in report.windows.items()}
        inner = sum((n + i) % 3 == k for n in range(THREADS) for i in range(rounds))
        x = sum(i % 3 == k for i in range(rounds)) * THREADS
        assert counts == {"x": x, "inner": inner, "outer": THREADS // 3 * rounds}
        assert (report.open, report.dropped, report.late) == (0, 0, 0)


def test_sessions_of_threads_start_and_stop_at_once() -> None:
    def work(number: int) -> None:
        for _ in range(5):
            with wr.Session("500us", "simulated", rows=512) as own, own.window("w") as w:
                pass
            assert own.report().windows["w"].count == 1
            assert_true(w.measurement)

    together(work)


def test_the_gil_stays_as_it_is() -> None:
    """Off in a free-threaded build: no warning says that the extension switched it on again."""
    done = program(
        "import sys, wattring as wr; wr.Session\n"
        "print(getattr(sys, '_is_gil_enabled', lambda: True)())"
    )
    is_on = not sysconfig.get_config_var("Py_GIL_DISABLED")
    assert (done.stdout, done.stderr) == (f"{is_on}\n", "")


def test_a_sub_interpreter_is_told() -> None:
    """Also where the main one has it loaded already; and that one goes on."""
    done = program(
        """
        import sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        is_new = sys.version_info >= (3, 13)
        def both():
            for isolated in (True, False):
                if is_new:
                    other = interpreters.create("isolated" if isolated else "legacy")
                else:
                    other = interpreters.create(isolated=isolated)
                text = f"import sys; sys.path[:] = {sys.path}; import wattring"
                try:
                    failed = interpreters.run_string(other, text)
                    told = failed.formatted if failed else "nothing"
                except interpreters.RunFailedError as error:
                    told = str(error)
                assert "ImportError" in told and "interpreter" in told, told
                interpreters.destroy(other)
        both()
        import wattring as wr
        with wr.Session(sources="simulated") as s, s.window("x") as w:
            both()
        print(w.measurement.seconds > 0)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"
