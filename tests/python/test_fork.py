"""Forks and exits: the child never touches its parent's samplers, and nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program)]
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
