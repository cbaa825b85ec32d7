"""A session from its begin to its end: import, start, stop, and memory while it goes on."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from fake_machines import six_channels
from lines import Line


def import_time(rounds: int) -> list[Line]:
    def once(program: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        return (time.perf_counter() - began) * 1e3

    extra = []
    for _ in range(rounds):
        bare = once("pass")
        extra.append(once("import wattring") - bare)
    ms = statistics.median(extra)
    return [Line("import wattring", ms, "ms", "more than a bare interpreter", "< 40", ms < 40)]


def start_and_stop(rounds: int) -> list[Line]:
    """At 1 kHz, six counters that stand still: the longest that start and stop wait for updates."""
    import wattring as wr

    took: dict[str, list[float]] = {"open": [], "start": [], "stop": []}
    with six_channels() as machine:
        for _ in range(rounds):
            times = [time.perf_counter()]
            session = wr.Session("1ms", "rapl_msr", environment=machine.environment())
            times.append(time.perf_counter())
            session.start()
            times.append(time.perf_counter())
            session.stop()
            times.append(time.perf_counter())
            for name, begin, end in zip(took, times, times[1:], strict=False):
                took[name].append(1e3 * (end - begin))
    what = {"open": "ring of 65,536 rows", "start": "counters at rest", "stop": "counters at rest"}
    return [
        Line(
            f"session: {name}",
            statistics.median(values),
            "ms",
            f"{what[name]}; longest of {rounds}: {max(values):.1f}",
        )
        for name, values in took.items()
    ]


def resident_kib() -> int:
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def memory(seconds: float) -> list[Line]:
    """At 10 kHz with windows, from when the ring has gone round once."""
    import wattring as wr

    with six_channels() as machine:
        env = machine.environment()
        with wr.Session("100us", "rapl_msr", rows=4096, environment=env) as session:
            window = session.window("step")

            def work(seconds: float) -> int:
                until = time.perf_counter() + seconds
                while time.perf_counter() < until:
                    with window:
                        time.sleep(0.001)
                session.report()
                return resident_kib()

            before = work(1.0)
            growth = work(seconds) - before
            rows = session.stats["rapl_msr"]["samples"]
    return [
        Line(
            f"memory after {seconds:g} s more at 10 kHz with windows",
            growth,
            "KiB",
            f"resident; {rows} rows through a ring of 4096",
            "<= 256",
            growth <= 256,
        )
    ]
