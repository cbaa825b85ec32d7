"""fake_perf.c from Python: compile it, tell it what to count, make it fail."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from fakes.compiling import compile_shared

SOURCE = Path(__file__).with_name("fake_perf.c")
PREFIXES = ("FAKE_PERF", "WATTRING_PERF_LIBRARY")


def compile_perf(folder: Path) -> Path:
    """Build the shared library."""
    return compile_shared(SOURCE, folder / "libfake_perf.so")


class FakePerf:
    """What perf_event_open and read do in this process (and, by its variables, in others)."""

    def __init__(self, library: Path) -> None:
        self.library = library
        self._native = ctypes.CDLL(str(library))
        self._native.fake_perf_reset()
        os.environ["WATTRING_PERF_LIBRARY"] = str(library)

    def configure(
        self,
        functions: str = "",
        *,
        esu: int = 14,
        ram_esu: int | None = None,
        start: int = 0,
        jitter_ns: int = 0,
        tpmi: bool = False,
        refuse: int = 0,
        gone_s: float = 0,
    ) -> None:
        """Say what events that open from now on do; fake_perf.c explains each."""
        values = {
            "": functions,
            "_ESU": esu,
            "_RAM_ESU": esu if ram_esu is None else ram_esu,
            "_START": start,
            "_JITTER_NS": jitter_ns,
            "_TPMI": int(tpmi),
            "_REFUSE": refuse,
            "_GONE_S": gone_s,
        }
        for name, value in values.items():
            os.environ[f"FAKE_PERF{name}"] = str(value)

    def set(self, cpu: int, code: int, count: int) -> None:
        """Set the register behind an event that has no power function."""
        self._native.fake_perf_set(cpu, code, ctypes.c_uint32(count))

    def fail_reads(self, error_number: int) -> None:
        """Let all reads fail with this errno; -1: end of file; 0: work again."""
        self._native.fake_perf_fail_reads(error_number)

    @property
    def opened(self) -> int:
        """How many events were opened."""
        return int(self._native.fake_perf_opened())

    @staticmethod
    def forget() -> None:
        """Take the variables back."""
        for name in [n for n in os.environ if n.startswith(PREFIXES)]:
            del os.environ[name]
