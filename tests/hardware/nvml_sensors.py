"""Rows about the sensors themselves: refresh, window, what a call costs, what the driver keeps."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hardware.nvml_estimates import CannotTellError, Step, refresh_of, responses, window_of
from hardware.nvml_gpu import AVERAGE, ENERGY, INSTANT, NAMES, USAGE, Polling
from hardware.nvml_loads import Restless
from hardware.nvml_table import Row, UnmeasuredError, ms, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.nvml_gpu import Gpu, Polls
    from hardware.nvml_loads import Load

GOLDEN = (5**0.5 - 1) / 2  # whose multiples spread evenly between whole numbers


def latencies(gpu: Gpu, calls: int) -> list[Row]:
    """What each call takes, one after another, the Python of pynvml included."""
    rows = []
    for name, call in gpu.calls().items():
        rows += rows_of(name, partial(_latency, name, call, calls), gpu.nvml.NVMLError)
    return rows


def _latency(name: str, call: Callable[[], object], calls: int) -> Row:
    call()
    took_us = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        call()
        took_us.append((time.perf_counter_ns() - begin) * 1e-3)
    p50, p99 = np.percentile(took_us, (50, 99))
    return Row(
        name,
        f"{p50:.3g} µs p50, {p99:.3g} µs p99",
        f"{calls} calls through pynvml",
        {"p50_us": float(p50), "p99_us": float(p99)},
    )


def refreshes(gpu: Gpu, load: Load | None, seconds: float) -> list[Row]:
    """Refresh of each sensor under a load that comes and goes at random."""
    with Polling(gpu) as polling, Restless(load):
        time.sleep(seconds)
    polls = polling.polls
    rows = []
    for column in (INSTANT, AVERAGE, ENERGY):
        what = f"refresh of the {NAMES[column]}"
        rows += rows_of(what, partial(_refresh, what, polls, column), CannotTellError)
    return rows + rows_of("nvmlDeviceGetPowerUsage says", partial(_usage, polls))


def _refresh(what: str, polls: Polls, column: int) -> Row:
    of = polls.column(column)
    if len(of.t_s) < 2:
        raise UnmeasuredError("the driver has no such reading of this GPU")
    found = refresh_of(of.changes(column)[0])
    spacing_s = float(np.median(np.diff(of.t_s)))
    if found.period_s < 2.5 * spacing_s:
        raise UnmeasuredError(f"polls {ms(spacing_s)} apart are too slow to see it")
    return Row(
        what,
        ms(found.period_s),
        f"{found.changes} changes, polled every {ms(spacing_s)}, {found.agreeing:.0%} agree",
        {"refresh_ms": found.period_s * 1e3, "agreeing": found.agreeing},
    )


def _usage(polls: Polls) -> Row:
    """Which of the power sensors the old call goes by."""
    usage = polls.column(USAGE).values
    if len(usage) == 0:
        raise UnmeasuredError("the driver has no such reading of this GPU")
    equal = {c: float(np.mean(usage[:, USAGE] == usage[:, c])) for c in (INSTANT, AVERAGE)}
    best = max(equal, key=lambda column: equal[column])
    said = (
        NAMES[best] if equal[best] > 0.8 and len(set(equal.values())) == 2 else "neither, or both"
    )
    return Row(
        "nvmlDeviceGetPowerUsage says",
        said,
        f"equal to the instant power in {equal[INSTANT]:.0%} of polls, to the averaged in "
        f"{equal[AVERAGE]:.0%}",
        {"equal_instant": equal[INSTANT], "equal_average": equal[AVERAGE]},
    )


class Plan(NamedTuple):
    """Steps of the load for the window of one sensor."""

    column: int
    pairs: int  # of a step up and one down
    least_s: float  # between two steps
    refresh_s: float

    @property
    def apart_s(self) -> float:
        """Time between steps that takes them evenly through the phases of the refresh."""
        return (math.ceil(self.least_s / self.refresh_s) + GOLDEN) * self.refresh_s


def windows(gpu: Gpu, load: Load | None, plans: list[Plan]) -> list[Row]:
    """Averaging window by the response to steps of the load."""
    rows = []
    for plan in plans:
        what = f"averaging window of the {NAMES[plan.column]}"
        rows += rows_of(what, partial(_window, what, gpu, load, plan), CannotTellError)
    return rows


def _window(what: str, gpu: Gpu, load: Load | None, plan: Plan) -> Row:
    if load is None:
        raise UnmeasuredError("this takes a load")
    times = []
    with Polling(gpu) as polling:
        edges = [time.monotonic()]
        for _ in range(plan.pairs):
            time.sleep(plan.apart_s)
            times.append(time.monotonic())
            load.run(plan.apart_s)
            times.append(time.monotonic())
        time.sleep(plan.apart_s)
        edges += [*times, time.monotonic()]
    polls = polling.polls.column(plan.column)
    if len(polls.t_s) == 0:
        raise UnmeasuredError("the driver has no such reading of this GPU")
    steps = [Step(t, edges[i], edges[i + 2]) for i, t in enumerate(times)]
    found = window_of(*responses(polls.t_s, polls.values[:, plan.column], steps))
    return Row(
        what,
        ms(found.window_s),
        f"{len(steps)} steps of the load, {found.points} updates inside a rise or fall, "
        f"which begins {ms(found.delay_s)} after it",
        {"window_ms": found.window_s * 1e3, "delay_ms": found.delay_s * 1e3},
    )


def buffered(gpu: Gpu, seconds: float) -> list[Row]:
    """What nvmlDeviceGetSamples has of the total power, and what it adds in some seconds."""

    def measure() -> Row:
        samples = gpu.power_samples()
        if len(samples) < 2:
            raise UnmeasuredError(f"the driver keeps {len(samples)} samples")
        time.sleep(seconds)
        newer = gpu.power_samples(samples[-1][0])
        stamps_us = np.array([stamp for stamp, _ in samples])
        spacing_ms = float(np.median(np.diff(stamps_us))) * 1e-3
        span_s = float(stamps_us[-1] - stamps_us[0]) * 1e-6
        return Row(
            "nvmlDeviceGetSamples, total power",
            f"{len(samples)} samples, {spacing_ms:.3g} ms apart",
            f"spanning {span_s:.3g} s; {len(newer)} new ones in {seconds:.3g} s",
            {"samples": len(samples), "spacing_ms": spacing_ms, "span_s": span_s},
        )

    return rows_of("nvmlDeviceGetSamples, total power", measure, gpu.nvml.NVMLError)
