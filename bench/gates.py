"""What must not get dearer, in every run of the checks: `python bench/gates.py [--update]`.

Instruction counts against a baseline, which `--update` renews, and the ratios that are steady
beside other loads: CPU time against the bare loop's, and a copy against memcpy.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from instructions import instructions
from lines import Line, show, status
from programs import build
from rings import ring_copy
from sampling import flat_out

if TYPE_CHECKING:
    from pathlib import Path


def gates(programs: Path, rounds: int = 5, *, as_baseline: bool = False) -> list[Line]:
    lines = instructions(programs, as_baseline=as_baseline)
    return lines + flat_out(programs, rounds) + ring_copy(programs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="renew the baseline")
    options = parser.parse_args()
    lines = gates(build(), as_baseline=options.update)
    show(lines, {})
    return status(lines)


if __name__ == "__main__":
    sys.exit(main())
