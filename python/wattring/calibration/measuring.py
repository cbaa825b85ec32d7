"""Switch a load on and off while a session polls the GPU's sensors as fast as they allow."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wattring import _core
from wattring.calibration.analysis import SensorFindings, analyse, polls_of
from wattring.calibration.plan import REST_S, SETTLE_S, TAIL_S, Plan
from wattring.calibration.switching import Switching
from wattring.calibration.updates import refresh
from wattring.errors import InvalidError, UnsupportedError, WattringError
from wattring.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from wattring.calibration.updates import Polls
    from wattring.gpus import Gpu
    from wattring.loads import Load

# Between polls; where a driver needs longer to answer for all its GPUs, the first that will do.
PERIODS_NS = (2_000_000, 4_000_000, 8_000_000, 16_000_000, 32_000_000)
USUAL_REFRESH_S = 0.1  # of most GPUs, where neither channel nor samples say it
# Power is compared in the last part of a hold, where a mean over one second has come to rest.
SETTLED = 0.25
LEAST_SWING_W = 5.0
MOST_LEFT = 0.3  # of the swing, that may be left when the load is off


@dataclass(frozen=True)
class GpuCalibration:
    """What was found of one GPU.

    Attributes:
        gpu: which one.
        load: name of the load.
        rest_w: power in watts before the load.
        load_w: power in watts under it.
        seconds: length of the measurement.
        steps: how often the load was held on.
        waves: periods in seconds of the square waves.
        sensors: what was found of each sensor.
        interrupted: it ended before its time; the findings are those of what there was.

    """

    gpu: Gpu
    load: str
    rest_w: float
    load_w: float
    seconds: float
    steps: int
    waves: list[float]
    sensors: list[SensorFindings]
    interrupted: bool

    def to_dict(self) -> dict[str, Any]:
        """Everything under the same names, fit for JSON."""
        return {
            "gpu": self.gpu.name,
            "uuid": self.gpu.uuid,
            "model": self.gpu.model,
            "pci": self.gpu.pci,
            "driver": self.gpu.driver,
            "load": self.load,
            "rest_w": self.rest_w,
            "load_w": self.load_w,
            "seconds": self.seconds,
            "steps": self.steps,
            "waves": self.waves,
            "sensors": [sensor.to_dict() for sensor in self.sensors],
            "interrupted": self.interrupted,
        }


def calibrate(
    gpu: Gpu, make_load: Callable[[], Load], seconds: float, progress: Callable[[str], None]
) -> GpuCalibration:
    """Measure one GPU for so many seconds, and some more to prepare the load.

    Ctrl-C ends it early, and what there is until then is analysed.

    Raises:
        InvalidError: too few seconds.
        UnsupportedError: something else uses the GPU, or the load does not.
        WattringError: the load failed; the sensors can't be read.

    """
    plan = Plan(seconds)
    load = make_load()
    try:
        progress(f"{gpu.name}: preparing the load {load.name}")
        with _failures_told(load):
            load.start(gpu)
        session = _densest(int(2 * (seconds + 10) * 1e9 / PERIODS_NS[0]))
        measuring = _Measuring(gpu, load, session)
        with session:
            interrupted = measuring.follow(plan, progress)
        return measuring.result(interrupted)
    finally:
        load.close()


def _densest(rows: int) -> Session:
    """Open a session that polls as often as the driver allows."""
    for period_ns in PERIODS_NS[:-1]:
        # A period shorter than one read is refused.
        with contextlib.suppress(InvalidError):
            return Session(period_ns * 1e-9, "nvml", rows=rows, gpu_budget=1.0)
    return Session(PERIODS_NS[-1] * 1e-9, "nvml", rows=rows, gpu_budget=1.0)


class _Measuring:
    """One GPU's measurement while it goes on."""

    def __init__(self, gpu: Gpu, load: Load, session: Session) -> None:
        self._gpu = gpu
        self._load = load
        self._session = session
        self._origin_ns = _core.now_ns()
        self._switches: list[tuple[int, bool]] = []
        self._parts_ns: list[int] = []
        self._rest_w = self._load_w = float("nan")
        self._steps = 0
        self._waves: list[float] = []

    def follow(self, plan: Plan, progress: Callable[[str], None]) -> bool:
        """Rest, steps and waves; returns whether Ctrl-C ended them."""
        try:
            progress(f"{self._gpu.name}: at rest")
            _sleep_until(self._origin_ns + round(SETTLE_S * 1e9))
            self._parts_ns.append(_core.now_ns())
            self._rest_and_steps(plan, progress)
            for period_s, times in plan.waves(self._refresh_s()):
                progress(f"{self._gpu.name}: square wave of {period_s * 1e3:.0f} ms")
                self._parts_ns.append(_core.now_ns())
                self._wave(period_s, times)
            _sleep_until(_core.now_ns() + round(TAIL_S * 1e9))
        except KeyboardInterrupt:
            return True
        return False

    def result(self, interrupted: bool) -> GpuCalibration:
        """Analyse what the session has sampled."""
        switching = Switching(
            np.array([t_ns - self._origin_ns for t_ns, _ in self._switches]) * 1e-9,
            np.array([on for _, on in self._switches], dtype=bool),
            np.array([t_ns - self._origin_ns for t_ns in self._parts_ns]) * 1e-9,
        )
        rows = self._session.samples("nvml")
        seconds = (rows["t_end_ns"][-1] - rows["t_begin_ns"][0]) * 1e-9 if len(rows) else 0.0
        sensors = [
            analyse(sensor, channel, self._polls(sensor, rows), switching)
            for sensor, channel in self._gpu.channels.items()
        ]
        return GpuCalibration(
            self._gpu,
            self._load.name,
            self._rest_w,
            self._load_w,
            float(seconds),
            self._steps,
            self._waves,
            sensors,
            interrupted,
        )

    def _rest_and_steps(self, plan: Plan, progress: Callable[[str], None]) -> None:
        rest_ns = self._parts_ns[0]
        _sleep_until(rest_ns + round(REST_S * 1e9))
        self._rest_w = self._settled_w(rest_ns)
        for step in range(plan.steps()):
            progress(f"{self._gpu.name}: step {step + 1} of {plan.steps()}")
            hold_ns = round(plan.hold_s(self._refresh_s()) * 1e9)
            on_ns = self._switch(True)
            _sleep_until(on_ns + hold_ns)
            load_w = self._settled_w(on_ns)
            off_ns = self._switch(False)
            _sleep_until(off_ns + hold_ns)
            self._require_rest(load_w, self._settled_w(off_ns))
            self._load_w = load_w
            self._steps += 1

    def _wave(self, period_s: float, times: int) -> None:
        begin_ns = _core.now_ns()
        for half in range(2 * times):
            self._switch(half % 2 == 0)
            _sleep_until(begin_ns + round((half + 1) * period_s / 2 * 1e9))
        self._waves.append(period_s)

    def _switch(self, on: bool) -> int:
        """Switch the load; the time is that of its return, when the GPU does as it is told."""
        with _failures_told(self._load):
            if on:
                self._load.on()
            else:
                self._load.off()
        self._switches.append((_core.now_ns(), on))
        return self._switches[-1][0]

    def _require_rest(self, load_w: float, left_w: float) -> None:
        """Refuse a GPU whose power is not that of the load alone."""
        name, before_w = self._gpu.name, f"{self._rest_w:.0f} W before the load"
        swing_w = load_w - self._rest_w
        if swing_w < LEAST_SWING_W:
            raise UnsupportedError(
                f"{name} is busy, or the load {self._load.name} does not reach it: {before_w}, "
                f"{load_w:.0f} W under it",
                "wait until nothing else uses it (nvidia-smi lists what does), or try another "
                "--load",
            )
        if left_w - self._rest_w > MOST_LEFT * swing_w:
            raise UnsupportedError(
                f"{name} is busy: {before_w}, {load_w:.0f} W under it, and still {left_w:.0f} W "
                "after it",
                "wait until nothing else uses it; nvidia-smi lists what does",
            )

    def _settled_w(self, begin_ns: int) -> float:
        """Power in the last part of a time that ends now."""
        end_s = (_core.now_ns() - self._origin_ns) * 1e-9
        begin_s = (begin_ns - self._origin_ns) * 1e-9
        sensor = next(s for s in ("instant", "average", "counter") if s in self._gpu.channels)
        polls = self._polls(sensor).between(end_s - SETTLED * (end_s - begin_s), end_s)
        if len(polls.t_s) < 2:
            raise UnsupportedError(f"{self._gpu.name} gives no readings", "see `wattring doctor`")
        if sensor != "counter":
            return float(np.median(polls.values))
        return float(np.ptp(polls.values) / np.ptp(polls.t_s))

    def _refresh_s(self) -> float:
        """Time between updates of a power sensor, as far as it shows by now."""
        for sensor in ("instant", "average", "counter"):
            if sensor in self._gpu.channels:
                found = refresh(self._polls(sensor))
                if found.value_ns is not None:
                    return found.value_ns * 1e-9
        published_ns = max(channel.refresh_ns for channel in self._gpu.channels.values())
        return published_ns * 1e-9 or USUAL_REFRESH_S

    def _polls(self, sensor: str, rows: npt.NDArray[np.void] | None = None) -> Polls:
        rows = self._session.samples("nvml") if rows is None else rows
        rows = rows[rows["t_begin_ns"] >= self._parts_ns[0]] if self._parts_ns else rows[:0]
        channels = self._session.channels["nvml"]
        return polls_of(rows, channels, self._gpu.channels[sensor], self._origin_ns)


@contextlib.contextmanager
def _failures_told(load: Load) -> Iterator[None]:
    """Let whatever a load of one's own raises be one line."""
    try:
        yield
    except WattringError:
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise WattringError(f"the load {load.name} failed: {said}", "try another --load") from error


def _sleep_until(t_ns: int) -> None:
    while (left_ns := t_ns - _core.now_ns()) > 0:
        time.sleep(left_ns * 1e-9)
