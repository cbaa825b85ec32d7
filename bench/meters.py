"""The meters that peers.py compares, each behind the same few calls, at its own settings.

Each is imported where it is used: every peer lives in an environment of its own.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from polling_thread import PollingThread, energy_file, gpu_energy, gpu_power

if TYPE_CHECKING:
    from collections.abc import Callable

POWERCAP = Path("/sys/class/powercap")
KWH_J = 3.6e6


class Meter(Protocol):
    """Measures package 0 and GPU 0."""

    def start(self) -> None: ...

    def begin(self) -> None: ...

    def end(self) -> None:
        """End what was begun; where a meter gives its result here, that is part of it."""

    def energy_j(self) -> tuple[float, float]:
        """Give the joules of package and GPU between the last begin and end."""

    def readings(self) -> int | None:
        """Say how often the counters of the package were read so far; None: it does not tell."""

    def stop(self) -> None: ...


class Wattring:
    def __init__(self, period: str) -> None:
        import wattring as wr

        self._session = wr.Session(period, ["rapl_powercap", "nvml"])
        self._window = self._session.window("work")

    def start(self) -> None:
        self._session.start()

    def begin(self) -> None:
        self._window.__enter__()

    def end(self) -> None:
        self._window.__exit__(None, None, None)

    def energy_j(self) -> tuple[float, float]:
        energy_j = self._window.measurement.energy_j
        return energy_j["package-0"], energy_j["gpu-0"]

    def readings(self) -> int | None:
        return self._session.stats["rapl_powercap"]["samples"]

    def stop(self) -> None:
        self._session.stop()


class Polling:
    """The thread takes the power's course; begin and end read the counters themselves."""

    def __init__(self, period_s: str) -> None:
        zones = sorted(path.parent for path in POWERCAP.glob("intel-rapl:*/energy_uj"))
        sensors = {zone.name: energy_file(zone / "energy_uj") for zone in zones}
        self._counters = (sensors["intel-rapl:0"], gpu_energy(0))
        self._thread = PollingThread(
            sensors | {"gpu-0": gpu_power(0)}, round(float(period_s) * 1e9)
        )
        self._begin_j = self._end_j = (0.0, 0.0)

    def start(self) -> None:
        self._thread.start()

    def _read_j(self) -> tuple[float, float]:
        package, gpu = self._counters
        return package(), gpu()

    def begin(self) -> None:
        self._begin_j = self._read_j()

    def end(self) -> None:
        self._end_j = self._read_j()

    def energy_j(self) -> tuple[float, float]:
        return self._end_j[0] - self._begin_j[0], self._end_j[1] - self._begin_j[1]

    def readings(self) -> int | None:
        return len(self._thread.rows)

    def stop(self) -> None:
        self._thread.stop()


class PyJoules:
    def __init__(self, _: str) -> None:
        meter = importlib.import_module("pyJoules.energy_meter")
        device = importlib.import_module("pyJoules.device.device_factory")
        self._meter = meter.EnergyMeter(device.DeviceFactory.create_devices())
        self._energy: dict[str, float] = {}

    def start(self) -> None:
        pass  # it reads at begin and end alone

    def begin(self) -> None:
        self._meter.start()

    def end(self) -> None:
        self._meter.stop()
        self._energy = self._meter.get_trace()[0].energy

    def energy_j(self) -> tuple[float, float]:
        return self._energy["package_0"] * 1e-6, self._energy["nvidia_gpu_0"] * 1e-3

    def readings(self) -> int | None:
        return None

    def stop(self) -> None:
        pass


class CodeCarbon:
    """Its tracker runs, and each window is a task of it; offline, and writing no file."""

    def __init__(self, period_s: str) -> None:
        tracker = importlib.import_module("codecarbon").OfflineEmissionsTracker
        period = {"measure_power_secs": float(period_s)} if period_s else {}
        self._tracker = tracker(
            country_iso_code="FRA", save_to_file=False, log_level="error", **period
        )
        self._readings = 0
        self._measure = self._tracker._do_measurements
        self._tracker._do_measurements = self._count
        self._data: Any = None

    def _count(self) -> None:
        self._readings += 1
        self._measure()

    def start(self) -> None:
        self._tracker.start()

    def begin(self) -> None:
        self._tracker.start_task()

    def end(self) -> None:
        self._data = self._tracker.stop_task()

    def energy_j(self) -> tuple[float, float]:
        return self._data.cpu_energy * KWH_J, self._data.gpu_energy * KWH_J

    def readings(self) -> int | None:
        return self._readings

    def stop(self) -> None:
        self._tracker.stop()


class Zeus:
    """Its monitor reads at begin and end; with a period, its power monitor polls the GPU beside."""

    def __init__(self, period_s: str) -> None:
        monitor = importlib.import_module("zeus.monitor")
        self._monitor = monitor.ZeusMonitor()
        self._power = monitor.PowerMonitor(update_period=float(period_s)) if period_s else None
        self._measurement: Any = None

    def start(self) -> None:
        pass

    def begin(self) -> None:
        # There is no framework to wait for.
        self._monitor.begin_window("work", sync_execution=False)

    def end(self) -> None:
        self._measurement = self._monitor.end_window("work", sync_execution=False)

    def energy_j(self) -> tuple[float, float]:
        return self._measurement.cpu_energy[0], self._measurement.gpu_energy[0]

    def readings(self) -> int | None:
        return None

    def stop(self) -> None:
        if self._power is not None:
            self._power.stop()


class Nothing:
    """The same work without a meter."""

    def __init__(self, _: str) -> None:
        pass

    def start(self) -> None:
        pass

    def begin(self) -> None:
        pass

    def end(self) -> None:
        pass

    def energy_j(self) -> tuple[float, float]:
        return 0.0, 0.0

    def readings(self) -> int | None:
        return None

    def stop(self) -> None:
        pass


METERS: dict[str, Callable[[str], Meter]] = {
    "wattring": Wattring,
    "polling": Polling,
    "pyJoules": PyJoules,
    "CodeCarbon": CodeCarbon,
    "Zeus": Zeus,
    "nothing": Nothing,
}
