"""The interval of a slow-down, and what is concluded from it."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from fakes.machine import FakeMachine
from saturating import WORKS
from workloads import (
    SAMPLED,
    WAKE_UPS,
    median_interval,
    slowdown_line,
    slowdowns,
    working,
)


# Ranks of the usual tables for the sign test's interval.
@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (10, 2, 9), (20, 6, 15), (40, 14, 27)])
def test_the_interval_is_that_of_the_sign_test(n: int, low: int, high: int) -> None:
    values = [float(i) for i in range(n, 0, -1)]
    assert median_interval(values) == ((n + 1) / 2, low, high)


def test_too_few_pairs_have_no_interval() -> None:
    assert median_interval([1, 2, 3, 4, 5]) == (3, -math.inf, math.inf)


@pytest.mark.parametrize(
    ("found", "good", "told"),
    [
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.4], True, "tells 0.5 %"),
        ([0.6, 0.7, 0.8, 0.9, 1.0, 1.1], False, "tells 0.5 %"),
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.6], None, "cannot tell 0.5 %"),
    ],
)
def test_only_an_interval_off_the_limit_is_a_verdict(
    found: list[float], good: bool | None, told: str
) -> None:
    line = slowdown_line("work", {SAMPLED: found, WAKE_UPS: [0.2] * len(found)})
    assert line.good is good
    assert told in line.reference
    assert "wake-ups alone 0.20 %" in line.reference


def test_each_round_compares_its_own_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second round goes backwards, so that a drift takes as much from all."""
    rates = iter([100.0, 99.0, 98.0, 49.0, 48.0, 50.0])
    monkeypatch.setattr("workloads.rate", lambda done, seconds: next(rates))
    found = slowdowns(lambda: 0, FakeMachine(tmp_path), 2, 0)
    assert found == {SAMPLED: pytest.approx([1, 4]), WAKE_UPS: pytest.approx([2, 2])}


@pytest.mark.parametrize("work", WORKS)
def test_every_process_works_until_the_end(work: str) -> None:
    with working(work, 2) as done:
        before = done()
        while done() == before:
            os.sched_yield()
