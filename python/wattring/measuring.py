"""`measure(fn, ...)` and `@measured`: the energy of calls."""

# This module is not called `measure`: importing a submodule of that name would put the module in
# the place of the function `wattring.measure`.

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from wattring._core import now_ns
from wattring.errors import InvalidError, StateError, WattringError
from wattring.session import Session
from wattring.syncing import check_sync, wait
from wattring.wrapping import REMEDY, call, kind_of, name_of, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from wattring.measurement import Measurement
    from wattring.syncing import Sync

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

KEPT = 1000


@dataclass(frozen=True)
class Measured(Generic[T]):
    """What `measure()` gives: `value`, which the function returned, and its `measurement`."""

    value: T
    measurement: Measurement


class MeasuredFunction(Protocol[P, R_co]):
    """A function under `@measured`: called like the function itself.

    Attributes:
        measurements: those of the last calls, the newest last.

    """

    measurements: deque[Measurement]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function."""

    def __get__(
        self, instance: object, owner: type | None = None, /
    ) -> MeasuredFunction[..., R_co]:
        """Bind it to an object, as a method."""


def measure(
    fn: Callable[..., T],
    /,
    *args: Any,
    period: str | float | None = None,
    sources: str | Sequence[str] | None = None,
    session: Session | None = None,
    sync: Sync | None = None,
    **kwargs: Any,
) -> Measured[T]:
    """Call `fn(*args, **kwargs)` and measure the energy of the machine meanwhile.

    Args:
        fn: what to call. An argument of its own called `period`, `sources`, `session` or `sync` is
            passed by a lambda or `functools.partial`.
        args: its arguments.
        period: time between samples, as for `Session` (default: 1 ms).
        sources: what to read, as for `Session` (default: all that can be read).
        session: a running session to use; without it one is opened for this call, which takes some
            milliseconds before and after `fn` (not in the window).
        sync: waits until an asynchronous device has done its work, like `torch.cuda.synchronize`;
            called before the window begins and before it ends.
        kwargs: its keyword arguments.

    An exception of `fn` comes through unchanged, else one of `sync`.

    Raises:
        InvalidError: `fn` is a coroutine or generator function, whose call does no work by itself
            (put `@measured` on it), or `sync` is one; or a session and settings of a new one are
            both given.
        StateError: the session is not running.
        AbsentError, DeniedError, UnsupportedError: nothing can be read; the error says why.

    """
    kind = kind_of(fn)
    if kind != "function":
        raise InvalidError(
            f"calling {name_of(fn)} would not run it: it is a {kind} function", REMEDY
        )
    window = _Window(_Options(period, sources, session, sync))
    with window:
        value: T = call(fn, args, kwargs)
    return Measured(value, window.measurement)


@overload
def measured(fn: Callable[P, R], /) -> MeasuredFunction[P, R]: ...
@overload
def measured(
    *,
    period: str | float | None = None,
    sources: str | Sequence[str] | None = None,
    session: Session | None = None,
    sync: Sync | None = None,
    keep: int = KEPT,
) -> Callable[[Callable[P, R]], MeasuredFunction[P, R]]: ...
def measured(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    period: str | float | None = None,
    sources: str | Sequence[str] | None = None,
    session: Session | None = None,
    sync: Sync | None = None,
    keep: int = KEPT,
) -> Any:
    """Measure every call of a function: `@measured`, or `@measured(session=s)`.

    The function stays what it was, methods, coroutine functions and generators included, and gets
    an attribute `measurements`: the last `keep` calls' (default: 1000), the newest last. Calls
    that end by an exception are in it too; the exception comes through unchanged.

    The window of a coroutine reaches from its first step to its end, that of a generator from its
    first item to its end; whatever the machine does meanwhile is in it.

    Args:
        fn: the function.
        period: time between samples, as for `Session` (default: 1 ms).
        sources: what to read, as for `Session` (default: all that can be read).
        session: a running session to use. Without it one is opened for each call, which takes some
            milliseconds before and after it (not in the window); with it, a refresh of the sensor
            before and after. An event loop waits as well.
        sync: waits until an asynchronous device has done its work, like `torch.cuda.synchronize`;
            called before each window begins and before it ends. An event loop waits as well.
        keep: how many measurements to keep.

    Raises:
        InvalidError: a session and settings of a new one are both given, or nothing is to be kept;
            or `sync` cannot be called, or is a coroutine function.
        StateError and the errors of `Session`: when the function is called.

    """
    if keep < 1:
        raise InvalidError(f"cannot keep {keep} measurements", "ask for keep=1 or more")
    options = _Options(period, sources, session, sync)

    def decorate(fn: Callable[..., Any]) -> Any:
        measurements: deque[Measurement] = deque(maxlen=keep)
        wrapped: Any = wrap(fn, lambda: _Window(options, measurements))
        wrapped.measurements = measurements
        return wrapped

    return decorate if fn is None else decorate(fn)


class _Options:
    """Which session a call is measured with, and what its ends wait for."""

    def __init__(
        self,
        period: str | float | None,
        sources: str | Sequence[str] | None,
        session: Session | None,
        sync: Sync | None,
    ) -> None:
        if session is not None and (period is not None or sources is not None):
            raise InvalidError(
                "a session has its period and sources already",
                "leave out session=, or period= and sources=",
            )
        self.session = session
        self._sync = None if sync is None else check_sync(sync)
        self._period = "1ms" if period is None else period
        self._sources = "auto" if sources is None else sources

    def open(self) -> Session:
        """Return a session that runs."""
        if self.session is None:
            return Session(self._period, self._sources).start()
        if not self.session.running:
            # Says it better for a session that was never started, or is another process's.
            self.session.mark()
            raise StateError(
                "the session does not run any more", "open a new one, or leave session= out"
            )
        return self.session

    def wait(self) -> None:
        """Wait for what is queued; what that raises comes through."""
        if self._sync is not None:
            wait(self._sync)


class _Window:
    """One call: from the end of `__enter__` to the begin of `__exit__`."""

    measurement: Measurement

    def __init__(self, options: _Options, measurements: deque[Measurement] | None = None) -> None:
        self._options = options
        self._measurements = measurements

    def __enter__(self) -> Self:
        self._session = self._options.open()
        try:
            self._options.wait()
            # If the window outlives the ring, it begins at this mark, a moment before the call.
            self._before = self._session.mark()
        except BaseException:
            self._release()
            raise
        self._t_begin_ns = now_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        raised = True  # by the function or by what is waited for
        try:
            self._options.wait()
            raised = error is not None
        except Exception:
            if error is None:
                raise
        finally:
            self._end(now_ns(), raised)

    def _end(self, t_end_ns: int, raised: bool) -> None:
        try:
            self.measurement = self._measure(t_end_ns)
            if self._measurements is not None:
                self._measurements.append(self.measurement)
        except WattringError:
            if not raised:
                raise
            # What was raised before is what the caller must see.
        finally:
            self._release()

    def _release(self) -> None:
        if self._options.session is None:
            self._session.stop()

    def _measure(self, t_end_ns: int) -> Measurement:
        end = self._session.mark(t_end_ns)
        try:
            begin = self._session.mark(self._t_begin_ns)
        except StateError:
            begin = self._before
        return self._session.between(begin, end)
