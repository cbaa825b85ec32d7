"""Rows about agreement: counter, power, wattring, nvidia-smi; and what wattring's sampler costs."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

import wattring as wr
from hardware.nvml_gpu import AVERAGE, ENERGY, INSTANT, NAMES, Polling
from hardware.nvml_table import Row, UnmeasuredError, rows_of

if TYPE_CHECKING:
    from hardware.nvml_gpu import Gpu, Polls
    from hardware.nvml_loads import Load

ON_S, OFF_S = 0.15, 0.22  # no multiple of the refresh of any known sensor


def energies(gpu: Gpu, load: Load | None, seconds: float) -> list[Row]:
    """Counter, integrals of the power, and wattring over one load of a known duty cycle."""
    what = "wattring's energy"
    try:
        session = wr.Session(sources="nvml")
    except wr.WattringError as error:
        polls, duty = _duty(gpu, load, seconds)
        against = [Row(what, "not measured", str(error))]
    else:
        with session:
            polls, duty = _duty(gpu, load, seconds)
        against = rows_of(what, lambda: _against(gpu, session, polls))
    return rows_of("energy counter", lambda: _energies(polls, duty)) + against


def _duty(gpu: Gpu, load: Load | None, seconds: float) -> tuple[Polls, float]:
    """Polls meanwhile, and the share of the time that the load took; without a load, 0."""
    on_s = 0.0
    with Polling(gpu, 0.002) as polling:
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            if load is not None:
                t_s = time.monotonic()
                load.run(ON_S)
                on_s += time.monotonic() - t_s
            time.sleep(OFF_S)
        whole_s = time.monotonic() - begin
    return polling.polls, on_s / whole_s


def _between(polls: Polls) -> tuple[float, float, float]:
    """Times of the first and the last update of the counter that were seen, joules between."""
    change_s, value_j = polls.changes(ENERGY)
    if len(change_s) < 3:
        raise UnmeasuredError("the counter did not move, or cannot be read")
    return float(change_s[0]), float(change_s[-1]), float(value_j[-1] - value_j[0])


def _energies(polls: Polls, duty: float) -> list[Row]:
    begin_s, end_s, counter_j = _between(polls)
    load = f"a load of {duty:.0%} duty" if duty > 0 else "no load"
    watts = counter_j / (end_s - begin_s)
    rows = [
        Row(
            "energy counter",
            f"{counter_j:.4g} J, {watts:.4g} W",
            f"{end_s - begin_s:.3g} s of {load}, from update to update",
            {"counter_j": counter_j, "seconds": end_s - begin_s, "duty": duty},
        )
    ]
    for column in (INSTANT, AVERAGE):
        what = f"integral of the {NAMES[column]}"
        rows += rows_of(what, partial(_integral, what, polls, column, counter_j))
    return rows


def _integral(what: str, polls: Polls, column: int, counter_j: float) -> Row:
    begin_s, end_s, _ = _between(polls)
    of = polls.column(column)
    if len(of.t_s) == 0:
        raise UnmeasuredError("the driver has no such reading of this GPU")
    inside = (of.t_s >= begin_s) & (of.t_s < end_s)
    edges = np.concatenate([of.t_s[inside], [end_s]])
    joules = float(np.sum(np.diff(edges) * of.values[inside, column]))
    return Row(
        what,
        f"{joules:.4g} J, {joules / counter_j - 1:+.2%} of the counter",
        "each value held until the next",
        {"joules": joules, "ratio": joules / counter_j},
    )


def _against(gpu: Gpu, session: wr.Session, polls: Polls) -> Row:
    begin_s, end_s, counter_j = _between(polls)
    m = session.energy(round(begin_s * 1e9), round(end_s * 1e9))
    channel = f"gpu-{gpu.index}"
    if channel not in m.energy_j:
        raise UnmeasuredError(f"wattring has no {channel} here")
    low_j, high_j = m.bounds_j[channel]
    inside = low_j <= counter_j <= high_j
    return Row(
        "wattring's energy",
        f"{m.energy_j[channel]:.4g} J, {m.energy_j[channel] / counter_j - 1:+.2%} of the counter",
        f"bounds {low_j:.4g} … {high_j:.4g} J, {'with' if inside else 'WITHOUT'} what pynvml read",
        {"joules": m.energy_j[channel], "low_j": low_j, "high_j": high_j, "inside": float(inside)},
    )


def overhead(load: Load | None, pairs: int, seconds: float) -> list[Row]:
    """Matrix products per second without and with wattring sampling the GPU, in turns."""
    what = "overhead on matrix products"
    return rows_of(what, lambda: _overhead(what, load, pairs, seconds), wr.WattringError)


def _overhead(what: str, load: Load | None, pairs: int, seconds: float) -> Row:
    if load is None:
        raise UnmeasuredError("this takes a load")
    ratios = []
    for pair in range(pairs):
        rates = {}
        # Which comes first changes, for a GPU that warms up slows down.
        for sampled in (False, True) if pair % 2 == 0 else (True, False):
            rates[sampled] = _rate(load, seconds, sampled)
        ratios.append(rates[False] / rates[True])
    ratio = statistics.median(ratios)
    return Row(
        what,
        f"{ratio - 1:+.2%} of the time",
        f"median of {pairs} pairs of {seconds:.3g} s, from {min(ratios) - 1:+.2%} to "
        f"{max(ratios) - 1:+.2%}; {load.name}",
        {"ratio": ratio, "least": min(ratios), "most": max(ratios)},
    )


def _rate(load: Load, seconds: float, sampled: bool) -> float:
    def run() -> float:
        begin = time.monotonic()
        return load.run(seconds) / (time.monotonic() - begin)

    if not sampled:
        return run()
    with wr.Session(sources="nvml"):
        return run()


SMI_QUERY = ("power.draw", "power.draw.average", "power.draw.instant")


def nvidia_smi(gpu: Gpu) -> list[Row]:
    """What nvidia-smi says of the power, beside what pynvml says just before and after."""
    return rows_of("nvidia-smi", lambda: _nvidia_smi(gpu), OSError, subprocess.SubprocessError)


def _nvidia_smi(gpu: Gpu) -> list[Row]:
    if shutil.which("nvidia-smi") is None:
        raise UnmeasuredError("there is no nvidia-smi on the PATH")
    command = ["nvidia-smi", f"--id={gpu.uuid}", f"--query-gpu={','.join(SMI_QUERY)}"]
    command.append("--format=csv,noheader,nounits")
    with Polling(gpu) as polling:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    rows = []
    for query, said in zip(SMI_QUERY, done.stdout.strip().split(", "), strict=True):
        column = AVERAGE if query.endswith("average") else INSTANT
        own = polling.polls.column(column).values[:, column]
        between = f"{np.min(own):.2f} to {np.max(own):.2f} W" if len(own) else "nothing"
        rows.append(
            Row(f"nvidia-smi, {query}", f"{said} W", f"{NAMES[column]} meanwhile: {between}")
        )
    return rows
