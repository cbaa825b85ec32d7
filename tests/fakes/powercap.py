"""fake_powercap.c from Python: counters that run on by themselves."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from fakes.compiling import compile_program
from fakes.machine import POWERCAP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fakes.machine import FakeMachine

FOLDER = Path(__file__).parent
FIRST_UJ = 1000 * 61035 // 1000  # what each file says at the start


def compile_powercap(folder: Path) -> Path:
    return compile_program(FOLDER / "fake_powercap.c", folder / "fake_powercap")


@contextlib.contextmanager
def running(program: Path, machine: FakeMachine, functions: Mapping[str, str]) -> Iterator[int]:
    """Let the zones of package 0 use energy by power functions, given by their domains.

    Yields the start, in ns of CLOCK_MONOTONIC; until then they have used nothing.
    """
    arguments = []
    for domain, function in functions.items():
        for zone in machine.zones[0, domain]:
            arguments += [str(machine.root / POWERCAP / zone / "energy_uj"), function]
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            start_ns = process.stdout.readline()
            if not start_ns:
                raise RuntimeError(f"fake_powercap ended with status {process.wait()}")
            yield int(start_ns)
        finally:
            process.terminate()
