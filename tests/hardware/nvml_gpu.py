"""One GPU through pynvml: who it is, what its sensors say, how long each call takes."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from typing_extensions import Self

# Columns of what is polled, in J and W; NaN where a reading failed.
ENERGY, INSTANT, AVERAGE, USAGE = range(4)
NAMES = ("energy counter", "instant power", "averaged power", "power usage")


class Polls(NamedTuple):
    """What the sensors said: t_s of CLOCK_MONOTONIC, shape (n,), and values, shape (n, 4)."""

    t_s: NDArray[np.float64]
    values: NDArray[np.float64]

    def column(self, column: int) -> Polls:
        """The polls at which this sensor could be read."""
        good = ~np.isnan(self.values[:, column])
        return Polls(self.t_s[good], self.values[good])

    def changes(self, column: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times, half-way between two polls, and new values."""
        t_s, values = self.column(column)
        of = values[:, column]
        at = np.flatnonzero(np.diff(of) != 0) + 1
        return (t_s[at - 1] + t_s[at]) / 2, of[at]


class Gpu:
    """A GPU by its NVML index; NVML stays initialised until the process ends."""

    def __init__(self, index: int) -> None:
        self.nvml: Any = importlib.import_module("pynvml")
        self.nvml.nvmlInit()
        self.index = index
        self.handle = self.nvml.nvmlDeviceGetHandleByIndex(index)
        self.uuid: str = self.nvml.nvmlDeviceGetUUID(self.handle)

    def describe(self) -> dict[str, str]:
        n = self.nvml
        architecture = {
            getattr(n, name): name.removeprefix("NVML_DEVICE_ARCH_").capitalize()
            for name in dir(n)
            if name.startswith("NVML_DEVICE_ARCH_")
        }
        return {
            "GPU": n.nvmlDeviceGetName(self.handle),
            "architecture": self._or_reason(
                lambda: architecture.get(n.nvmlDeviceGetArchitecture(self.handle), "unknown")
            ),
            "driver": n.nvmlSystemGetDriverVersion(),
            "power limit": self._or_reason(
                lambda: f"{n.nvmlDeviceGetEnforcedPowerLimit(self.handle) / 1000:.0f} W"
            ),
        }

    def _or_reason(self, call: Callable[[], str]) -> str:
        try:
            return call()
        except self.nvml.NVMLError as error:
            return str(error)

    def energy_j(self) -> float:
        return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) * 1e-3

    def usage_w(self) -> float:
        return float(self.nvml.nvmlDeviceGetPowerUsage(self.handle)) * 1e-3

    def powers_w(self) -> tuple[float, float]:
        """Instant and averaged power, of one call; NaN where there is none."""
        fields = [self.nvml.NVML_FI_DEV_POWER_INSTANT, self.nvml.NVML_FI_DEV_POWER_AVERAGE]
        answers = self.nvml.nvmlDeviceGetFieldValues(self.handle, fields)
        instant, average = (
            a.value.uiVal * 1e-3 if a.nvmlReturn == self.nvml.NVML_SUCCESS else float("nan")
            for a in answers
        )
        return instant, average

    def read(self) -> list[float]:
        """Read all columns once."""
        row = [float("nan")] * 4
        with contextlib.suppress(self.nvml.NVMLError):
            row[ENERGY] = self.energy_j()
        with contextlib.suppress(self.nvml.NVMLError):
            row[INSTANT], row[AVERAGE] = self.powers_w()
        with contextlib.suppress(self.nvml.NVMLError):
            row[USAGE] = self.usage_w()
        return row

    def calls(self) -> dict[str, Callable[[], object]]:
        """The calls of which wattring makes some while it samples, by their names."""
        n, gpu = self.nvml, self.handle
        fields = [n.NVML_FI_DEV_POWER_INSTANT, n.NVML_FI_DEV_POWER_AVERAGE]
        return {
            "nvmlDeviceGetTotalEnergyConsumption": self.energy_j,
            "nvmlDeviceGetFieldValues (185, 186)": lambda: n.nvmlDeviceGetFieldValues(gpu, fields),
            "nvmlDeviceGetPowerUsage": self.usage_w,
            "nvmlDeviceGetTemperature": lambda: n.nvmlDeviceGetTemperature(gpu, 0),
            "nvmlDeviceGetClockInfo (SM)": lambda: n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_SM),
            "nvmlDeviceGetUtilizationRates": lambda: n.nvmlDeviceGetUtilizationRates(gpu),
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda: (
                n.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
            ),
            "nvmlDeviceGetEnforcedPowerLimit": lambda: n.nvmlDeviceGetEnforcedPowerLimit(gpu),
        }

    def power_samples(self, last_seen_us: int = 0) -> list[tuple[int, float]]:
        """The driver's buffer of total power: time stamps in µs, and W."""
        kind = self.nvml.NVML_TOTAL_POWER_SAMPLES
        try:
            _, samples = self.nvml.nvmlDeviceGetSamples(self.handle, kind, last_seen_us)
        except self.nvml.NVMLError_NotFound:
            return []
        return [(int(s.timeStamp), s.sampleValue.uiVal * 1e-3) for s in samples]


class Polling:
    """Polls a GPU in a thread of its own while the body of a with statement runs."""

    def __init__(self, gpu: Gpu, pause_s: float = 0.0005) -> None:
        self._gpu = gpu
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._t_s: list[float] = []
        self._rows: list[list[float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            before = time.monotonic()
            row = self._gpu.read()
            self._t_s.append((before + time.monotonic()) / 2)
            self._rows.append(row)
            time.sleep(self._pause_s)

    @property
    def polls(self) -> Polls:
        return Polls(np.array(self._t_s), np.array(self._rows).reshape(-1, 4))
