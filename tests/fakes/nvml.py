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

FOLDER = Path(__file__).parent
NAME = "libnvidia-ml.so.1"
ENERGY = "nvmlDeviceGetTotalEnergyConsumption"


def compile_nvml(folder: Path, variant: str = "") -> Path:
    """Build the library under the name by which programs load the driver's own.

    It has that SONAME too: in a process that has opened it by its path, whoever asks for the
    driver's library gets this one. A variant is FAKE_NVML_OLD_NAMES, _NO_ENERGY or _NO_FIELDS.
    """
    main, *others = sorted(FOLDER.glob("fake_nvml*.c"))
    options = [f"-Wl,-soname,{NAME}", *([f"-D{variant}"] if variant else [])]
    return compile_shared(main, folder / NAME, *options, *map(str, others))


class FakeNvml:
    """The driver's library in this process (and, by its variables, in others)."""

    def __init__(self, library: Path) -> None:
        self.library = library
        self._native = ctypes.CDLL(str(library))
        self._native.fake_nvml_power.restype = ctypes.c_longlong
        self._native.fake_nvml_true_mj.restype = ctypes.c_double
        self._native.fake_nvml_busy_ns.restype = ctypes.c_longlong
        self._native.fake_nvml_forget()

    def configure(
        self,
        gpus: str,
        failures: str = "",
        refresh_ns: int | None = None,
        **variables: str | int | None,
    ) -> None:
        """Say what whoever initialises the library finds; fake_nvml.c explains each.

        Further variables go by their names: sensor="volta", mig="1:2", delay_ns=0. What is not
        named stays as it is.
        """
        variables |= {"fail": failures, "refresh_ns": refresh_ns}
        os.environ["FAKE_NVML"] = gpus
        for name, value in variables.items():
            os.environ[f"FAKE_NVML_{name.upper()}"] = "" if value is None else str(value)

    def environment(self, machine: FakeMachine) -> wr.Environment:
        """Add these GPUs to a machine."""
        env = machine.environment()
        env.nvml = str(self.library)
        return env

    def variables(self, machine: FakeMachine) -> dict[str, str]:
        return machine.variables() | {"WATTRING_NVML_LIBRARY": str(self.library)}

    def set(self, gpu: int, millijoules: int) -> None:
        """Set the counter of a GPU "set"."""
        self._native.fake_nvml_set(gpu, ctypes.c_ulonglong(millijoules))

    def power(self, gpu: int, watts: float) -> int:
        """Let a GPU "steps" draw so much from now on; returns now, in ns of CLOCK_MONOTONIC."""
        return int(self._native.fake_nvml_power(gpu, ctypes.c_double(watts)))

    def joules_until(self, gpu: int, t_ns: int) -> float:
        """True energy of a GPU from time 0 of the clock; NaN: its steps are no longer kept."""
        return float(self._native.fake_nvml_true_mj(gpu, ctypes.c_longlong(t_ns))) * 1e-3

    def fail(self, failures: str) -> None:
        """Let functions fail from now on; an empty text: work again."""
        self._native.fake_nvml_fail(failures.encode())

    def delay(self, ns: int) -> None:
        """Let each call about a GPU take so long from now on."""
        self._native.fake_nvml_delay(ctypes.c_longlong(ns))

    def calls(self, function: str) -> int:
        """How often a function was called, its newest version standing for all."""
        return int(self._native.fake_nvml_calls(function.encode()))

    @property
    def energy_calls(self) -> int:
        """How often a GPU was asked for its energy."""
        return self.calls(ENERGY)

    @property
    def busy_ns(self) -> int:
        """Time that calls about GPUs have spent in the library."""
        return int(self._native.fake_nvml_busy_ns())

    @property
    def users(self) -> int:
        """Inits of this process without a shutdown."""
        return int(self._native.fake_nvml_users())

    @staticmethod
    def forget() -> None:
        """Take the variables back."""
        for name in [n for n in os.environ if n.startswith("FAKE_NVML")]:
            del os.environ[name]
