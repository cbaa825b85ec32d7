"""Forks and exits: the child never touches its parent's samplers, and nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import pytest

import wattring as wr


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore:This process", "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_forked_child_is_told_and_the_parent_goes_on() -> None:
    """PITFALLS 15: a session of the parent's says so in the child; a new one works there."""
    done = run(
        """
        import os, time, wattring as wr
        s = wr.Session(sources="simulated").start()
        t0 = wr.now_ns()
        child = os.fork()
        if child == 0:
            assert not s.running
            for use in (lambda: s.samples("simulated"), lambda: s.energy(t0, t0),
                        lambda: s.stats, lambda: s.ring_view("simulated")):
                try:
                    use()
                    os._exit(1)
                except wr.StateError as error:
                    assert "belongs to process" in str(error), error
            s.stop()
            with wr.Session(sources="simulated") as own:
                time.sleep(0.02)
                assert len(own.samples("simulated")) > 3
            del s
            raise SystemExit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        before = s.stats["simulated"]["samples"]
        time.sleep(0.05)
        assert s.stats["simulated"]["samples"] > before
        print(s.energy(t0, wr.now_ns()).energy_j["dram-0"] > 0)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str) -> None:
    done = run(
        f"""
        import multiprocessing, wattring as wr
        if __name__ == "__main__":
            with wr.Session(sources="simulated") as s:
                t0 = wr.now_ns()
                with multiprocessing.get_context({method!r}).Pool(2) as pool:
                    assert pool.map(abs, [-1, -2]) == [1, 2]
                print(s.energy(t0, wr.now_ns()).energy_j["dram-0"] > 0)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"


@pytest.mark.parametrize(
    "ending", ["pass", "raise SystemExit(0)", "s.window = s", "import os; os.system('true')"]
)
def test_exit_with_a_running_session(ending: str) -> None:
    done = run(f"import wattring as wr\ns = wr.Session(sources='simulated').start()\n{ending}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_subprocesses_while_a_session_runs() -> None:
    with wr.Session(sources="simulated") as session:
        t0 = wr.now_ns()
        starts: list[dict[str, Any]] = [{}, {"close_fds": False}, {"start_new_session": True}]
        for start in starts:
            done = subprocess.run(["true"], check=False, timeout=60, **start)
            assert done.returncode == 0
        measured = session.energy(t0, wr.now_ns())
    assert measured.energy_j["dram-0"] > 0


def test_forks_while_other_threads_measure() -> None:
    """Whatever lock those threads hold at the fork, the child neither needs nor waits for it."""
    done = run(
        """
        import os, threading, time, wattring as wr
        with wr.Session("100us", "simulated") as s:
            begin, reader, stop = s.mark(), s.reader("simulated"), threading.Event()
            reader.read()  # imports numpy now: no child gets over a fork in the middle of that
            def measure():
                while not stop.is_set():
                    s.energy(wr.now_ns(), wr.now_ns())
                    s.samples("simulated")
                    s.stats
            threads = [threading.Thread(target=measure) for _ in range(2)]
            for t in threads:
                t.start()
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    for use in (s.mark, reader.read, s.start, lambda: s.between(begin, begin)):
                        try:
                            use()
                            os._exit(1)
                        except wr.StateError as error:
                            assert "open a new session" in error.remedy
                    s.stop()
                    with wr.Session(sources="simulated") as own:
                        now = wr.now_ns()
                        own.energy(now, now)
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
                time.sleep(0.002)
            stop.set()
            for t in threads:
                t.join()
            print(s.running)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"


def test_a_child_that_leaves_the_with_block_ends_well() -> None:
    """And a grandchild, and the parent's samples are untouched by either."""
    done = run(
        """
        import os, sys, wattring as wr
        with wr.Session(sources="simulated") as s:
            first = s.samples("simulated")[0].copy()
            me = os.getpid()
            child = os.fork()
            if child == 0:
                grandchild = os.fork()
                if grandchild != 0:
                    sys.exit(os.waitpid(grandchild, 0)[1])
        if os.getpid() == me:
            print(os.waitpid(child, 0)[1], s.samples("simulated")[0] == first)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0 True\n"


def test_exit_while_daemon_threads_wait_for_energy() -> None:
    done = run(
        """
        import threading, time, wattring as wr
        s = wr.Session(sources="simulated").start()
        def measure():
            while True:
                now = wr.now_ns()
                s.energy(now, now)
        for _ in range(4):
            threading.Thread(target=measure, daemon=True).start()
        time.sleep(0.1)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_an_exception_through_a_session_stops_it() -> None:
    done = run(
        """
        import wattring as wr
        try:
            with wr.Session(sources="simulated") as s:
                raise KeyError("x")
        except KeyError:
            print(s.running)
        """
    )
    assert done.stdout == "False\n", done.stderr


def test_windows_in_a_forked_child() -> None:
    """The child is told; nothing of it reaches the parent, whose open windows go on."""
    done = run(
        """
        import os, time, wattring as wr
        s = wr.Session(sources="simulated").start()
        w = s.window("w")
        w.__enter__()
        child = os.fork()
        if child == 0:
            for use in (lambda: s.window("x"), lambda: w.__enter__(), lambda: s.begin("x"),
                        lambda: s.report(), lambda: w.measurement):
                try:
                    use()
                    os._exit(1)
                except wr.StateError as error:
                    assert "belongs to process" in str(error), error
            w.__exit__(None, None, None)  # begun before the fork: ends without a word
            del w
            with wr.Session(sources="simulated") as own, own.window("own") as mine:
                time.sleep(0.01)
            assert mine.measurement.energy_j["dram-0"] > 0
            raise SystemExit(0)
        assert os.waitpid(child, 0)[1] == 0
        w.__exit__(None, None, None)
        report = s.report()
        print(report.windows["w"].count, list(report.windows), report.open, report.dropped)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 ['w'] 0 0\n"


def test_forks_while_other_threads_open_windows() -> None:
    done = run(
        """
        import os, threading, wattring as wr
        with wr.Session("100us", "simulated") as s:
            stop = threading.Event()
            counts = [0, 0]
            def work(i):
                while not stop.is_set():
                    with s.window("x"):
                        counts[i] += 1
            threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
            for t in threads:
                t.start()
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    try:
                        s.window("x")
                    except wr.StateError:
                        with wr.Session(sources="simulated") as own, own.window("y"):
                            pass
                        os._exit(0 if own.report().windows["y"].count == 1 else 1)
                    os._exit(2)
                assert os.waitpid(child, 0)[1] == 0
            stop.set()
            for t in threads:
                t.join()
            report = s.report()
            print(report.windows["x"].count + report.dropped == sum(counts), report.open)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True 0\n"


@pytest.mark.parametrize(
    "ending", ["pass", "raise SystemExit(0)", "s.stop()", "del s, w", "w.me = (s, w)"]
)
def test_exit_with_open_windows(ending: str) -> None:
    done = run(
        f"""
        import threading, wattring as wr
        s = wr.Session(sources="simulated").start()
        class W: pass
        w, v = W(), s.begin("x")
        def work():
            while True:
                with s.window("y") as y:
                    pass
                try:
                    y.measurement
                except wr.StateError:
                    pass  # stopped
        for _ in range(2):
            threading.Thread(target=work, daemon=True).start()
        with v:
            pass
        {ending}
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("state", ["", "s.start()", "s.start(); s.stop()"])
def test_windows_in_what_is_thrown_away_at_the_exit(state: str) -> None:
    """So late that not even the error that it would be can be made."""
    done = run(
        f"""
        import sys, wattring as wr
        s = wr.Session(sources="simulated")
        {state}
        class Late:
            def __init__(self):
                self.w = s.window("late")
            def __del__(self):
                try:
                    with self.w, self.w:
                        pass
                except BaseException:
                    pass
        sys.late = Late()
        del s
        """
    )
    assert done.returncode == 0, done.stderr
