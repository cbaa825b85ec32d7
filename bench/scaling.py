"""What sampling at 1 kHz costs with the number of channels, and of sessions."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

import wattring as wr
from fake_machines import packages, six_channels
from lines import Line, progress

if TYPE_CHECKING:
    from fakes.machine import FakeMachine

CHANNELS = (1, 2, 8, 32, 128, 512)
SESSIONS = (1, 2, 4, 8)


def cpu_s(sessions: list[wr.Session], seconds: float) -> tuple[float, int]:
    """CPU time of all sampling threads over so many seconds, and how many samples they took."""

    def now() -> tuple[float, int]:
        stats = [session.stats["rapl_msr"] for session in sessions]
        return sum(s["cpu_s"] for s in stats), sum(s["samples"] for s in stats)

    before = now()
    time.sleep(seconds)
    after = now()
    return after[0] - before[0], after[1] - before[1]


def open_session(machine: FakeMachine) -> wr.Session:
    return wr.Session("1ms", "rapl_msr", rows=4096, environment=machine.environment())


def channels_at_1_khz(rounds: int, seconds: float) -> list[Line]:
    """CPU time per sample at each number of channels, and how far from a line they lie."""
    found: dict[int, list[float]] = {count: [] for count in CHANNELS}
    with ExitStack() as stack:
        machines = {count: stack.enter_context(packages(count)) for count in CHANNELS}
        for i in range(rounds):
            progress(f"channels, round {i + 1} of {rounds}")
            for count, machine in machines.items():
                with open_session(machine) as session:
                    assert len(session.channels["rapl_msr"]) == count
                    spent_s, samples = cpu_s([session], seconds)
                    found[count].append(spent_s / samples * 1e9)
    counts = np.array(CHANNELS, float)
    costs_ns = np.array([statistics.median(found[count]) for count in CHANNELS])
    # By the share of the cost: all numbers of channels count alike.
    slope_ns, base_ns = np.polyfit(counts, costs_ns, 1, w=1 / costs_ns)
    off = float(np.max(np.abs(costs_ns / (base_ns + slope_ns * counts) - 1)))
    lines = [
        Line(
            f"CPU per sample, {count} channels",
            cost_ns / 1e3,
            "us",
            f"{cost_ns / 1e4:.2f} % of one CPU at 1 kHz",
        )
        for count, cost_ns in zip(CHANNELS, costs_ns.tolist(), strict=True)
    ]
    return [
        *lines,
        Line(
            "CPU per sample: each further channel",
            float(slope_ns),
            "ns",
            f"line through all: {base_ns:.0f} ns + {slope_ns:.0f} ns a channel, "
            f"none more than {off:.0%} off it",
        ),
    ]


def sessions(rounds: int, seconds: float) -> list[Line]:
    """CPU time of several sessions at once, six channels each."""
    found: dict[int, list[float]] = {count: [] for count in SESSIONS}
    with six_channels() as machine:
        for i in range(rounds):
            progress(f"sessions, round {i + 1} of {rounds}")
            for count in SESSIONS:
                with ExitStack() as stack:
                    opened = [stack.enter_context(open_session(machine)) for _ in range(count)]
                    began = time.perf_counter()
                    spent_s, _ = cpu_s(opened, seconds)
                    found[count].append(spent_s / (time.perf_counter() - began) / count)
    lines = []
    one_ms = 1e3 * statistics.median(found[1])
    for count in SESSIONS:
        each_ms = 1e3 * statistics.median(found[count])
        reference = f"{each_ms / one_ms:.2f} times that of one alone"
        lines.append(Line(f"CPU per second, {count} sessions: each", each_ms, "ms", reference))
    return lines
