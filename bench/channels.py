"""What a sample costs against the number of its channels."""

from __future__ import annotations

import math
import statistics
import tempfile
from typing import TYPE_CHECKING

from lines import Line
from programs import json_lines

if TYPE_CHECKING:
    from pathlib import Path


def channels(programs: Path, rounds: int) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        results = json_lines(str(programs / "channels"), folder, str(rounds), "0.2")
    # From 8 on: what a sample costs whatever its channels would hide their growth.
    many = [r for r in results if r["channels"] >= 8]
    exponent = statistics.linear_regression(
        [math.log(r["channels"]) for r in many],
        [math.log(r["cpu_ns_per_sample"]) for r in many],
    ).slope
    most = many[-1]
    return [
        Line(
            "channels, 8 to 512: cost grows with their power",
            exponent,
            "",
            ", ".join(f"{r['cpu_ns_per_sample'] / r['channels']:.0f}" for r in many)
            + " ns a channel",
            "<= 1.1",
            exponent <= 1.1,
        ),
        Line(
            f"{most['channels']} channels, flat out: CPU per sample / bare loop",
            most["cpu_ratio"],
            "x",
            f"{most['cpu_ns_per_sample']:.0f} ns against {most['loop_ns_per_sample']:.0f} ns",
            "<= 1.1",
            most["cpu_ratio"] <= 1.1,
        ),
    ]
