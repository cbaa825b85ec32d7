"""One meter at work: `python peer.py METER SETTING STEADY_S COUNTS FILE`.

Runs in the interpreter that has the meter, and on the machine that peers.py shows it. Writes to
FILE, as JSON: what the meter costs while work goes on for STEADY_S, and what it says of windows,
`length=count,…`, that are known by their time stamps.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpu_time import tree_cpu_ns
from meters import METERS

if TYPE_CHECKING:
    from meters import Meter

STEP_S = 0.01
SETTLE_S = 3
PAUSE_S = 0.1  # between windows, at most: a refresh of the GPU, so that they begin anywhere in it


def work(seconds: float) -> None:
    """Sleep in steps, so that what is used above nothing is the meter's."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(STEP_S, left))


def steady(meter: Meter, seconds: float) -> dict[str, Any]:
    before = meter.readings()
    cpu_ns, begin_ns = tree_cpu_ns(), time.monotonic_ns()
    work(seconds)
    cpu_ns, ns = tree_cpu_ns() - cpu_ns, time.monotonic_ns() - begin_ns
    after = meter.readings()
    rate_hz = None if before is None or after is None else (after - before) / (ns * 1e-9)
    return {"cpu": cpu_ns / ns, "rate_hz": rate_hz}


def windows(meter: Meter, length_s: float, count: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(count):
        work(random.uniform(0, PAUSE_S))
        called_ns = time.monotonic_ns()
        meter.begin()
        begin_ns = time.monotonic_ns()
        work(length_s)
        end_ns = time.monotonic_ns()
        meter.end()
        ended_ns = time.monotonic_ns()
        package_j, gpu_j = meter.energy_j()
        found.append(
            {
                "begin_ns": begin_ns,
                "end_ns": end_ns,
                "cost_ns": begin_ns - called_ns + ended_ns - end_ns,
                "result_ns": time.monotonic_ns() - ended_ns,
                "package_j": package_j,
                "gpu_j": gpu_j,
            }
        )
    return found


def main() -> None:
    name, setting, steady_s, counts, file = sys.argv[1:]
    meter = METERS[name](setting)
    meter.start()
    windows(meter, STEP_S, 1)
    work(SETTLE_S)  # what is made, or started beside, at the first use is not counted
    document = steady(meter, float(steady_s))
    lengths = dict(entry.split("=") for entry in counts.split(","))
    document["windows"] = {
        length_s: windows(meter, float(length_s), int(count)) for length_s, count in lengths.items()
    }
    meter.stop()
    costs = [w["cost_ns"] for found in document["windows"].values() for w in found]
    document["cost_ns"] = statistics.median(costs)
    Path(file).write_text(json.dumps(document))


if __name__ == "__main__":
    main()
