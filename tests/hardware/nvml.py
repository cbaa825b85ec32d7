"""What the sensors of a real NVIDIA GPU do, and how wattring does on it, in one table.

Measures over pynvml and wattring, in three minutes; docs/sensors-measured.md explains the rows.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

import wattring as wr
from hardware import nvml_checks, nvml_sensors
from hardware.nvml_gpu import AVERAGE, INSTANT, Gpu
from hardware.nvml_loads import NoLoadError, find_load
from hardware.nvml_sensors import Plan
from hardware.nvml_table import Row, as_markdown, as_text

if TYPE_CHECKING:
    from hardware.nvml_loads import Load

EXAMPLES = """
examples:
  python tests/hardware/nvml.py                          a table of the first GPU
  python tests/hardware/nvml.py --gpu 1 --json gpu1.json
  python tests/hardware/nvml.py --markdown >> docs/sensors-measured.md
  python tests/hardware/nvml.py --quick --load my_loads:run

The load is matrix products by torch, cupy or numba, whichever is installed first in this order, or
--load module:function: function(seconds) keeps the GPU busy for so long and returns how many
products it made. Rows that take a load say so where there is none.
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "nvml.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--gpu", type=int, default=0, help="NVML's index of the GPU (0)")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures to a file too")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--load", metavar="MODULE:FUNCTION", help="what loads the GPU")
    parser.add_argument("--quick", action="store_true", help="a try of some seconds, less exact")
    return parser.parse_args(arguments)


def machine() -> dict[str, str]:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = [line.split(": ", 1)[1] for line in cpuinfo.splitlines() if "model name" in line]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{models[0] if models else platform.machine()}, Linux {platform.release()}",
        "wattring": wr.__version__,
    }


def measure(gpu: Gpu, load: Load | None, quick: bool) -> list[Row]:
    """All rows; quick or not differ in how long each takes."""
    refreshes = nvml_sensors.refreshes(gpu, load, 2.5 if quick else 10)
    refresh_s = [row.figures.get("refresh_ms", 100) * 1e-3 for row in refreshes[:2]]
    # Twice the longest window known, 1 s, fits between two steps for the averaged power.
    plans = [
        Plan(INSTANT, 8 if quick else 30, 0.3, refresh_s[0]),
        Plan(AVERAGE, 1 if quick else 4, 2.0, refresh_s[1]),
    ]
    return [
        *refreshes,
        *nvml_sensors.windows(gpu, load, plans),
        *nvml_sensors.latencies(gpu, 50 if quick else 1000),
        *nvml_sensors.buffered(gpu, 0.5 if quick else 2),
        *nvml_checks.energies(gpu, load, 2 if quick else 20),
        *nvml_checks.nvidia_smi(gpu),
        *nvml_checks.overhead(load, 2 if quick else 8, 0.3 if quick else 5),
    ]


def main() -> int:
    options = parse()
    sys.setswitchinterval(0.0005)  # polls are not to wait for a load's thread
    try:
        gpu = Gpu(options.gpu)
    except Exception as error:
        print(f"nvml.py: no GPU to measure: {error}", file=sys.stderr)
        return 1
    rows = []
    load = None
    try:
        load = find_load(options.load, gpu.uuid)
    except NoLoadError as error:
        rows.append(Row("load", "none", str(error)))
    else:
        rows.append(Row("load", load.name))
    facts = machine() | gpu.describe()
    rows += measure(gpu, load, options.quick)
    if options.json:
        document = {"facts": facts, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False))
    print(as_markdown(facts, rows) if options.markdown else as_text(facts, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
