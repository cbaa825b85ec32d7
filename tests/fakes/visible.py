"""What a session says of the GPUs that it measures and of those that it leaves out."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import wattring as wr

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
UUID = "GPU-fa4e0000-0000-4000-8000-00000000000"
FOUR = "const:100,const:200,const:300,const:400"


def gpus_of(session: wr.Session) -> list[int]:
    """Indices of the GPUs whose energy is measured."""
    counters = [c for c in session.channels.get("nvml", []) if c.kind == "counter"]
    return [int(c.name.removeprefix("gpu-")) for c in counters]


def told(session: wr.Session, *codes: str) -> list[wr.Skipped]:
    """What it says of GPUs under these codes."""
    return [s for s in session.skipped if s.source == "nvml" and s.code in codes]


def run(*command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | env,
    )
    assert done.returncode == 0, done.stderr
    return done
