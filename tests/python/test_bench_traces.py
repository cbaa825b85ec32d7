"""The verdict of bench/traces.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import traces

if TYPE_CHECKING:
    import pytest


def test_windows_outside_their_bounds_fail_however_few_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def verdicts() -> list[bool | None]:
        lines = traces.traces(rows=5000, rounds=1, windows=100)
        return [line.good for line in lines if "windows" in line.name]

    made = {channels: traces.make(5000, channels) for channels in (1, 6)}
    monkeypatch.setattr(traces, "make", lambda _, channels: made[channels])
    assert verdicts() == [None] * 4
    # The rows are as they were; what is held to be the truth is not.
    true_j = traces.energy_j
    monkeypatch.setattr(traces, "energy_j", lambda t_ns: 1.5 * true_j(t_ns))
    assert verdicts() == [False] * 4
