"""All benchmarks in one table: `python bench/run.py [--quick] [--only PART]... [--json FILE]`.

Each figure stands beside a reference measured in the same run, and most have a limit; the exit
status is 1 if one is exceeded. Needs cmake, ninja, a C++ compiler, valgrind, and wattring installed
in the interpreter that runs this.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from adaptive import adaptive
from channels import channels
from gates import gates
from gpus import ROUNDS, gpus, simulations
from lifetime import import_time, memory, start_and_stop
from lines import Line, progress, show, status
from polling import polling
from programs import build
from provenance import facts
from reads import reads
from rings import python_ring
from sampling import sampling
from scaling import channels_at_1_khz, sessions
from traces import traces
from windows import python_window, window_cost, window_million
from workloads import workloads

if TYPE_CHECKING:
    from collections.abc import Callable


def parts(programs: Path, *, quick: bool) -> dict[str, Callable[[], list[Line]]]:
    """What can be run, by its name, in the order of the table."""

    def few(quickly: int, otherwise: int) -> int:
        return quickly if quick else otherwise

    return {
        "gates": lambda: gates(programs, few(3, 11)),
        "sampling": lambda: sampling(programs, few(3, 11)),
        "adaptive": lambda: adaptive(few(5, 30)),
        "reads": lambda: reads(programs, few(11, 51)),
        "ring": lambda: python_ring(seconds_to_fill=2**20 * 50e-6),
        "windows": lambda: (
            window_cost(programs, few(11, 51))
            + window_million(programs)
            + python_window(few(11, 51))
        ),
        "workloads": lambda: workloads(few(6, 40), 0.25 if quick else 0.5),
        "channels": lambda: (
            channels(programs, few(3, 11)) + channels_at_1_khz(few(1, 7), 0.5 if quick else 1.0)
        ),
        "sessions": lambda: sessions(few(1, 7), 0.5 if quick else 1.0),
        "lifetime": lambda: (
            import_time(few(7, 21)) + start_and_stop(few(7, 21)) + memory(few(2, 20))
        ),
        "traces": lambda: traces(few(1_000_000, 10_000_000), 3),
        "gpus": lambda: gpus(few(1, ROUNDS)),
        "polling": lambda: polling(few(3, 11)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    names = list(parts(Path(), quick=True))
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="PART",
        help=f"this part; may be given several times: {', '.join(names)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    progress("building")
    programs = build()
    lines = []
    for name, part in parts(programs, quick=options.quick).items():
        if options.only is None or name in options.only:
            progress(name)
            lines += part()
    progress("")
    tables = simulations() if options.only is None or "gpus" in options.only else {}
    show(lines, tables)
    if options.json:
        document = {
            "lines": [asdict(line) for line in lines],
            **facts(programs),
            "simulations": tables,
        }
        options.json.write_text(json.dumps(document, indent=1))
    return status(lines)


if __name__ == "__main__":
    sys.exit(main())
