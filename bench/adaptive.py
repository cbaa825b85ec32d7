"""`period="auto"` beside 1 ms over the simulated machine, in one time: updates seen, and reads.

Counted from the rows: those whose counter differs from the row before against the updates that
were due in their time. What it learned from is in it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

import wattring as wr
from lines import Line

if TYPE_CHECKING:
    import numpy.typing as npt

REFRESH_NS = 976_000  # of the simulated machine
MOST_READS = 1.3


def seen_and_reads(rows: npt.NDArray[np.void], since_ns: int) -> tuple[float, float]:
    """Share of the updates that were seen since a time, and rows per update."""
    rows = rows[rows["t_begin_ns"] > since_ns]
    due = float(rows["t_end_ns"][-1] - rows["t_end_ns"][0]) / REFRESH_NS
    return np.count_nonzero(np.diff(rows["package-0"])) / due, len(rows) / due


def adaptive(seconds: float) -> list[Line]:
    with wr.Session("auto", "simulated") as auto, wr.Session("1ms", "simulated") as steady:
        since_ns = time.monotonic_ns()
        time.sleep(seconds)
        seen, reads = seen_and_reads(auto.samples("simulated"), since_ns)
        steady_seen, steady_reads = seen_and_reads(steady.samples("simulated"), since_ns)
        stats = auto.stats["simulated"]
    said = stats["auto"]
    assert said is not None
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
    ]
