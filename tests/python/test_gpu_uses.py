"""What else is made of a GPU's energies: traces, reports, baselines, JSON; and the budget."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wattring as wr
from fakes.driving import wait_until
from fakes.power import true_j

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml

SQUARE = "square:50:700:0.37"
KINDS = {
    "gpu-0": "counter",
    "gpu-0-integral": "integral of instantaneous power",
    "gpu-1": "integral of averaged power",
}


@pytest.fixture
def session(machine: FakeMachine, nvml: FakeNvml) -> wr.Session:
    """A GPU with all sensors and one with its averaged power alone."""
    nvml.configure(f"{SQUARE},const:300", sensor="hopper;average=100/1000,usage=average")
    return wr.Session(sources="nvml", environment=nvml.environment(machine))


def test_traces_give_the_same_energies(session: wr.Session, tmp_path: Path) -> None:
    """Live, in memory, from each kind of file; of counters and of integrals."""
    with session:
        time.sleep(0.2)
        windows = []
        for seconds in (0.3, 0.8):
            t0 = wr.now_ns()
            time.sleep(seconds)
            windows.append((t0, wr.now_ns()))
        live = [session.energy(*window) for window in windows]
        trace = session.trace()
    assert {c: live[0].method[c] for c in live[0].energy_j} == KINDS
    begins, ends = zip(*windows, strict=True)
    found = trace.energy_between(begins, ends)
    for i, m in enumerate(live):
        again = trace.measurement(*windows[i])
        assert (again.method, again.averaging_ns) == (m.method, m.averaging_ns)
        assert (again.coverage, again.notes) == (m.coverage, m.notes)
        for channel in KINDS:
            assert found.bounds_j[channel][0][i] == again.bounds_j[channel][0]
            assert found.energy_j[channel][i] == pytest.approx(again.energy_j[channel])
            if channel != "gpu-0":  # updates of a counter are dated by a clock of the whole trace
                assert again.energy_j[channel] == pytest.approx(m.energy_j[channel])
            assert again.bounds_j[channel] == pytest.approx(m.bounds_j[channel])
    for ending in ("npz", "parquet", "arrow"):
        trace.save(tmp_path / f"gpus.{ending}")
        loaded = wr.load(tmp_path / f"gpus.{ending}")
        same = loaded.energy_between(begins, ends)
        for channel in KINDS:
            assert np.array_equal(same.energy_j[channel], found.energy_j[channel])
            assert np.array_equal(same.bounds_j[channel], found.bounds_j[channel])
        assert loaded.measurement(*windows[1]) == trace.measurement(*windows[1])
        assert np.array_equal(loaded.power("gpu-0-integral"), trace.power("gpu-0-integral"))


def test_power_of_integrals_and_its_tables(session: wr.Session) -> None:
    """A flat load is flat; a mean over a second is dated to when the power was used."""
    with session:
        time.sleep(2.5)
        trace = session.trace()
    flat = trace.power("gpu-1")
    assert len(flat) >= 10
    assert flat["power_w"] == pytest.approx(300, rel=0.02)
    assert np.all(flat["t_end_ns"] > flat["t_begin_ns"])
    # What is known of a time is told later, by a mean in which it still is.
    newest_row_ns = int(trace.samples("nvml")["t_end_ns"][-1])
    assert flat["t_end_ns"][-1] <= newest_row_ns - 900_000_000
    square = trace.power("gpu-0-integral")
    assert 0 < square["power_w"].min() < 200
    # Some energy of a refresh may be told with that of the next.
    assert 500 < square["power_w"].max() < 2 * 700
    frame = trace.to_pandas()
    assert list(frame["channel"].cat.categories) == list(KINDS)
    for channel in KINDS:
        power = trace.power(channel)
        of_channel = frame[frame["channel"] == channel]
        assert of_channel["power_w"].tolist() == power["power_w"].tolist()
    table = trace.to_arrow()
    assert table.num_rows == len(frame)
    assert table["power_w"].to_pylist() == frame["power_w"].tolist()
    for power_gauge in ("gpu-0-power", "gpu-1-power-average", "gpu-1-variance"):
        with pytest.raises(wr.InvalidError, match="no counter"):
            trace.power(power_gauge)


def test_report_baseline_and_json(session: wr.Session) -> None:
    """None of them has a power or a variance for an energy."""
    with session:
        rest = session.idle(2)
        with session.window("work") as w:
            time.sleep(0.6)
        m = w.measurement
        report = session.report()
    assert list(rest.power_w) == list(KINDS)
    low, high = rest.bounds_w["gpu-1"]
    assert low <= 300 <= high
    net = m.net(rest)
    assert net.energy_j["gpu-1"] == pytest.approx(
        m.energy_j["gpu-1"] - rest.power_w["gpu-1"] * m.seconds
    )
    low, high = net.bounds_j["gpu-1"]
    assert low <= 0 <= high
    totals = report.windows["work"]
    assert list(totals.energy_j) == list(KINDS)
    assert totals.roots == ["gpu-0", "gpu-1"]
    for channel in KINDS:
        assert totals.energy_j[channel] == pytest.approx(m.energy_j[channel])
        assert totals.bounds_j[channel] == pytest.approx(m.bounds_j[channel])
    low, high = totals.bounds_j["gpu-0"]
    assert low <= true_j(SQUARE, m.t_begin_ns, m.t_end_ns) <= high
    for text in (str(report), str(m)):
        assert "gpu-0-integral" in text
        assert "variance" not in text
        assert "gpu-0-power" not in text
    document = json.loads(m.to_json())
    assert document["averaging_ns"] == {
        "gpu-0": 0,
        "gpu-0-integral": 25_000_000,
        "gpu-1": 1_000_000_000,
    }
    assert wr.Measurement.from_json(m.to_json()) == m
    both = m + session.energy(m.t_end_ns, m.t_end_ns + 100_000_000)
    assert both.method == KINDS


@pytest.mark.parametrize("share", [0, -0.1, 1.01, math.nan])
def test_a_budget_is_a_share_of_the_time(share: float) -> None:
    with pytest.raises(wr.InvalidError, match="share of") as refused:
        wr.Session(sources="simulated", gpu_budget=share)
    assert "gpu_budget=0.005" in refused.value.remedy


def test_the_whole_budget_polls_at_the_asked_period(machine: FakeMachine, nvml: FakeNvml) -> None:
    """However long a call takes; with the default most polls are spared."""
    nvml.configure("const:300", delay_ns=5_000_000)
    env = nvml.environment(machine)
    stats: dict[float, dict[str, Any]] = {}
    for budget in (1.0, 0.005):
        with wr.Session("30ms", "nvml", gpu_budget=budget, environment=env) as session:
            began = session.stats["nvml"]

            def deadlines(session: wr.Session = session, began: Any = began) -> int:
                now = session.stats["nvml"]
                return sum(now[k] - began[k] for k in ("samples", "missed", "spared"))

            wait_until(lambda: deadlines() >= 40, "40 deadlines")
            stats[budget] = {k: v for k, v in session.stats["nvml"].items() if k != "running"}
            stats[budget]["since"] = stats[budget]["samples"] - began["samples"]
    assert stats[1.0]["period_ns"] == 30_000_000
    assert stats[1.0]["spared"] == 0
    assert stats[0.005]["spared"] > 20
    assert stats[0.005]["since"] < 20
    for each in stats.values():
        assert each["read_s"] >= each["samples"] * 0.005
