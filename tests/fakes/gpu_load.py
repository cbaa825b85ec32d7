"""A load for `wattring calibrate --load fakes.gpu_load:…` on GPUs of the fake library, "steps".

FAKE_LOAD_LOG names a file to which start() and close() are written.
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wattring.gpus import Gpu

REST_W, LOAD_W = 60.0, 500.0


class Steps:
    """Draws LOAD_W from on() to off()."""

    name = "steps"

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["WATTRING_NVML_LIBRARY"])
        self._gpu = -1

    def start(self, gpu: Gpu) -> None:
        self._log("start")
        self._gpu = gpu.index
        self._draw(REST_W)

    def on(self) -> None:
        self._draw(LOAD_W)

    def off(self) -> None:
        self._draw(REST_W)

    def close(self) -> None:
        self._log("close")
        self._draw(0)

    @staticmethod
    def _log(what: str) -> None:
        with Path(os.environ["FAKE_LOAD_LOG"]).open("a") as log:
            log.write(f"{what}\n")

    def _draw(self, watts: float) -> None:
        self._library.fake_nvml_power(self._gpu, ctypes.c_double(watts))


class Elsewhere(Steps):
    """Keeps another GPU busy than the one that it was told."""

    def on(self) -> None:
        """Leave this one alone."""


class Joined(Steps):
    """Someone else begins to use the GPU with the first on(), and stays."""

    def off(self) -> None:
        self._draw(0.9 * LOAD_W)


class Failing(Steps):
    """Has a bug."""

    def on(self) -> None:
        raise KeyError("no such\nkernel")


class Interrupted(Steps):
    """Somebody presses Ctrl-C in the first square wave."""

    def __init__(self) -> None:
        super().__init__()
        self._switched = 0

    def on(self) -> None:
        super().on()
        self._switched += 1
        if self._switched == 6:
            os.kill(os.getpid(), signal.SIGINT)
