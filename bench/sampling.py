"""The sampler against the loop that one would write by hand for the same reads."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from lines import Line, progress
from programs import json_lines

if TYPE_CHECKING:
    from pathlib import Path


def against_loop(programs: Path, rounds: int, seconds: float, *rates: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        asked = [str(rounds), str(seconds), *map(str, rates)]
        return json_lines(str(programs / "sampler_vs_loop"), folder, *asked)


def cpu_line(result: dict[str, Any], at: str) -> Line:
    ratio = result["cpu_ratio"]
    ours, loop = result["sampler"], result["loop"]
    cost = f"{ours['cpu_ns_per_sample']:.0f} ns against {loop['cpu_ns_per_sample']:.0f} ns"
    return Line(
        f"sampler, {at}: CPU per sample / bare loop", ratio, "x", cost, "<= 1.1", ratio <= 1.1
    )


def flat_out(programs: Path, rounds: int) -> list[Line]:
    """Without sleeps, where CPU times are steady also on a busy machine."""
    (result,) = against_loop(programs, rounds, 0.4, 0)
    ratio = result["rate_ratio"]
    rates = f"{result['sampler']['rate_hz']:.0f} Hz against {result['loop']['rate_hz']:.0f} Hz"
    return [
        cpu_line(result, "flat out"),
        Line("sampler, flat out: rate / bare loop", ratio, "x", rates),
    ]


def rate_line(result: dict[str, Any], at: str) -> Line:
    hz, ours, loop = result["asked_hz"], result["sampler"], result["loop"]
    achieved = ours["rate_hz"] / hz
    cpu_ms = ours["cpu_ns_per_sample"] * ours["rate_hz"] * 1e-6
    loop_cpu_ms = loop["cpu_ns_per_sample"] * loop["rate_hz"] * 1e-6
    is_promised = hz in (1000, 10_000)
    return Line(
        f"sampler, {at}: achieved rate",
        achieved,
        "of asked",
        f"loop {loop['rate_hz'] / hz:.4f}; CPU {cpu_ms:.1f} ms a second, loop {loop_cpu_ms:.1f} ms",
        ">= 0.99 (idle machine)" if is_promised else "",
        achieved >= 0.99 if is_promised else None,
    )


def lateness_line(result: dict[str, Any], at: str) -> Line:
    def us(side: str) -> str:
        late = (result[side][f"late_{q}_ns"] / 1e3 for q in ("p50", "p99", "max"))
        return " / ".join(f"{value:.1f}" for value in late)

    return Line(
        f"sampler, {at}: lateness p50",
        result["sampler"]["late_p50_ns"] / 1e3,
        "us",
        f"p50 / p99 / max {us('sampler')} us, loop {us('loop')} us",
    )


def sampling(programs: Path, rounds: int) -> list[Line]:
    """At 10 Hz to 100 kHz, with the sleeps: CPU time, rate and lateness."""
    lines = []
    for hz in (10, 100, 1000, 10_000, 100_000):
        at = f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz"
        progress(f"sampler, {at}")
        (result,) = against_loop(programs, rounds, 1, hz)
        if hz in (1000, 10_000):
            lines.append(cpu_line(result, at))
        lines += [rate_line(result, at), lateness_line(result, at)]
    return lines
