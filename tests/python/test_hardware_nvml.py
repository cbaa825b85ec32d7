"""The program that measures real GPUs finds what the fake's sensors truly do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hardware.nvml_estimates import CannotTellError, Step, refresh_of, responses, window_of

if TYPE_CHECKING:
    from fakes.nvml import FakeNvml

PROGRAM = Path(__file__).parents[1] / "hardware" / "nvml.py"


def measure(nvml: FakeNvml, folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """Run it, with a nvidia-smi of this test's own; rows by what they are about."""
    smi = folder / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '61.00, 62.00, [N/A]'\n")
    smi.chmod(0o755)
    paths = {"LD_LIBRARY_PATH": str(nvml.library.parent), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, PROGRAM, "--quick", "--json", folder / "found.json", *options],
        env=os.environ | paths | {"WATTRING_NVML_LIBRARY": "libnvidia-ml.so.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((folder / "found.json").read_text())
    assert document["facts"]["GPU"] == "NVIDIA Fake H100"
    for row in document["rows"]:
        assert row["measured"] in done.stdout
    return {row["what"]: row for row in document["rows"]}


def test_it_finds_refresh_and_window(nvml: FakeNvml, tmp_path: Path) -> None:
    """Windows that most steps fall into, so that a quick look is enough."""
    nvml.configure("steps", sensor="counter=50,instant=50/40,average=80/400,usage=average")
    rows = measure(nvml, tmp_path, "--markdown", "--load", "fakes.nvml_load:run")
    figures = {what: row["figures"] for what, row in rows.items()}
    for what, true_ms in (("instant power", 50), ("averaged power", 80), ("energy counter", 50)):
        assert figures[f"refresh of the {what}"]["refresh_ms"] == pytest.approx(true_ms, rel=0.05)
    for what, true_ms in (("instant power", 40), ("averaged power", 400)):
        window_ms = figures[f"averaging window of the {what}"]["window_ms"]
        assert window_ms == pytest.approx(true_ms, rel=0.25)
    assert rows["nvmlDeviceGetPowerUsage says"]["measured"] == "averaged power"
    samples = figures["nvmlDeviceGetSamples, total power"]
    assert (samples["samples"], samples["spacing_ms"]) == (120, pytest.approx(50, rel=0.001))
    assert figures["wattring's energy"]["inside"] == 1
    assert 0.6 < figures["integral of the instant power"]["ratio"] < 1.6
    assert 0.3 < figures["overhead on matrix products"]["ratio"] < 3
    assert rows["nvidia-smi, power.draw.average"]["measured"] == "62.00 W"
    assert all(row["measured"] != "not measured" for row in rows.values())


def test_what_cannot_be_measured_says_why(nvml: FakeNvml, tmp_path: Path) -> None:
    """Without a load, on a GPU without a counter or an averaged power; and the end is reached."""
    nvml.configure("const:100", sensor="pascal")
    rows = measure(nvml, tmp_path)
    assert rows["load"]["measured"] == "none"
    reasons = {what: row["how"] for what, row in rows.items() if row["measured"] == "not measured"}
    assert "only 1 changes were seen" in reasons["refresh of the instant power"]
    assert "no such reading" in reasons["refresh of the averaged power"]
    assert "takes a load" in reasons["averaging window of the instant power"]
    assert "Not Supported" in reasons["nvmlDeviceGetTotalEnergyConsumption"]
    assert "counter" in reasons["energy counter"]
    assert "takes a load" in reasons["overhead on matrix products"]
    assert rows["nvmlDeviceGetPowerUsage says"]["measured"] == "instant power"


@pytest.mark.parametrize("skipped", [0, 0.3, 0.6])
def test_a_refresh_is_not_the_shortest_interval(skipped: float) -> None:
    """PITFALLS 14: late updates and late polls make some short; updates that change nothing, long.

    A tenth come up to four fifths of a period late.
    """
    chance = np.random.default_rng(3)
    updates = 0.1 * np.arange(400.0)
    late = chance.random(400) < 0.1
    updates[late] += 0.08 * chance.random(int(late.sum()))
    seen = np.ceil((updates + 0.01 * chance.random()) / 0.002) * 0.002
    found = refresh_of(seen[chance.random(400) >= skipped])
    assert found.period_s == pytest.approx(0.1, rel=0.02)
    assert found.agreeing > 0.7  # intervals of several periods do agree
    assert np.min(np.diff(seen)) < 0.06


def test_no_refresh_without_changes_or_a_period() -> None:
    with pytest.raises(CannotTellError, match="only 6 changes"):
        refresh_of(np.arange(6.0))
    with pytest.raises(CannotTellError, match="no period in common"):
        refresh_of(np.cumsum(1.4 ** np.arange(20)))


@pytest.mark.parametrize(("window_s", "delay_s"), [(0.025, 0), (0.1, 0.02), (1.0, 0.1)])
def test_a_window_is_the_length_of_the_response(window_s: float, delay_s: float) -> None:
    """Of a sensor that publishes every 0.1 s, with noise, polled every ms; some polls come late."""
    chance = np.random.default_rng(4)
    apart_s = 1.8618
    steps = [Step((k + 1) * apart_s, k * apart_s, (k + 2) * apart_s) for k in range(40)]
    polls_s = np.arange(0, 42 * apart_s, 0.001)
    updated_s = np.floor(polls_s / 0.1) * 0.1
    power_w = np.full(len(polls_s), 100.0)
    for k, step in enumerate(steps):
        rise = np.clip((updated_s - step.t_s - delay_s) / window_s, 0, 1)
        power_w += (400 if k % 2 == 0 else -400) * rise
    noise_w = chance.normal(0, 2, 1000)[np.round(updated_s / 0.1).astype(int)]
    kept = chance.random(len(polls_s)) < 0.7
    found = window_of(*responses(polls_s[kept], (power_w + noise_w)[kept], steps))
    assert found.window_s == pytest.approx(window_s, rel=0.1)
    assert found.delay_s == pytest.approx(delay_s, abs=0.006)


def test_no_window_without_a_response() -> None:
    polls_s = np.arange(0, 4, 0.01)
    steps = [Step(1.0, 0.0, 2.0), Step(2.0, 1.0, 3.0)]
    with pytest.raises(CannotTellError, match="above the noise"):
        responses(polls_s, 100 + np.sin(polls_s), steps)
    with pytest.raises(CannotTellError, match="shorter than 90 ms"):
        window_of(np.array([0.09, 0.1, 0.2]), np.array([1.0, 1.0, 1.0]))
