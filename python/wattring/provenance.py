"""Where figures come from: the machine, its sensors, and its clocks, as a trace keeps them."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wattring import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wattring._core import Channel, Skipped

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
CHANNEL_FIELDS = {
    "name": str,
    "device": str,
    "note": str,
    "parent": str,
    "kind": str,
    "unit": str,
    "scale": float,
    "modulus": int,
    "quantum": int,
    "refresh_ns": int,
    "averaging_ns": int,
    "max_power_w": float,
}


def cpuinfo() -> str:
    """Read what the kernel says of the processor; empty where it says nothing."""
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.exists() else ""


def machine() -> dict[str, str]:
    """Describe this machine: what a figure needs to be understood elsewhere."""
    models = [
        line.partition(":")[2].strip()
        for line in cpuinfo().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "wattring": _core.__version__,
    }


def host() -> dict[str, str]:
    """Tell this machine, and this run of it, from others: time stamps of one boot compare."""
    boot_id = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
    return {"host": platform.node(), "boot_id": boot_id}


def clock_offset() -> dict[str, int]:
    """Read the monotonic and the wall clock together: one moment on both, in ns.

    `error_ns` is how far apart the two readings may be. The wall clock is for finding other tools'
    records beside a trace; it jumps, and no duration is ever taken from it.
    """
    best = {"error_ns": 2**62}
    for _ in range(5):
        before_ns = _core.now_ns()
        realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        after_ns = _core.now_ns()
        error_ns = (after_ns - before_ns + 1) // 2
        if error_ns < best["error_ns"]:
            best = {
                "monotonic_ns": before_ns + error_ns,
                "realtime_ns": realtime_ns,
                "error_ns": error_ns,
            }
    return best


def driver(source: str, summary: str) -> str:
    """Name what answers for a source: RAPL's drivers are the kernel's own, a GPU names its own."""
    if source == "nvml":
        return f"NVIDIA: {summary}"
    if source == "simulated":
        return f"wattring {_core.__version__}: {summary}"
    return f"Linux {platform.release()}: {summary}"


def describe_channel(channel: Channel) -> dict[str, Any]:
    """Every fact that the core knows of a channel, fit for JSON."""
    return {name: getattr(channel, name) for name in CHANNEL_FIELDS}


def describe_skipped(skipped: Iterable[Skipped]) -> list[dict[str, str]]:
    """Describe what was not taken, and why, fit for JSON."""
    return [
        {
            "source": s.source,
            "channel": s.channel,
            "code": s.code,
            "reason": s.reason,
            "remedy": s.remedy,
        }
        for s in skipped
    ]


def describe(
    period_ns: int, channels: Mapping[str, Sequence[Channel]], skipped: Iterable[Skipped]
) -> dict[str, Any]:
    """Describe a session at this moment, as a trace's header keeps it."""
    summaries = {name: summary for name, summary, _ in _core.source_types()}
    return {
        "machine": {**machine(), **host()},
        "clocks": [clock_offset()],
        "period_ns": period_ns,
        "sources": {
            source: {
                "driver": driver(source, summaries[source]),
                "channels": [describe_channel(channel) for channel in of_source],
            }
            for source, of_source in channels.items()
        },
        "skipped": describe_skipped(skipped),
    }
