"""The tests' machines in plain files, for benchmarks: what a read costs here is the system call."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.machine import FakeMachine

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def six_channels() -> Iterator[FakeMachine]:
    """Package, core and DRAM of two packages."""
    with tempfile.TemporaryDirectory() as folder:
        yield FakeMachine(Path(folder), packages=2)


@contextmanager
def packages(count: int) -> Iterator[FakeMachine]:
    """So many packages of one channel each."""
    with tempfile.TemporaryDirectory() as folder:
        yield FakeMachine(Path(folder), packages=count, domains=("package",))
