"""Make time and energy pass while a session measures."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import wattring as wr
    from fakes.machine import FakeMachine

NOBODY = 65534
PATIENCE_S = 30


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that must come true soon; `what` says what did not."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {PATIENCE_S} s: not {what}")
        time.sleep(0.0005)


def wait_rows(session: wr.Session, source: str, rows: int = 3) -> None:
    """Wait until a source has that many more rows."""
    wanted = session.stats[source]["samples"] + rows
    wait_until(lambda: session.stats[source]["samples"] >= wanted, f"{rows} more rows")


def pause(session: wr.Session, source: str) -> None:
    """Let some refreshes pass, so that what comes next can't have begun before."""
    time.sleep(0.006)
    wait_rows(session, source, 2)


def draw(
    session: wr.Session,
    machine: FakeMachine,
    source: str,
    domain: str,
    joules: float,
    place: int = 0,
    step_j: float = 2.5,
) -> None:
    """Let a domain use energy, in steps that a real one could use between two rows."""
    for _ in range(round(joules / step_j)):
        machine.add_energy(place, domain, step_j)
        wait_rows(session, source, 1)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Open files without root's powers; for an ordinary user nothing changes."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
