"""The meter that anybody would write: a thread in Python that reads the counters at a period."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def energy_file(path: Path) -> Callable[[], float]:
    """Give what reads a zone's energy, in joules; the file stays open, which is the quickest."""
    file = os.open(path, os.O_RDONLY)
    return lambda: int(os.pread(file, 32, 0)) * 1e-6


def gpu_energy(index: int) -> Callable[[], float]:
    """Give what reads a GPU's energy counter, in joules."""
    import pynvml as n

    n.nvmlInit()
    gpu = n.nvmlDeviceGetHandleByIndex(index)
    return lambda: float(n.nvmlDeviceGetTotalEnergyConsumption(gpu)) * 1e-3


def gpu_power(index: int) -> Callable[[], float]:
    """Give what reads a GPU's power, in watts."""
    import pynvml as n

    n.nvmlInit()
    gpu = n.nvmlDeviceGetHandleByIndex(index)
    return lambda: float(n.nvmlDeviceGetPowerUsage(gpu)) * 1e-3


class PollingThread:
    """Reads a row of sensors at a period, on a grid of deadlines, and keeps it with its time."""

    def __init__(self, sensors: Mapping[str, Callable[[], float]], period_ns: int) -> None:
        self.rows: list[tuple[int, list[float]]] = []
        self._reads = list(sensors.values())
        self._period_ns = period_ns
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended = True
        self._thread.join()

    @property
    def cpu_ns(self) -> int:
        """CPU time of the thread, while it runs."""
        assert self._thread.ident is not None, "not started"
        return time.clock_gettime_ns(time.pthread_getcpuclockid(self._thread.ident))

    def _run(self) -> None:
        deadline_ns = time.monotonic_ns() + self._period_ns
        while not self._ended:
            time.sleep(max(0, deadline_ns - time.monotonic_ns()) * 1e-9)
            self.rows.append((time.monotonic_ns(), [read() for read in self._reads]))
            # Deadlines that have passed are left out, as the sampler leaves them out.
            late = (time.monotonic_ns() - deadline_ns) // self._period_ns
            deadline_ns += (1 + late) * self._period_ns
