"""What the benchmarks have in common."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any


@dataclass
class Line:
    """One row of the table: a figure, what it is measured against, and its limit."""

    name: str
    figure: float
    unit: str
    reference: str
    limit: str = ""
    good: bool | None = None  # None: informational


def json_lines(*command: str) -> list[dict[str, Any]]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
