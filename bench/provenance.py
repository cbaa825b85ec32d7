"""Where and of what figures were taken."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from programs import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping


def output_of(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def compiler(programs: Path) -> str:
    """Of the C++ programs, as they say themselves."""
    told = json.loads(output_of(str(programs / "instructions"), "window", "1", "/"))
    return str(told["compiler"]).strip()


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def facts(programs: Path) -> Mapping[str, object]:
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT, check=False).returncode
    return {
        "machine": platform.machine(),
        "processor": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],  # of the minute before, from others
        "kernel": platform.release(),
        "python": platform.python_version(),
        "compiler": compiler(programs),
        "commit": output_of("git", "rev-parse", "--short", "HEAD") + ("+" if changed == 1 else ""),
    }
