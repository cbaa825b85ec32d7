"""fake_nvml.c from Python: compile it, say which GPUs there are, let them fail."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fakes.compiling import compile_shared

if TYPE_CHECKING:
    import wattring as wr
    from fakes.machine import FakeMachine

SOURCE = Path(__file__).with_name("fake_nvml.c")
ENERGY = "nvmlDeviceGetTotalEnergyConsumption"


def compile_nvml(folder: Path) -> Path:
    """Build the library under the name by which programs load the driver's own."""
    return compile_shared(SOURCE, folder / "libnvidia-ml.so.1")


class FakeNvml:
    """The driver's library in this process (and, by its variables, in others)."""

    def __init__(self, library: Path) -> None:
        self.library = library
        self._native = ctypes.CDLL(str(library))
        self.fail("")

    def configure(self, gpus: str, failures: str = "", refresh_ns: int = 100_000_000) -> None:
        """Say what whoever initialises the library finds; fake_nvml.c explains each."""
        os.environ["FAKE_NVML"] = gpus
        os.environ["FAKE_NVML_FAIL"] = failures
        os.environ["FAKE_NVML_REFRESH_NS"] = str(refresh_ns)

    def environment(self, machine: FakeMachine) -> wr.Environment:
        """Add these GPUs to a machine."""
        env = machine.environment()
        env.nvml = str(self.library)
        return env

    def variables(self, machine: FakeMachine) -> dict[str, str]:
        return machine.variables() | {"WATTRING_NVML_LIBRARY": str(self.library)}

    def set(self, gpu: int, millijoules: int) -> None:
        """Set the counter of a GPU that has no power function."""
        self._native.fake_nvml_set(gpu, ctypes.c_ulonglong(millijoules))

    def fail(self, failures: str) -> None:
        """Let functions fail from now on; an empty text: work again."""
        self._native.fake_nvml_fail(failures.encode())

    @property
    def energy_calls(self) -> int:
        """How often a GPU was asked for its energy."""
        return int(self._native.fake_nvml_energy_calls())

    @staticmethod
    def forget() -> None:
        """Take the variables back."""
        for name in [n for n in os.environ if n.startswith("FAKE_NVML")]:
            del os.environ[name]
