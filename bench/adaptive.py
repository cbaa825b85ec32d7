"""`period="auto"` beside 1 ms over the simulated machine, in one time: updates seen, reads, errors.

Updates are counted from the rows: those whose counter differs from the row before against the
updates that were due in their time. What it learned from is in it. Errors are those of windows as
they are settled, under a power that stays the same.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import numpy as np

import wattring as wr
from lines import Line, median_and_p95

if TYPE_CHECKING:
    import numpy.typing as npt

REFRESH_NS = 976_000  # of the simulated machine
MOST_READS = 1.3
POWER_W = 5.0
WINDOW_S = 0.01
WINDOWS_A_SECOND = 50  # of all the time


def seen_and_reads(rows: npt.NDArray[np.void], since_ns: int) -> tuple[float, float]:
    """Share of the updates that were seen since a time, and rows per update."""
    rows = rows[rows["t_begin_ns"] > since_ns]
    due = float(rows["t_end_ns"][-1] - rows["t_end_ns"][0]) / REFRESH_NS
    return np.count_nonzero(np.diff(rows["package-0"])) / due, len(rows) / due


def errors(found: list[wr.Measurement]) -> tuple[float, float]:
    """Median and 95th percentile, in percent."""
    return median_and_p95(100 * abs(m.energy_j["dram-0"] / m.seconds / POWER_W - 1) for m in found)


def adaptive(seconds: float) -> list[Line]:
    machine = wr.Environment()
    machine.simulated = f"package-0=const:50,dram-0=const:{POWER_W:g}"
    found: dict[str, list[wr.Measurement]] = {"auto": [], "1 ms": []}
    with (
        wr.Session("auto", "simulated", environment=machine) as auto,
        wr.Session("1ms", "simulated", environment=machine) as steady,
    ):
        since_ns = time.monotonic_ns()
        with auto.window("first"), steady.window("first"):
            time.sleep(seconds / 2)  # from the first window on they look for the counters' pace
        for _ in range(int(seconds / 2 * WINDOWS_A_SECOND)):
            with auto.window("work") as by_auto, steady.window("work") as by_steady:
                time.sleep(WINDOW_S)
            found["auto"].append(by_auto.measurement)
            found["1 ms"].append(by_steady.measurement)
            time.sleep(random.random() * 0.01)
        seen, reads = seen_and_reads(auto.samples("simulated"), since_ns)
        steady_seen, steady_reads = seen_and_reads(steady.samples("simulated"), since_ns)
        stats = auto.stats["simulated"]
    said = stats["auto"]
    assert said is not None
    median, p95 = errors(found["auto"])
    steady_median, steady_p95 = errors(found["1 ms"])
    reference = f"at 1 ms: {100 * steady_seen:.2f} %; missed deadlines {stats['missed']}"
    return [
        Line('updates seen, period="auto"', 100 * seen, "%", reference),
        Line(
            'reads per update, period="auto"',
            reads,
            "",
            f"at 1 ms: {steady_reads:.3f}; {said['state']} {said['reason']}".rstrip(),
            f"at most {MOST_READS}",
            reads <= MOST_READS,
        ),
        Line(
            'windows of 10 ms, period="auto": error, median', median, "%", f"{steady_median:.3f} %"
        ),
        Line('windows of 10 ms, period="auto": error, 95 %', p95, "%", f"{steady_p95:.3f} %"),
    ]
