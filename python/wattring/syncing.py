"""Asynchronous devices: a window's ends wait for the work that was queued before them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeAlias

from wattring.errors import InvalidError
from wattring.wrapping import kind_of, name_of

Sync: TypeAlias = Callable[[], object]

REMEDY = "give a function that waits until the device is idle, like torch.cuda.synchronize"


def check_sync(sync: Sync) -> Sync:
    """Return a function that can be waited in.

    Raises:
        InvalidError: it cannot be called, or calling it would wait for nothing.

    """
    if not callable(sync):
        raise InvalidError(f"sync={sync!r} cannot be called", REMEDY)
    if (kind := kind_of(sync)) != "function":
        raise InvalidError(
            f"sync={name_of(sync)} is a {kind} function: a call does nothing", REMEDY
        )
    return sync


def wait(sync: Sync) -> None:
    """Wait for what is queued; what `sync` raises comes through.

    Raises:
        InvalidError: it returned a coroutine, which has waited for nothing yet.

    """
    result = sync()
    if inspect.iscoroutine(result):
        result.close()
        raise InvalidError(f"sync={name_of(sync)} returned a coroutine, which has not run", REMEDY)
