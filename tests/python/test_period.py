"""Periods: how they are written, and which are refused, with the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import wattring as wr
from fakes.machine import FakeMachine
from wattring.durations import parse_duration_ns

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.perf import FakePerf


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1ms", 10**6),
        ("250us", 250_000),
        ("250µs", 250_000),  # micro sign
        ("250μs", 250_000),  # Greek letter
        ("0.5 ms", 500_000),
        (" 2s ", 2 * 10**9),
        ("2", 2 * 10**9),
        (".25", 250_000_000),
        ("1e-3", 10**6),
        ("100NS", 100),
        ("1min", 60 * 10**9),
        (0.001, 10**6),
        (2, 2 * 10**9),
        (np.float64(0.25), 250_000_000),
    ],
)
def test_durations(text: str | float, ns: int) -> None:
    assert parse_duration_ns(text) == ns


@pytest.mark.parametrize(
    "rubbish",
    ["", " ", "ms", "1 parsec", "1m", "1,5ms", "-1ms", "+-1", "1ms2", "0x10", "nan", "inf", "1e"],
)
def test_rubbish_is_no_duration(rubbish: str) -> None:
    with pytest.raises(wr.InvalidError, match="is no duration") as caught:
        parse_duration_ns(rubbish)
    assert repr(rubbish) in caught.value.reason
    assert '"250us"' in caught.value.remedy
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("value", [None, b"1ms", True, [1], 1j])
def test_other_types_are_no_durations(value: object) -> None:
    with pytest.raises(wr.InvalidError, match="is no duration"):
        parse_duration_ns(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "0ms",
        0,
        0.0,
        -1,
        -0.001,
        float("nan"),
        float("inf"),
        "0.4ns",
        "1e300s",
        pytest.param(10**400, id="huge"),
    ],
)
def test_durations_that_cannot_be(value: str | float) -> None:
    with pytest.raises(wr.InvalidError, match="is not possible"):
        parse_duration_ns(value)
    with pytest.raises(wr.InvalidError):
        wr.Session(value, "simulated")


def test_06_periods_above_half_the_wrap_time_are_refused() -> None:
    """PITFALLS 6: with the channel, its wrap time, the power, and what is possible."""
    with pytest.raises(wr.InvalidError) as caught:
        wr.Session("200s", "simulated")
    assert caught.value.reason == (
        "period 200 s is too long: package-0 of simulated can wrap every 262 s at 1000 W"
    )
    assert caught.value.remedy == "ask for at most 131 s"
    wr.Session("130s", "simulated")


@pytest.mark.parametrize(
    ("source", "longest_s"), [("rapl_perf", 65.536), ("rapl_msr", 65.536), ("rapl_powercap", 65.7)]
)
def test_06_the_shortest_wrap_decides(
    tmp_path: Path, perf: FakePerf, source: str, longest_s: float
) -> None:
    """DRAM's fixed unit of 2^-16 J wraps after 65536 J; it may draw 500 W."""
    machine = FakeMachine(tmp_path, model=0x55)
    machine.add_perf("0", ("package", "core", "dram"), perf=perf)
    wr.Session(longest_s - 1, source, environment=machine.environment())
    with pytest.raises(wr.InvalidError, match=r"dram-0 of .* can wrap every 131 s at 500 W"):
        wr.Session(longest_s + 1, source, environment=machine.environment())


def test_periods_below_the_cost_of_a_read_are_refused(machine: FakeMachine) -> None:
    with pytest.raises(
        wr.InvalidError,
        match=r"period 0\.001 us is too short: one read of rapl_msr costs [0-9.]+ us",
    ) as caught:
        wr.Session("1ns", "rapl_msr", environment=machine.environment())
    assert caught.value.remedy.startswith("ask for at least ")
