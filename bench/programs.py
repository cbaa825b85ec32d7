"""The C++ programs behind the benchmarks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def build() -> Path:
    """Build them optimised, as pip builds the extension; returns the folder that they are in."""
    for command in (["--preset", "release"], ["--build", "--preset", "release"]):
        subprocess.run(["cmake", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / "build" / "release" / "bench"


def json_lines(*command: str) -> list[dict[str, Any]]:
    """Run a program that prints a JSON object a line."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
