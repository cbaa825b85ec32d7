"""Functions inside a context manager, whatever kind of function they are."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeAlias

from wattring.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractContextManager

    Function: TypeAlias = Callable[..., Any]
    Around: TypeAlias = Callable[[], AbstractContextManager[object]]

REMEDY = "put @measured on the function that does the work, or measure one that runs it to its end"


def kind_of(fn: Function) -> str:
    """Say what a call gives: "function", "coroutine", "generator", "asynchronous generator"."""
    if not callable(fn):
        raise InvalidError(f"{fn!r} cannot be called", "give a function")
    # A static method has its function inside; any object may have a `__call__` of either kind.
    candidates = (fn, getattr(fn, "__func__", fn), type(fn).__call__)
    for kind, test in (
        ("coroutine", inspect.iscoroutinefunction),
        ("generator", inspect.isgeneratorfunction),
        ("asynchronous generator", inspect.isasyncgenfunction),
    ):
        if any(test(candidate) for candidate in candidates):
            return kind
    return "function"


def call(fn: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function that does its work when it is called.

    Raises:
        InvalidError: it returned a coroutine, which has done nothing yet.

    """
    value = fn(*args, **kwargs)
    if inspect.iscoroutine(value):
        value.close()
        raise InvalidError(f"{name_of(fn)} returned a coroutine, which has not run", REMEDY)
    return value


def name_of(fn: Function) -> str:
    """Name a function for messages."""
    return str(getattr(fn, "__qualname__", None) or repr(fn))


def wrap(fn: Function, around: Around) -> Function:
    """Return a function of the same kind, whose work is done inside `around()`."""
    return _WRAPPERS[kind_of(fn)](fn, around)


def _function(fn: Function, around: Around) -> Function:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with around():
            return call(fn, args, kwargs)

    return wrapper


def _coroutine(fn: Function, around: Around) -> Function:
    @functools.wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with around():
            return await fn(*args, **kwargs)

    return wrapper


def _generator(fn: Function, around: Around) -> Function:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with around():
            return (yield from fn(*args, **kwargs))

    return wrapper


def _async_generator(fn: Function, around: Around) -> Function:
    @functools.wraps(fn)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with around():
            items = fn(*args, **kwargs)
            # What `yield from` does, which asynchronous generators lack.
            try:
                item = await anext(items)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await items.aclose()
                        raise
                    except BaseException as error:
                        item = await items.athrow(error)
                    else:
                        item = await items.asend(sent)
            except StopAsyncIteration:
                pass

    return wrapper


_WRAPPERS = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "asynchronous generator": _async_generator,
}
