"""What the fake library says, by NVIDIA's own Python binding, is what sensors in Python say."""

from __future__ import annotations

import math
import time
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from fakes.driving import wait_until
from fakes.nvml_witness import field, refused
from fakes.power import joules_until, true_j
from fakes.sensor import PRESETS, GpuTruth

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.nvml import FakeNvml
    from fakes.sensor import Kind

SQUARE = "square:50:700:0.5"
BURSTS = "bursts:60:650:0.13:0.2"


def read(call: Callable[[], int], truth: GpuTruth, kind: Kind, factor: float = 1) -> None:
    """Three times, some updates apart, a reading is what the sensor said meanwhile."""
    for _ in range(3):
        t0_ns = time.monotonic_ns()
        value = call()
        assert value in truth.said(kind, t0_ns, time.monotonic_ns(), factor), kind
        time.sleep(0.02)


def check_readings(n: Any, index: int, truth: GpuTruth) -> None:
    gpu = n.nvmlDeviceGetHandleByIndex(index)
    calls: list[tuple[Kind | None, Callable[[], int]]] = [
        ("counter", partial(n.nvmlDeviceGetTotalEnergyConsumption, gpu)),
        ("counter", partial(field, n, gpu, 83)),
        ("counter", partial(field, n, gpu, 191)),
        ("average", partial(field, n, gpu, 185)),
        ("instant", partial(field, n, gpu, 186)),
        (truth.usage, partial(n.nvmlDeviceGetPowerUsage, gpu)),
    ]
    for kind, call in calls:
        if kind is not None and kind in truth.sensors:
            read(call, truth, kind)
        else:
            assert refused(n, call) == n.NVML_ERROR_NOT_SUPPORTED


@pytest.mark.parametrize("sensor", [*PRESETS, "counter=10,average=40/70", "instant=7/7"])
def test_each_reading_is_what_its_sensor_says(nvml: FakeNvml, n: Any, sensor: str) -> None:
    functions = [SQUARE, BURSTS]
    nvml.configure(",".join(functions), sensor=sensor)
    n.nvmlInit()
    for index, function in enumerate(functions):
        check_readings(n, index, GpuTruth(index, function, sensor))


def test_gpus_differ_and_a_refresh_may_be_said_for_all(nvml: FakeNvml, n: Any) -> None:
    nvml.configure(",".join([SQUARE] * 3), sensor="volta;pascal")
    n.nvmlInit()
    for index, sensor in enumerate(("volta", "pascal", "pascal")):
        check_readings(n, index, GpuTruth(index, SQUARE, sensor))
    n.nvmlShutdown()
    nvml.configure(",".join([SQUARE] * 2), refresh_ns=3_000_000, sensor="hopper")
    n.nvmlInit()
    for index in range(2):
        check_readings(n, index, GpuTruth(index, SQUARE, refresh_ns=3_000_000))


def test_a_second_of_the_square_wave_holds_two_periods(nvml: FakeNvml, n: Any) -> None:
    """Numbers that need no program to be known."""
    nvml.configure(f"{SQUARE},const:300")
    n.nvmlInit()
    wave, flat = (n.nvmlDeviceGetHandleByIndex(i) for i in range(2))
    assert n.nvmlDeviceGetPowerUsage(wave) == field(n, wave, 185) == 375_000
    assert 50_000 <= field(n, wave, 186) <= 700_000
    assert n.nvmlDeviceGetPowerUsage(flat) == field(n, flat, 186) == 300_000


def test_power_functions_in_c_and_python_agree(nvml: FakeNvml, n: Any) -> None:
    assert true_j("bursts:100:600:1:0.2", 5_000_000_000, 15_000_000_000) == pytest.approx(2000)
    assert true_j("bursts:100:600:1:0.2", 100_000_000, 300_000_000) == pytest.approx(70)
    assert true_j("square:100:600:1", 400_000_000, 600_000_000) == pytest.approx(70)
    functions = ["const:123.4", SQUARE, BURSTS]
    nvml.configure(",".join(functions))
    n.nvmlInit()
    for gpu, function in enumerate(functions):
        for t_ns in range(0, 10**15, 7 * 10**12 + 12_345_678):
            assert nvml.joules_until(gpu, t_ns) == pytest.approx(
                joules_until(function, t_ns), rel=1e-14
            )


@pytest.mark.parametrize(
    ("scopes", "power", "energy"),
    [
        ("", {"memory": 0, "module": 0}, {}),
        ("memory=0.2,module=1.4", {"memory": 0.2, "module": 1.4}, {"memory": 0.2, "module": 1.4}),
        ("memory=0.2/power", {"memory": 0.2, "module": 0}, {}),
    ],
)
def test_scopes_are_multiples_of_the_gpu(
    nvml: FakeNvml, n: Any, scopes: str, power: dict[str, float], energy: dict[str, float]
) -> None:
    """Without them drivers say 0 mW, and no energy."""
    nvml.configure(SQUARE, scopes=scopes)
    n.nvmlInit()
    gpu, truth = n.nvmlDeviceGetHandleByIndex(0), GpuTruth(0, SQUARE)
    for scope, number in (("module", 1), ("memory", 2)):
        read(partial(field, n, gpu, 186, number), truth, "instant", power[scope])
        read(partial(field, n, gpu, 185, number), truth, "average", power[scope])
        if scope in energy:
            read(partial(field, n, gpu, 191, number), truth, "counter", energy[scope])
        else:
            assert refused(n, field, n, gpu, 191, number) == n.NVML_ERROR_NOT_SUPPORTED
        assert refused(n, field, n, gpu, 83, number) == n.NVML_ERROR_NOT_SUPPORTED
    read(partial(field, n, gpu, 191), truth, "counter")


def test_steps_are_what_the_test_says(nvml: FakeNvml, n: Any) -> None:
    """Their energy is right between the steps, and the sensors' means follow it."""
    nvml.configure("const:5,steps", sensor="counter=5,instant=5/20,average=5/1000,usage=instant")
    n.nvmlInit()
    gpu = n.nvmlDeviceGetHandleByIndex(1)
    assert n.nvmlDeviceGetTotalEnergyConsumption(gpu) == n.nvmlDeviceGetPowerUsage(gpu) == 0
    watts = [100.0, 700.0, 0.0, 250.0]
    times = []
    for power in watts:
        times.append(nvml.power(1, power))
        time.sleep(0.02)
    for i, power in enumerate(watts[:-1]):
        joules = nvml.joules_until(1, times[i + 1]) - nvml.joules_until(1, times[i])
        assert joules == pytest.approx(power * (times[i + 1] - times[i]) * 1e-9)
    end_ns = times[-1]
    assert nvml.joules_until(1, times[0] - 1) == 0
    assert nvml.joules_until(1, end_ns + 10**9) - nvml.joules_until(1, end_ns) == (
        pytest.approx(250)
    )
    truth = GpuTruth(
        1, partial(nvml.joules_until, 1), "counter=5,instant=5/20,average=5/1000,usage=instant"
    )
    check_readings(n, 1, truth)
    wait_until(lambda: n.nvmlDeviceGetPowerUsage(gpu) == 250_000, "250 W")


def test_old_steps_are_forgotten_not_invented(nvml: FakeNvml, n: Any) -> None:
    nvml.configure("steps")
    n.nvmlInit()
    first_ns = nvml.power(0, 100)
    for _ in range(10_000):
        last_ns = nvml.power(0, 100)
    assert math.isnan(nvml.joules_until(0, first_ns))
    assert nvml.joules_until(0, last_ns) == pytest.approx((last_ns - first_ns) * 1e-9 * 100)


def test_samples_are_the_last_updates(nvml: FakeNvml, n: Any) -> None:
    """120 of the instant sensor, stamped in µs of the wall clock; then only what is new."""
    nvml.configure(SQUARE, sensor="instant=5/20")
    n.nvmlInit()
    gpu, truth = n.nvmlDeviceGetHandleByIndex(0), GpuTruth(0, SQUARE, "instant=5/20")
    t0_ns = time.monotonic_ns()
    kind, samples = n.nvmlDeviceGetSamples(gpu, n.NVML_TOTAL_POWER_SAMPLES, 0)
    t1_ns = time.monotonic_ns()
    assert kind == n.NVML_VALUE_TYPE_UNSIGNED_INT
    assert len(samples) == 120
    stamps = [s.timeStamp for s in samples]
    offset_ns = time.time_ns() - time.monotonic_ns()
    values = [s.sampleValue.uiVal for s in samples]
    assert any(values == [mw for _, mw in truth.samples(t)] for t in (t0_ns, t1_ns)) or (
        t1_ns - t0_ns > 5_000_000
    )
    sensor = truth.sensors["instant"]
    for stamp, value in zip(stamps, values, strict=True):
        # To the nearest update, for the two clocks are not read at one instant.
        t_ns = sensor.published_ns(stamp * 1000 - offset_ns + sensor.refresh_ns // 2)
        assert truth.power_mw("instant", t_ns) == value
    assert {round((b - a) / 10) for a, b in pairwise(stamps)} == {500}
    time.sleep(0.012)
    _, newer = n.nvmlDeviceGetSamples(gpu, n.NVML_TOTAL_POWER_SAMPLES, stamps[-1])
    assert 2 <= len(newer) <= 120
    assert newer[0].timeStamp > stamps[-1]
    future = stamps[-1] + 10**12
    assert refused(n, n.nvmlDeviceGetSamples, gpu, 0, future) == n.NVML_ERROR_NOT_FOUND
    assert refused(n, n.nvmlDeviceGetSamples, gpu, 1, 0) == n.NVML_ERROR_NOT_SUPPORTED


def test_what_stands_beside_the_power(nvml: FakeNvml, n: Any) -> None:
    nvml.configure("const:700,const:280,const:0")
    n.nvmlInit()
    for index, (celsius, mhz, percent, reasons) in enumerate(
        ((65, 1745, 100, 4), (44, 905, 40, 0), (30, 345, 0, 1))
    ):
        gpu = n.nvmlDeviceGetHandleByIndex(index)
        truth = GpuTruth(index, ("const:700", "const:280", "const:0")[index])
        now = time.monotonic_ns()
        assert truth.temperature_c(now) == celsius
        assert truth.sm_mhz(now) == mhz
        assert truth.used_percent(now) == percent
        assert n.nvmlDeviceGetTemperature(gpu, n.NVML_TEMPERATURE_GPU) == celsius
        assert n.nvmlDeviceGetTemperatureV(gpu, n.NVML_TEMPERATURE_GPU) == celsius
        assert n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_SM) == mhz
        assert n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_MEM) == 2619
        used = n.nvmlDeviceGetUtilizationRates(gpu)
        assert (used.gpu, used.memory) == (percent, percent // 2)
        assert n.nvmlDeviceGetCurrentClocksThrottleReasons(gpu) == reasons
        assert n.nvmlDeviceGetCurrentClocksEventReasons(gpu) == reasons
        assert n.nvmlDeviceGetEnforcedPowerLimit(gpu) == field(n, gpu, 190) == 700_000
        assert n.nvmlDeviceGetPowerManagementLimit(gpu) == 700_000
        assert n.nvmlDeviceGetPowerManagementLimitConstraints(gpu) == [200_000, 700_000]
    stale = n.c_nvmlTemperature_v1_t(version=0x2000010)
    entry = n._nvmlGetFunctionPointer("nvmlDeviceGetTemperatureV")
    assert entry(gpu, n.byref(stale)) == n.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
