"""What sampling probably cost in joules: an estimate, or why there is none (docs/overhead.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from wattring.cpu_time import TICK_S, CpuTime

if TYPE_CHECKING:
    from collections.abc import Mapping

METHOD = (
    "energy of the packages x CPU time of the sampler / CPU time of the machine: "
    "busy time alone (estimate_j, leans high), with idle time (low_j)"
)
# Each of the five busy columns is rounded down to a tick at both ends: at most a tenth of this.
LEAST_BUSY_S = 50 * TICK_S
LATEST = 0.1  # share of the time that the newest samples may be away from an end of it


class Cost(TypedDict):
    """Joules that one source's sampling probably cost; None where `reason` says why not.

    `estimate_j` books a package's idle power on the busy CPUs alone and so leans high, `low_j` on
    all CPUs alike. `busy_cpu_w` is the power per busy CPU behind the first.
    """

    estimate_j: float | None
    low_j: float | None
    busy_cpu_w: float | None
    method: str
    reason: str


@dataclass(frozen=True)
class Price:
    """Joules per second of CPU time, of a time in which both were counted."""

    busy_cpu_w: float  # of busy time
    any_cpu_w: float  # of busy and idle time

    def of(self, cpu_s: float) -> Cost:
        """Price the sampler's CPU time."""
        return Cost(
            estimate_j=cpu_s * self.busy_cpu_w,
            low_j=cpu_s * self.any_cpu_w,
            busy_cpu_w=self.busy_cpu_w,
            method=METHOD,
            reason="",
        )


def unknown(reason: str) -> Cost:
    """Give no cost."""
    return Cost(estimate_j=None, low_j=None, busy_cpu_w=None, method=METHOD, reason=reason)


@dataclass(frozen=True)
class Moment:
    """What was counted at one time.

    Attributes:
        t_ns: the time, CLOCK_MONOTONIC.
        cpu: CPU time of the machine, or why it is not known.
        sampler_s: CPU time of all sampling threads.
        packages: per package the time of the newest sample, and its joules then; None where that
            reading failed.
        spoiled: readings so far behind which energy may be missing (resets, unseen wraps).

    """

    t_ns: int
    cpu: CpuTime | str
    sampler_s: float
    packages: Mapping[str, tuple[int, float | None]]
    spoiled: int


def price(begin: Moment, end: Moment) -> Price | str:
    """Price of CPU time between two moments, or why it cannot be told."""
    for cpu in (begin.cpu, end.cpu):
        if isinstance(cpu, str):
            return cpu
    assert isinstance(begin.cpu, CpuTime)
    assert isinstance(end.cpu, CpuTime)
    cpu = end.cpu.since(begin.cpu)
    if cpu.busy_s < LEAST_BUSY_S:
        return (
            f"the CPUs were busy for {max(0.0, cpu.busy_s):.2f} s in all, and /proc/stat tells "
            f"from {LEAST_BUSY_S:g} s on"
        )
    sampler_s = end.sampler_s - begin.sampler_s
    if cpu.busy_s < sampler_s:
        return (
            f"/proc/stat has {cpu.busy_s:.2f} s of busy CPUs, less than the sampler's own "
            f"{sampler_s:.2f} s"
        )
    if end.spoiled > begin.spoiled:
        return "a counter began anew, or may have wrapped unseen"
    joules = 0.0
    for package, (t_ns, end_j) in end.packages.items():
        began_ns, begin_j = begin.packages[package]
        if begin_j is None or end_j is None:
            return f"{package} could not be read"
        away_ns = max(begin.t_ns - began_ns, end.t_ns - t_ns)
        if away_ns > LATEST * (end.t_ns - begin.t_ns):
            return f"too short a time for samples of {package} {away_ns * 1e-9:.2g} s old"
        joules += end_j - begin_j
    if joules <= 0:
        return "the packages counted no energy in this time"
    return Price(joules / cpu.busy_s, joules / cpu.all_s)
