"""A machine that programs see at the paths that they have built in, its true energy known.

Its counters stand at /sys/class/powercap of a mount namespace of the program's own, and run on by
themselves; its GPU is the tests' stand-in for NVIDIA's library, found by LD_LIBRARY_PATH. What a
reading costs is the system call or the function, without the hardware behind it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.machine import FakeMachine
from fakes.nvml import compile_nvml
from fakes.power import SIMULATED, functions_of, true_j
from fakes.powercap import compile_powercap, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CPU = {name.removesuffix("-0"): power for name, power in functions_of(SIMULATED).items()}
GPU = "square:50:700:0.37"


class FakeHost:
    """One package and one GPU, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = compile_nvml(folder).parent
        machine = FakeMachine(folder)
        machine.nest_zones()
        self._machine = machine
        self._program = compile_powercap(folder)
        tools = folder / "bin"
        tools.mkdir()
        # That it is there tells CodeCarbon of GPUs; it reads them by the library.
        (tools / "nvidia-smi").write_text("#!/bin/sh\n")
        (tools / "nvidia-smi").chmod(0o755)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with running(self._program, self._machine, CPU):
            yield

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program on this machine, with a home of its own."""
        known = ("WATTRING_", "FAKE_NVML", "CUDA_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(known)}
        env["LD_LIBRARY_PATH"] = str(self._library)
        env["PATH"] = f"{self._folder / 'bin'}:{env['PATH']}"
        env["HOME"] = str(self._folder)
        env["FAKE_NVML"] = GPU
        # Where this is not run by root, the namespace needs one of users as well.
        unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        mount = ["sh", "-c", 'mount --bind "$0" /sys/class && exec "$@"']
        return subprocess.run(
            [*unshare, *mount, str(self._folder / "sys/class"), *command],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )


def true_package_j(begin_ns: int, end_ns: int) -> float:
    return true_j(CPU["package"], begin_ns, end_ns)


def true_gpu_j(begin_ns: int, end_ns: int) -> float:
    return true_j(GPU, begin_ns, end_ns)
