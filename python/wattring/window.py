"""Windows: the energy of a named piece of code, in a `with`, a decorator, or between two calls."""

from __future__ import annotations

import functools
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from wattring import _core
from wattring.errors import refuse_pickle
from wattring.syncing import check_sync, wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from types import TracebackType
    from typing import NoReturn

    from typing_extensions import Self

    from wattring._core import Mark
    from wattring.measurement import Measurement
    from wattring.syncing import Sync

F = TypeVar("F", bound="Callable[..., Any]")

CUT_OFF = "the session stopped before the window ended"


class Owner(Protocol):
    """What a window needs of its session."""

    _native: _core.Session

    def window(self, name: str, *, sync: Sync | None = None) -> Window:
        """Give another window."""

    def between(self, begin: Mark, end: Mark) -> Measurement:
        """Measure between two marks."""


class Window(_core.Window):
    """A named window of a session, from `session.window(name)`; begun any number of times.

    Use it in `with`, or as a decorator. It may be entered again while it is open, from any thread:
    leaving ends what the same thread began last. Tasks of one thread that take turns (`async`)
    need a window each: ask `session.window(name)` where it is used, or decorate.

    Entering raises StateError where the session was not started or belongs to another process.
    After its stop, or when so many windows end at once that they cannot be taken up, the code in
    the window runs uncounted, and `session.report()` says how often (`late`, `dropped`).
    """

    __slots__ = ("_session", "name")

    def __new__(cls, session: Owner, name: str) -> Self:
        """Raise StateError where the session belongs to another process."""
        self = super().__new__(cls, session._native, name)
        self._session = session
        self.name = name
        return self

    _session: Owner
    name: str

    @property
    def measurement(self) -> Measurement:
        """The window that ended last (of several threads' or tasks': of any of them).

        Waits until later samples cover its end: one refresh of the sensor, mostly, with the GIL
        released. Where the session stopped first, the window ends at the stop, and `notes` say so.

        Raises:
            StateError: no window of this object has ended, or it was not counted.

        """
        begin, end, cut_off = self.settled()
        measured = self._session.between(begin, end)
        if not cut_off:
            return measured
        notes = {c: [*measured.notes.get(c, []), CUT_OFF] for c in measured.energy_j}
        return replace(measured, notes=notes)

    def __call__(self, function: F) -> F:
        """Decorate: every call is a window, of a generator or coroutine from its first step on.

        A window around an `await` or a `yield` counts the time that passes outside as well.
        """
        wrapper: Callable[..., Any]
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
                with self._another():
                    steps = function(*args, **kwargs)
                    step = steps.asend(None)
                    try:
                        while True:
                            value = await step
                            try:
                                step = steps.asend((yield value))
                            except GeneratorExit:
                                raise
                            except BaseException as error:
                                step = steps.athrow(error)
                    except StopAsyncIteration:
                        return
                    finally:
                        await steps.aclose()

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._another():
                    return (yield from function(*args, **kwargs))

        elif inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._another():
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return cast("F", wrapper)

    def _another(self) -> Window:
        """Give a window of the same name, for what takes turns with others."""
        return self._session.window(self.name)

    def __repr__(self) -> str:
        return f"<Window {self.name!r}>"

    def __reduce__(self) -> NoReturn:
        refuse_pickle(self)


class SyncedWindow(Window):
    """A window whose ends wait for an asynchronous device, from `session.window(name, sync=…)`.

    `sync()` is called before either end's time stamp: what was queued before the window is not in
    it, what was queued inside is. Where it raises at the begin, the window is not begun. Where it
    raises at the end, the window ends at that moment; the error comes through unless the code in
    the window has raised one, which is then the one that its caller must see.
    """

    __slots__ = ("_sync",)

    def __new__(cls, session: Owner, name: str, sync: Sync) -> Self:
        """Raise InvalidError where `sync` cannot be waited in."""
        self = super().__new__(cls, session, name)
        self._sync = check_sync(sync)
        return self

    _sync: Sync

    def __enter__(self) -> Self:
        wait(self._sync)
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        try:
            wait(self._sync)
        except Exception:
            if error is None:
                raise
        finally:
            super().__exit__(kind, error, trace)

    def _another(self) -> Window:
        return self._session.window(self.name, sync=self._sync)
