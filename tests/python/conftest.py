"""Fixtures shared by all tests."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.machine import FakeMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    import wattring as wr


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


@pytest.fixture
def wait_rows() -> Callable[[wr.Session, str, int], None]:
    """Wait until a source has that many more rows."""

    def wait(session: wr.Session, source: str, rows: int = 3) -> None:
        wanted = session.stats[source]["samples"] + rows
        deadline = time.monotonic() + 20
        while session.stats[source]["samples"] < wanted:
            assert time.monotonic() < deadline, "the sampler stands still"
            time.sleep(0.001)

    return wait
