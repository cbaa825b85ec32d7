"""`measure()`, and what `@measured` shares with it: the window, sessions, exceptions."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.driving import wait_rows, wait_until
from fakes.measurements import assert_true

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def session() -> Iterator[wr.Session]:
    with wr.Session(sources="simulated") as running:
        yield running


def work(a: int, b: int = 0, **more: int) -> tuple[int, int, int, dict[str, int], int]:
    begin = wr.now_ns()
    time.sleep(0.003)
    return begin, a, b, more, wr.now_ns()


def test_measure_gives_value_and_measurement() -> None:
    threads = threading.active_count()
    result = wr.measure(work, 1, b=2, c=3, sources="simulated")
    begin, a, b, more, end = result.value
    assert (a, b, more) == (1, 2, {"c": 3})
    m = result.measurement
    assert m.t_begin_ns <= begin < end <= m.t_end_ns
    assert set(m.source.values()) == {"simulated"}
    assert_true(m)
    assert threading.active_count() == threads


def test_the_window_is_the_call_alone(session: wr.Session) -> None:
    """Settling the ends takes a refresh each, which is no part of the window."""
    outside = []
    for _ in range(20):
        before = wr.now_ns()
        m = wr.measure(lambda: None, session=session).measurement
        outside.append((wr.now_ns() - before) * 1e-9 - m.seconds)
        assert before < m.t_begin_ns
    assert sorted(outside)[10] > 0.0005
    assert min(wr.measure(int, session=session).measurement.seconds for _ in range(20)) < 0.0005


def test_measure_uses_a_running_session(session: wr.Session) -> None:
    m = wr.measure(work, 1, session=session).measurement
    assert session.running
    again = session.energy(m.t_begin_ns, m.t_end_ns)
    assert m.bounds_j == again.bounds_j


def test_a_period_is_passed_on() -> None:
    with pytest.raises(wr.InvalidError, match="too long"):
        wr.measure(work, 1, period="200s", sources="simulated")


def test_exceptions_come_through_unchanged(session: wr.Session) -> None:
    error = KeyError("mine")

    def fail() -> None:
        raise error

    either: tuple[dict[str, Any], ...] = ({"session": session}, {"sources": "simulated"})
    for settings in either:
        with pytest.raises(KeyError) as caught:
            wr.measure(fail, **settings)
        assert caught.value is error
        assert error.__cause__ is None
        assert error.__context__ is None
        assert traceback.extract_tb(caught.tb)[-1].name == "fail"
    assert session.running


@pytest.mark.parametrize("error", [StopIteration("x"), KeyboardInterrupt(), SystemExit(3)])
def test_exceptions_of_all_kinds(error: BaseException, session: wr.Session) -> None:
    @wr.measured(session=session)
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    assert len(fail.measurements) == 1


def test_a_failure_to_measure_does_not_hide_the_exception() -> None:
    """In a forked child the session is the parent's; the function's own error is what counts."""
    program = """
import os, sys
import wattring as wr

def work(fail):
    if os.fork() == 0:
        if fail:
            raise KeyError("mine")
    else:
        os.wait()

for fail, expected in ((True, KeyError), (False, wr.StateError)):
    with wr.Session(sources="simulated") as session:
        parent = os.getpid()
        try:
            wr.measure(work, fail, session=session)
        except expected:
            assert os.getpid() != parent
            os._exit(0)
        except BaseException as error:
            print("wrong:", repr(error), flush=True)
            os._exit(1)
        if os.getpid() != parent:
            print("child came through", fail, flush=True)
            os._exit(1)
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_a_window_longer_than_the_ring_begins_a_moment_earlier() -> None:
    with wr.Session("100us", "simulated", rows=512) as session:
        seen = []

        def work() -> None:
            seen.append(wr.now_ns())
            wait_until(lambda: session.samples("simulated")["t_begin_ns"][0] > seen[0], "overtaken")

        m = wr.measure(work, session=session).measurement
    assert m.t_begin_ns < seen[0]
    assert m.lost["simulated"] > 0
    assert_true(m)


def test_sessions_that_do_not_run_are_refused() -> None:
    session = wr.Session(sources="simulated")
    with pytest.raises(wr.StateError, match="was not started"):
        wr.measure(work, 1, session=session)
    with session:
        pass
    with pytest.raises(wr.StateError, match="does not run any more"):
        wr.measure(work, 1, session=session)


@pytest.mark.parametrize("settings", [{"period": "1ms"}, {"sources": "simulated"}])
def test_a_session_has_its_settings(settings: dict[str, Any], session: wr.Session) -> None:
    with pytest.raises(wr.InvalidError, match="a session has its period and sources already"):
        wr.measure(work, 1, session=session, **settings)
    with pytest.raises(wr.InvalidError, match="a session has its period and sources already"):
        wr.measured(session=session, **settings)


class Async:
    async def __call__(self) -> None:
        """Do nothing."""

    @staticmethod
    async def static() -> None:
        """Do nothing."""


async def coroutine() -> None:
    """Do nothing."""


def generator() -> Iterator[int]:
    yield 1


async def asynchronous() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("fn", "kind"),
    [
        (coroutine, "coroutine"),
        (functools.partial(coroutine), "coroutine"),
        (Async(), "coroutine"),
        (Async.static, "coroutine"),
        (generator, "generator"),
        (asynchronous, "asynchronous generator"),
    ],
)
def test_measure_refuses_what_a_call_does_not_run(fn: Any, kind: str) -> None:
    with pytest.raises(wr.InvalidError, match=f"it is a {kind} function - put @measured on"):
        wr.measure(fn, sources="simulated")


def test_a_hidden_coroutine_is_refused(session: wr.Session) -> None:
    with pytest.raises(wr.InvalidError, match="<lambda> returned a coroutine, which has not run"):
        wr.measure(lambda: coroutine(), session=session)
    gc.collect()  # it was closed: no warning that it was never awaited


def test_what_cannot_be_called_is_refused() -> None:
    wrong: Any = "1ms"
    with pytest.raises(wr.InvalidError, match="'1ms' cannot be called"):
        wr.measured(wrong)
    with pytest.raises(wr.InvalidError, match="'1ms' cannot be called"):
        wr.measure(wrong)


def samplers() -> int:
    """How many threads of this process sample."""
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    return sum(name.startswith("wr-") for name in names)


def test_each_call_opens_and_closes_its_own_session() -> None:
    count = wr.measured(sources="simulated")(samplers)
    assert count() == 1
    assert samplers() == 0


def test_an_exception_that_is_kept_keeps_no_sampler() -> None:
    """Its traceback holds the call, and the session that was opened for it."""

    def fail() -> int:
        raise KeyError(samplers())

    with pytest.raises(KeyError) as caught:
        wr.measure(fail, sources="simulated")
    assert caught.value.args == (1,)
    assert samplers() == 0


def test_names_do_not_depend_on_what_was_imported_first() -> None:
    """`wattring.measure` is the function, also after `measured` was used."""
    program = "import wattring as w; w.measured; w.Measured; assert w.measure.__name__ == 'measure'"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_session_that_ends_meanwhile(session: wr.Session) -> None:
    """The rows stay, and what nothing proves any more says so."""

    def stop() -> None:
        wait_rows(session, "simulated", 5)
        session.stop()
        time.sleep(0.01)

    m = wr.measure(stop, session=session).measurement
    assert m.bounds_j["package-0"][1] == float("inf")
    assert "no later sample proves an upper bound" in m.notes["package-0"]
