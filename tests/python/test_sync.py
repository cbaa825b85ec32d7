"""Windows around asynchronous work: their ends wait for what was queued, whatever happens."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.device import SOURCE, Device, Failing
from fakes.driving import pause

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from fakes.machine import FakeMachine


@pytest.fixture
def session(machine: FakeMachine) -> Iterator[wr.Session]:
    with wr.Session("1ms", SOURCE, environment=machine.environment()) as running:
        yield running


@pytest.fixture
def device(session: wr.Session, machine: FakeMachine) -> Iterator[Device]:
    pause(session, SOURCE)
    with Device(session, machine) as running:
        yield running


def assert_energy(measured: wr.Measurement, joules: float) -> None:
    """Require these joules; two steps of 2.5 J at either end may be uncertain."""
    low, high = measured.bounds_j["package-0"]
    assert low <= joules <= high
    assert high - low < 10.1


def test_without_sync_the_energy_of_the_queue_is_missing(
    session: wr.Session, device: Device
) -> None:
    with session.window("launch") as w:
        device.submit(20)
    device.synchronize()
    assert_energy(w.measurement, 0)
    result = wr.measure(device.submit, 20, session=session)
    device.synchronize()
    assert_energy(result.measurement, 0)


def test_with_sync_what_is_queued_inside_is_in_and_what_was_before_is_not(
    session: wr.Session, device: Device
) -> None:
    device.submit(30)
    w = session.window("work", sync=device.synchronize)
    with w as entered:
        assert entered is w
        device.submit(20)
    assert_energy(w.measurement, 20)
    device.submit(30)
    with w:
        device.submit(10)
    assert_energy(w.measurement, 10)
    assert repr(w) == "<Window 'work'>"
    totals = session.report().windows["work"]
    assert totals.count == 2
    assert totals.bounds_j["package-0"][0] <= 30 <= totals.bounds_j["package-0"][1]
    assert device.waits == 4


def test_begin_and_end(session: wr.Session, device: Device) -> None:
    device.submit(30)
    w = session.begin("work", sync=device.synchronize)
    device.submit(20)
    session.end(w)
    assert_energy(w.measurement, 20)
    with pytest.raises(wr.StateError, match="not open"):
        session.end(w)


def test_measure_and_measured(session: wr.Session, device: Device) -> None:
    device.submit(30)
    result = wr.measure(device.submit, 20, session=session, sync=device.synchronize)
    assert_energy(result.measurement, 20)

    @wr.measured(session=session, sync=device.synchronize)
    def step(joules: float) -> None:
        device.submit(joules)

    device.submit(30)
    step(10)
    step(20)
    first, second = step.measurements
    assert_energy(first, 10)
    assert_energy(second, 20)


def decorated(
    decorate: Callable[[Callable[..., Any]], Any], device: Device
) -> list[tuple[str, Callable[[], object]]]:
    """Return functions of every kind that queue 20 J, and how to run them to their end."""

    @decorate
    def function() -> None:
        device.submit(20)

    @decorate
    def generator() -> Iterator[int]:
        device.submit(10)
        yield 1
        device.submit(10)

    @decorate
    async def coroutine() -> None:
        device.submit(20)

    @decorate
    async def asynchronous() -> AsyncIterator[int]:
        device.submit(10)
        yield 1
        device.submit(10)

    async def run_to_the_end() -> None:
        async for _ in asynchronous():
            pass

    return [
        ("function", function),
        ("generator", lambda: list(generator())),
        ("coroutine", lambda: asyncio.run(coroutine())),
        ("asynchronous generator", lambda: asyncio.run(run_to_the_end())),
    ]


def test_decorated_functions_of_every_kind(session: wr.Session, device: Device) -> None:
    for i in range(4):
        name = str(i)
        window = session.window(name, sync=device.synchronize)
        device.submit(30)
        kind, run = decorated(window, device)[i]
        run()
        report = session.report()
        assert report.windows[name].count == 1, kind
        low, high = report.windows[name].bounds_j["package-0"]
        assert low <= 20 <= high < 30.1, kind
    wrapped = wr.measured(session=session, sync=device.synchronize)
    for i in range(4):
        kept: list[Any] = []

        def decorate(fn: Callable[..., Any], kept: list[Any] = kept) -> Any:
            kept.append(wrapped(fn))
            return kept[-1]

        device.submit(30)
        decorated(decorate, device)[i][1]()
        assert_energy(kept[i].measurements[-1], 20)


def test_nested_windows_share_what_is_inside_both(session: wr.Session, device: Device) -> None:
    outer = session.window("outer", sync=device.synchronize)
    inner = session.window("inner", sync=device.synchronize)
    with outer:
        device.submit(10)
        with inner:
            device.submit(20)
    assert_energy(outer.measurement, 30)
    assert_energy(inner.measurement, 20)
    totals = session.report().windows["outer"]
    assert totals.exclusive_j["package-0"] == pytest.approx(10, abs=10.1)


def test_a_failure_at_the_begin_begins_nothing(session: wr.Session, device: Device) -> None:
    w = session.window("work", sync=Failing(device, 1))
    with pytest.raises(OSError, match="call 1"), w:
        raise AssertionError("entered")
    with pytest.raises(wr.StateError, match="has not ended yet"):
        _ = w.measurement
    assert session.report().open == 0
    with w:
        device.submit(20)
    assert_energy(w.measurement, 20)
    with pytest.raises(OSError, match="call 1"):
        wr.measure(device.submit, 20, session=session, sync=Failing(device, 1))
    assert device._queue.empty()


def test_a_failure_at_the_end_ends_the_window(session: wr.Session, device: Device) -> None:
    w = session.window("work", sync=Failing(device, 2))
    with pytest.raises(OSError, match="call 2"), w:
        device.submit(20)
    assert_energy(w.measurement, 20)
    assert session.report().windows["work"].count == 1

    @wr.measured(session=session, sync=Failing(device, 2))
    def step() -> None:
        device.submit(20)

    with pytest.raises(OSError, match="call 2"):
        step()
    assert_energy(step.measurements[-1], 20)


def test_the_error_of_the_code_itself_wins(session: wr.Session, device: Device) -> None:
    w = session.window("work", sync=Failing(device, 2, 4))

    def work() -> None:
        device.submit(20)
        raise KeyError("of the code")

    with pytest.raises(KeyError, match="of the code"), w:
        work()
    assert_energy(w.measurement, 20)
    with pytest.raises(KeyError, match="of the code"):
        w(work)()
    measured = wr.measured(session=session, sync=Failing(device, 2))(work)
    with pytest.raises(KeyError, match="of the code"):
        measured()
    assert_energy(measured.measurements[-1], 20)


def test_an_exception_waits_for_what_is_queued(session: wr.Session, device: Device) -> None:
    w = session.window("work", sync=device.synchronize)

    def work() -> None:
        device.submit(20)
        raise KeyError("x")

    with pytest.raises(KeyError), w:
        work()
    assert_energy(w.measurement, 20)
    measured = wr.measured(session=session, sync=device.synchronize)(work)
    with pytest.raises(KeyError):
        measured()
    assert_energy(measured.measurements[-1], 20)


@pytest.mark.parametrize("at", [1, 2])
def test_ctrl_c_while_it_waits_comes_through(session: wr.Session, at: int) -> None:
    """Also over an error of the code: whoever presses it means the program."""
    calls: list[int] = []

    def interrupted() -> None:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt

    w = session.window("work", sync=interrupted)
    with pytest.raises(KeyboardInterrupt), w:
        raise KeyError("x")
    assert session.report().open == 0


def test_a_session_of_its_own_is_stopped_when_the_begin_fails() -> None:
    def fail() -> None:
        raise OSError("device lost")

    threads = threading.active_count()
    opened: list[wr.Session] = []
    start = wr.Session.start

    def remember(self: wr.Session) -> wr.Session:
        opened.append(self)
        return start(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wr.Session, "start", remember)
        with pytest.raises(OSError, match="device lost"):
            wr.measure(print, sources="simulated", sync=fail)
    (session,) = opened
    assert not session.running
    assert threading.active_count() == threads


async def waits_for_nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("sync", "reason"),
    [
        (waits_for_nothing, "waits_for_nothing is a coroutine function"),
        (functools.partial(waits_for_nothing), "is a coroutine function"),
        ("torch.cuda.synchronize", "cannot be called"),
    ],
)
def test_what_waits_for_nothing_is_refused(session: wr.Session, sync: Any, reason: str) -> None:
    uses: list[Callable[[], object]] = [
        lambda: session.window("x", sync=sync),
        lambda: session.begin("x", sync=sync),
        lambda: wr.measure(print, session=session, sync=sync),
        lambda: wr.measured(session=session, sync=sync),
    ]
    for use in uses:
        with pytest.raises(wr.InvalidError, match=reason) as refused:
            use()
        assert "torch.cuda.synchronize" in refused.value.remedy
    assert session.report().windows == {}


def test_a_hidden_coroutine_is_found_when_it_is_called(session: wr.Session) -> None:
    w = session.window("x", sync=lambda: waits_for_nothing())
    with pytest.raises(wr.InvalidError, match="returned a coroutine"), w:
        raise AssertionError("entered")


def test_a_window_without_sync_is_the_plain_one(session: wr.Session) -> None:
    """What an ordinary window costs is that of the native type's own methods."""
    plain = type(session.window("x"))
    assert "__enter__" not in vars(plain)
    assert "__exit__" not in vars(plain)
    assert type(session.window("x", sync=lambda: None)) is not plain
