"""`@measured`: functions of every kind stay what they are, and each call is measured."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.measurements import assert_true

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@pytest.fixture
def session() -> Iterator[wr.Session]:
    with wr.Session(sources="simulated") as running:
        yield running


def test_measured_keeps_the_last(session: wr.Session) -> None:
    @wr.measured(session=session, keep=3)
    def double(x: int) -> int:
        """Twice as much."""
        return 2 * x

    assert [double(i) for i in range(5)] == [0, 2, 4, 6, 8]
    assert (double.__name__, double.__doc__) == ("double", "Twice as much.")  # type: ignore[attr-defined]
    kept = list(double.measurements)
    assert len(kept) == 3
    assert kept[0].t_end_ns <= kept[1].t_begin_ns
    assert sum(kept[1:], kept[0]).seconds == pytest.approx(sum(m.seconds for m in kept))
    with pytest.raises(wr.InvalidError, match="cannot keep 0"):
        wr.measured(keep=0)


def test_measured_without_settings_reads_real_sources() -> None:
    """Bare `@measured` means every real source: where there is none it says so."""

    @wr.measured
    def one() -> int:
        return 1

    try:
        assert one() == 1
    except wr.WattringError as error:
        assert error.code in ("absent", "denied", "unsupported")
        assert len(one.measurements) == 0
    else:
        assert "simulated" not in one.measurements[-1].source.values()


def test_measured_methods(session: wr.Session) -> None:
    class Model:
        def __init__(self, x: int) -> None:
            self.x = x

        @wr.measured(session=session)
        def step(self, y: int) -> int:
            return self.x + y

        @staticmethod
        @wr.measured(session=session)
        def alone() -> int:
            return 7

    assert Model(1).step(2) == 3
    assert Model(5).step(y=2) == 7
    assert len(Model.step.measurements) == 2
    assert Model.alone() == 7


def test_measured_coroutines(session: wr.Session) -> None:
    seen = []

    @wr.measured(session=session)
    async def step(x: int) -> int:
        seen.append(wr.now_ns())
        await asyncio.sleep(0.005)
        seen.append(wr.now_ns())
        if x < 0:
            raise KeyError(x)
        return x + 1

    assert inspect.iscoroutinefunction(step)
    assert asyncio.run(step(1)) == 2
    with pytest.raises(KeyError):
        asyncio.run(step(-1))
    assert len(step.measurements) == 2
    for m, begin, end in zip(step.measurements, seen[::2], seen[1::2], strict=True):
        assert m.t_begin_ns <= begin < end <= m.t_end_ns
        assert_true(m)


def test_a_cancelled_coroutine_is_measured(session: wr.Session) -> None:
    @wr.measured(session=session)
    async def forever() -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert len(forever.measurements) == 1


def test_measured_generators(session: wr.Session) -> None:
    seen = []

    @wr.measured(session=session)
    def echo(first: int) -> Generator[int, int, str]:
        seen.append(wr.now_ns())
        received = yield first
        try:
            received = yield received
        except KeyError:
            received = yield -1
        seen.append(wr.now_ns())
        return "end"

    assert inspect.isgeneratorfunction(echo)
    steps = echo(1)
    assert len(echo.measurements) == 0
    time.sleep(0.002)
    assert seen == []
    assert next(steps) == 1
    assert steps.send(2) == 2
    assert steps.throw(KeyError()) == -1
    assert len(echo.measurements) == 0
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "end"
    (m,) = echo.measurements
    assert m.t_begin_ns <= seen[0] < seen[1] <= m.t_end_ns
    assert_true(m)
    abandoned = echo(1)
    next(abandoned)
    abandoned.close()
    assert len(echo.measurements) == 2


def test_measured_asynchronous_generators(session: wr.Session) -> None:
    closed = []

    @wr.measured(session=session)
    async def echo(first: int) -> Any:
        try:
            received = yield first
            try:
                received = yield received
            except KeyError:
                received = yield -1
        finally:
            closed.append(wr.now_ns())

    async def main() -> None:
        steps = echo(1)
        assert await anext(steps) == 1
        assert await steps.asend(2) == 2
        assert await steps.athrow(KeyError()) == -1
        assert len(echo.measurements) == 0
        with pytest.raises(StopAsyncIteration):
            await anext(steps)
        assert len(echo.measurements) == 1
        abandoned = echo(1)
        await anext(abandoned)
        await abandoned.aclose()
        failing = echo(1)
        await anext(failing)
        with pytest.raises(ValueError, match="mine"):
            await failing.athrow(ValueError("mine"))

    assert inspect.isasyncgenfunction(echo)
    asyncio.run(main())
    assert len(echo.measurements) == len(closed) == 3
    for m, end in zip(echo.measurements, closed, strict=True):
        assert end <= m.t_end_ns
        assert_true(m)


def test_measured_from_many_threads(session: wr.Session) -> None:
    meeting = threading.Barrier(8)
    calls = wr.measured(session=session)(meeting.wait)
    threads = [threading.Thread(target=calls) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    windows = calls.measurements
    assert len({m.t_begin_ns for m in windows}) == len({m.t_end_ns for m in windows}) == 8
    assert max(m.t_begin_ns for m in windows) < min(m.t_end_ns for m in windows)
    for m in windows:
        assert_true(m)
