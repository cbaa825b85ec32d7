"""What the sensors of a fake GPU say at any time: fake_nvml_sensor.c once more, in Python."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from fakes.power import joules_until

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["counter", "instant", "average"]
KINDS: tuple[Kind, ...] = ("counter", "instant", "average")
PRESETS = {
    "hopper": "counter=100,instant=100/25,average=100/1000,usage=average",
    "ga100": "counter=100,instant=100/25,usage=instant",
    "ampere": "counter=100,instant=100/100,average=100/1000,usage=average",
    "volta": "counter=20,instant=20/10,usage=instant",
    "pascal": "instant=20/10,usage=instant",
}


class Sensor(NamedTuple):
    """Publishes every refresh; power as the mean over the window until then."""

    refresh_ns: int
    window_ns: int
    phase_ns: int

    def published_ns(self, t_ns: int) -> int:
        """Time of the last update until then."""
        return (t_ns - self.phase_ns) // self.refresh_ns * self.refresh_ns + self.phase_ns

    def updates(self, t0_ns: int, t1_ns: int) -> list[int]:
        """Times of the updates of which each was the last at some moment between two times."""
        return [*range(self.published_ns(t0_ns), t1_ns + 1, self.refresh_ns)]


class GpuTruth:
    """The sensors of one GPU of FAKE_NVML and FAKE_NVML_SENSOR, absent ones left out."""

    def __init__(
        self,
        gpu: int,
        power: str | Callable[[int], float],
        sensor: str = "hopper",
        refresh_ns: int = 0,
    ) -> None:
        """Take the power as a function's text, or as the joules until a time in ns."""
        self.joules_until = (
            (lambda t_ns: joules_until(power, t_ns)) if isinstance(power, str) else power
        )
        entries = dict(e.split("=") for e in PRESETS.get(sensor, sensor).split(","))
        usage = entries.pop("usage", None)
        self.sensors: dict[Kind, Sensor] = {}
        for index, kind in enumerate(KINDS):
            if kind in entries:
                refresh_ms, _, window_ms = entries[kind].partition("/")
                every_ns = refresh_ns or round(float(refresh_ms) * 1e6)
                phase_ns = every_ns * ((9 * gpu + 8 * index) % 24) // 24
                window_ns = round(float(window_ms or 0) * 1e6)
                self.sensors[kind] = Sensor(every_ns, window_ns, phase_ns)
        self.usage: Kind | None = next((kind for kind in KINDS if kind == usage), None)

    def energy_mj(self, t_ns: int, factor: float = 1) -> int:
        """What the counter says, for a scope that draws so many times the GPU's power."""
        updated_ns = self.sensors["counter"].published_ns(t_ns)
        return int(self.joules_until(updated_ns) * 1e3 * factor)

    def power_mw(self, kind: Kind, t_ns: int, factor: float = 1) -> int:
        """What a power sensor says."""
        sensor = self.sensors[kind]
        end_ns = sensor.published_ns(t_ns)
        joules = self.joules_until(end_ns) - self.joules_until(end_ns - sensor.window_ns)
        return math.floor(joules * factor * 1e12 / sensor.window_ns + 0.5)

    def said(self, kind: Kind, t0_ns: int, t1_ns: int, factor: float = 1) -> set[int]:
        """All that a reading begun and ended at these times may have got, in mJ or mW."""
        times = self.sensors[kind].updates(t0_ns, t1_ns)
        if kind == "counter":
            return {self.energy_mj(t_ns, factor) for t_ns in times}
        return {self.power_mw(kind, t_ns, factor) for t_ns in times}

    def samples(self, t_ns: int) -> list[tuple[int, int]]:
        """Times (of CLOCK_MONOTONIC, ns) and mW in the driver's buffer, the oldest first."""
        sensor = self.sensors["instant"]
        newest_ns = sensor.published_ns(t_ns)
        times = [newest_ns - back * sensor.refresh_ns for back in reversed(range(120))]
        return [(t, self.power_mw("instant", t)) for t in times if t >= sensor.window_ns]

    # What the fake makes of the instant power.

    def temperature_c(self, t_ns: int) -> int:
        return 30 + self.power_mw("instant", t_ns) // 20_000

    def sm_mhz(self, t_ns: int) -> int:
        return 345 + self.power_mw("instant", t_ns) // 500

    def used_percent(self, t_ns: int) -> int:
        return min(100, self.power_mw("instant", t_ns) // 7_000)
