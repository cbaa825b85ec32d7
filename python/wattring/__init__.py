"""wattring: an energy meter for code.

A native thread samples RAPL counters into a ring that numpy reads; every joule comes with bounds.

    import wattring as wr

    with wr.Session(period="1ms") as s:
        with s.window("work") as w:
            work()
        print(w.measurement)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from wattring._core import __version__, now_ns

if TYPE_CHECKING:
    from wattring._core import Channel, Environment, Skipped
    from wattring.baseline import Baseline, Net
    from wattring.discovery import SourceInfo, sources
    from wattring.energies import Energies
    from wattring.errors import (
        AbsentError,
        DeniedError,
        InvalidError,
        IoError,
        StateError,
        UnsupportedError,
        WattringError,
    )
    from wattring.measurement import Measurement
    from wattring.measuring import Measured, measure, measured
    from wattring.recording import Recording
    from wattring.refresh import Refresh
    from wattring.report import Report
    from wattring.samples import Reader
    from wattring.session import Session
    from wattring.trace import Trace, load
    from wattring.window import Window

__all__ = [
    "AbsentError",
    "Baseline",
    "Channel",
    "DeniedError",
    "Energies",
    "Environment",
    "InvalidError",
    "IoError",
    "Measured",
    "Measurement",
    "Net",
    "Reader",
    "Recording",
    "Refresh",
    "Report",
    "Session",
    "Skipped",
    "SourceInfo",
    "StateError",
    "Trace",
    "UnsupportedError",
    "WattringError",
    "Window",
    "__version__",
    "load",
    "measure",
    "measured",
    "now_ns",
    "sources",
]

# Loaded when first asked for: `import wattring` in a program that never measures costs next to
# nothing.
_HOME = {
    "Baseline": "baseline",
    "Channel": "_core",
    "Energies": "energies",
    "Environment": "_core",
    "Measured": "measuring",
    "Measurement": "measurement",
    "Net": "baseline",
    "Reader": "samples",
    "Recording": "recording",
    "Refresh": "refresh",
    "Report": "report",
    "Session": "session",
    "Skipped": "_core",
    "SourceInfo": "discovery",
    "Trace": "trace",
    "Window": "window",
    "load": "trace",
    "measure": "measuring",
    "measured": "measuring",
    "sources": "discovery",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"wattring.{_HOME.get(name, 'errors')}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
