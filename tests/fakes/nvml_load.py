"""A load for tests/hardware/nvml.py on GPU 0 of the fake library, which is to be "steps"."""

from __future__ import annotations

import ctypes
import time

IDLE_W, BUSY_W = 60.0, 500.0

_library = ctypes.CDLL("libnvidia-ml.so.1")
_library.fake_nvml_power.restype = ctypes.c_longlong


def _draw(watts: float) -> None:
    _library.fake_nvml_power(0, ctypes.c_double(watts))


_draw(IDLE_W)


def run(seconds: float) -> int:
    """Draw BUSY_W for so long; "products" take a millisecond each."""
    end = time.monotonic() + seconds
    made = 0
    _draw(BUSY_W)
    while time.monotonic() < end:
        time.sleep(0.001)
        made += 1
    _draw(IDLE_W)
    return made
