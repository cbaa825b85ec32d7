"""A device that does its work after the call that asks for it, like a GPU."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from fakes.driving import draw, pause

if TYPE_CHECKING:
    from typing_extensions import Self

    import wattring as wr
    from fakes.machine import FakeMachine

SOURCE = "rapl_msr"


class Device:
    """Does what is queued in a thread of its own, as late as a device may: when it is waited for.

    What it does uses energy of the machine's package; nothing else does.
    """

    def __init__(self, session: wr.Session, machine: FakeMachine) -> None:
        self.waits = 0
        self._session = session
        self._machine = machine
        self._queue: queue.Queue[float] = queue.Queue()
        self._awaited = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def submit(self, joules: float) -> None:
        """Queue work; returns at once."""
        self._queue.put(joules)

    def synchronize(self) -> None:
        self.waits += 1
        self._awaited.set()
        self._queue.join()
        self._awaited.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.submit(0)
        self.synchronize()
        self._thread.join()

    def _work(self) -> None:
        joules = 1.0
        while joules > 0:
            joules = self._queue.get()
            self._awaited.wait()
            draw(self._session, self._machine, SOURCE, "package", joules)
            # The counter stands still at whatever comes next.
            pause(self._session, SOURCE)
            self._queue.task_done()


class Failing:
    """Waits for the device, and fails at the nth time."""

    def __init__(self, device: Device, *failures: int) -> None:
        self._device = device
        self._failures = failures
        self._calls = 0

    def __call__(self) -> None:
        self._device.synchronize()
        self._calls += 1
        if self._calls in self._failures:
            raise OSError(f"device lost at call {self._calls}")
