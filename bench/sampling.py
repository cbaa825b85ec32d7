"""The sampler against the loop that one would write by hand for the same reads."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from lines import Line
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


def sampling(programs: Path, rounds: int) -> list[Line]:
    """At 1 and 10 kHz, with the sleeps: CPU time, rate and lateness."""
    lines = []
    for result in against_loop(programs, rounds, 1, 1000, 10_000):
        hz, ours, loop = result["asked_hz"], result["sampler"], result["loop"]
        at = f"{hz / 1000:g} kHz"
        achieved = ours["rate_hz"] / hz
        lines += [
            cpu_line(result, at),
            Line(
                f"sampler, {at}: achieved rate",
                achieved,
                "of asked",
                f"loop {loop['rate_hz'] / hz:.4f}",
                ">= 0.99 (idle machine)",
                achieved >= 0.99,
            ),
        ]
        lines += [
            Line(
                f"sampler, {at}: lateness {quantile}",
                ours[f"late_{quantile}_ns"] / 1e3,
                "us",
                f"loop {loop[f'late_{quantile}_ns'] / 1e3:.1f} us",
            )
            for quantile in ("p50", "p99", "max")
        ]
    return lines
