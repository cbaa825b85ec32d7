"""Windows: with, decorators, begin and end; what they report; threads and tasks."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.driving import wait_until
from fakes.power import SIMULATED, functions_of, true_j

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

FUNCTIONS = functions_of(SIMULATED)


@pytest.fixture
def session() -> Iterator[wr.Session]:
    with wr.Session(sources="simulated") as running:
        yield running


def assert_true(measured: wr.Measurement) -> None:
    for channel, (low, high) in measured.bounds_j.items():
        true = true_j(FUNCTIONS[channel], measured.t_begin_ns, measured.t_end_ns)
        assert low <= true <= high
        assert low <= measured.energy_j[channel] <= high
        assert math.isfinite(high)


def test_a_window_is_measured(session: wr.Session) -> None:
    before = wr.now_ns()
    with session.window("sleep") as w:
        time.sleep(0.02)
    after = wr.now_ns()
    measured = w.measurement
    assert_true(measured)
    assert before <= measured.t_begin_ns < measured.t_end_ns <= after
    assert measured.seconds >= 0.02
    assert (w.name, repr(w)) == ("sleep", "<Window 'sleep'>")
    assert measured == w.measurement
    totals = session.report().windows["sleep"]
    assert totals.count == 1
    assert totals.seconds == pytest.approx(measured.seconds)
    assert totals.energy_j == pytest.approx(measured.energy_j)
    assert totals.exclusive_j == pytest.approx(measured.energy_j)
    assert totals.total_j == pytest.approx(measured.total_j)
    assert totals.power_w == pytest.approx(measured.power_w)


def test_a_window_that_is_used_again_gives_its_last_measurement(session: wr.Session) -> None:
    w = session.window("again")
    ends = []
    for _ in range(3):
        with w:
            time.sleep(0.001)
        ends.append(w.measurement.t_end_ns)
    assert ends == sorted(set(ends))
    assert session.report().windows["again"].count == 3


def test_asking_too_early_says_so(session: wr.Session) -> None:
    w = session.window("x")
    with pytest.raises(wr.StateError, match="has not ended yet"):
        _ = w.measurement
    with w, pytest.raises(wr.StateError, match="has not ended yet"):
        _ = w.measurement
    assert w.measurement.seconds > 0
    with pytest.raises(wr.StateError, match="not open"):
        session.end(w)


def test_a_window_longer_than_the_ring_and_read_long_after() -> None:
    with wr.Session("100us", "simulated", rows=512) as session:

        def overtaken(t_ns: int) -> bool:
            return bool(session.samples("simulated")["t_begin_ns"][0] > t_ns)

        with session.window("long") as w:
            begun = wr.now_ns()
            wait_until(lambda: overtaken(begun), "overtaken")
        ended = wr.now_ns()
        wait_until(lambda: overtaken(ended), "overtaken")
        assert_true(w.measurement)


def test_begin_and_end_may_overlap_and_change_threads(session: wr.Session) -> None:
    a = session.begin("a")
    b = session.begin("b")
    time.sleep(0.005)
    session.end(a)
    threading.Thread(target=session.end, args=(b,)).start()
    wait_until(lambda: session.report().open == 0, "ended")
    assert a.measurement.t_begin_ns < b.measurement.t_begin_ns
    assert a.measurement.t_end_ns < b.measurement.t_end_ns
    for w in (a, b):
        assert_true(w.measurement)


def test_recursion_through_one_object(session: wr.Session) -> None:
    w = session.window("deep")

    def descend(levels: int) -> None:
        with w:
            if levels > 1:
                descend(levels - 1)

    descend(50)
    totals = session.report().windows["deep"]
    assert totals.count == 50
    assert totals.exclusive_seconds == pytest.approx(totals.max_seconds, abs=1e-9)
    assert w.measurement.seconds == pytest.approx(totals.max_seconds)


@pytest.mark.parametrize(
    "kind", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
)
def test_an_exception_ends_the_window_and_goes_on(
    session: wr.Session, kind: type[BaseException]
) -> None:
    error = kind("mine")

    @session.window("f")
    def f() -> None:
        raise error

    with pytest.raises(kind) as caught, session.window("outer"), session.window("x") as w:
        f()
    assert caught.value is error
    assert_true(w.measurement)
    report = session.report()
    assert {name: totals.count for name, totals in report.windows.items()} == {
        "f": 1,
        "x": 1,
        "outer": 1,
    }
    assert report.open == 0


def test_an_interrupt_ends_the_windows_that_it_falls_into(session: wr.Session) -> None:
    again, rounds = session.window("again"), 0
    with pytest.raises(KeyboardInterrupt), session.window("outer"):
        threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,)).start()
        while True:
            with again:
                rounds += 1
    report = session.report()
    # It may fall between a window's begin and its first line, or between its last line and its end.
    assert report.windows["again"].count + report.open - rounds in (0, 1)
    assert report.open <= 1
    assert report.windows["outer"].count == 1


def test_a_cancelled_task_ends_its_windows(session: wr.Session) -> None:
    @session.window("task")
    async def task(begun: asyncio.Event) -> None:
        with session.window("inner"):
            begun.set()
            await asyncio.sleep(60)

    async def cancel() -> None:
        begun = asyncio.Event()
        running = asyncio.create_task(task(begun))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    report = session.report()
    counts = {name: totals.count for name, totals in report.windows.items()}
    assert (report.open, counts) == (0, {"task": 1, "inner": 1})


def test_threads_share_a_name_and_an_object(session: wr.Session) -> None:
    shared = session.window("shared")

    def work(_: int) -> None:
        for _ in range(200):
            with shared, session.window("own") as own:
                pass
        assert own.measurement.seconds > 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    report = session.report()
    assert report.dropped == report.open == 0
    assert report.windows["shared"].count == report.windows["own"].count == 3200
    assert report.windows["own"].seconds <= report.windows["shared"].seconds
    shared_totals = report.windows["shared"]
    own_s = shared_totals.summed_seconds - report.windows["own"].summed_seconds
    assert shared_totals.seconds <= shared_totals.summed_seconds
    assert shared_totals.exclusive_seconds == pytest.approx(min(own_s, shared_totals.seconds))


def test_decorated_functions(session: wr.Session) -> None:
    @session.window("f")
    def f(x: int, *, y: int = 1) -> int:
        "The text."
        return f(x - 1, y=y) + y if x > 0 else 0

    assert f(3, y=2) == 6
    assert (f.__name__, f.__doc__) == ("f", "The text.")
    assert session.report().windows["f"].count == 4


def test_decorated_generators(session: wr.Session) -> None:
    @session.window("g")
    def g() -> Iterator[Any]:
        received = yield 1
        yield received

    running = g()
    assert session.report().open == 0, "it begins at the first step"
    assert next(running) == 1
    assert session.report().open == 1
    assert running.send(5) == 5  # type: ignore[attr-defined]
    time.sleep(0.002)
    assert list(running) == []
    abandoned = g()
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]
    report = session.report()
    assert (report.open, report.windows["g"].count) == (0, 2)
    assert report.windows["g"].max_seconds >= 0.002


def test_decorated_coroutines_that_take_turns(session: wr.Session) -> None:
    @session.window("c")
    async def c(begun: asyncio.Event, may_end: asyncio.Event) -> int:
        begun.set()
        await may_end.wait()
        return 5

    async def both() -> None:
        events = [asyncio.Event() for _ in range(4)]
        first = asyncio.create_task(c(events[0], events[1]))
        await events[0].wait()
        second = asyncio.create_task(c(events[2], events[3]))
        await events[2].wait()
        events[1].set()
        assert await first == 5
        events[3].set()
        assert await second == 5

    asyncio.run(both())
    totals = session.report().windows["c"]
    assert totals.count == 2
    # The first began first and ended first: neither lies inside the other.
    assert totals.exclusive_seconds == totals.seconds


def test_decorated_async_generators(session: wr.Session) -> None:
    seen: list[Any] = []

    @session.window("a")
    async def a() -> AsyncIterator[int]:
        try:
            seen.append((yield 1))
            yield 2
        except ValueError as error:
            seen.append(str(error))
            yield 3
        finally:
            seen.append("closed")

    async def drive() -> None:
        assert [value async for value in a()] == [1, 2]
        steps: Any = a()
        assert await steps.asend(None) == 1
        assert await steps.asend("sent") == 2
        assert await steps.athrow(ValueError("thrown")) == 3
        await steps.aclose()
        seen.append("after")

    asyncio.run(drive())
    assert seen == [None, "closed", "sent", "thrown", "closed", "after"]
    report = session.report()
    assert (report.open, report.windows["a"].count) == (0, 2)


def test_a_window_keeps_its_session_alive() -> None:
    w = wr.Session(sources="simulated").start().window("x")
    with w:
        pass
    assert w.measurement.seconds > 0


def test_wrong_arguments_are_type_errors() -> None:
    from wattring import _core

    session = wr.Session(sources="simulated")
    with pytest.raises(TypeError):
        session.window(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _core.Window(3, "x")  # type: ignore[arg-type]
