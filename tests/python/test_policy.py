"""Rules about the code itself: floors, versions, clocks, light imports."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wattring as wr

ROOT = Path(__file__).parents[2]
CPP = ROOT / "cpp" / "src"

# A file includes only from lower floors, or from earlier in the line of its own.
CPP_FLOORS = [
    ["error", "clock"],
    [
        "channel",
        "row",
        "rows",
        "histogram",
        "budget",
        "phase_tracker",
        "edges",
        "edge_lock",
        "update_times",
        "adaptive",
        "adaptive_slots",
        "environment",
        "ring",
        "row_counts",
        "counter",
        "integrator",
        "mark_queue",
    ],
    [
        "source",
        "machine",
        "rapl",
        "nvml_library",
        "nvml_model",
        "nvml_calibration",
        "nvml_gauges",
        "nvml_gpu",
    ],
    ["sources/*"],
    [
        "registry",
        "clock_search",
        "sightings",
        "update_clock",
        "known_clock",
        "row_dates",
        "curve",
        "estimate",
        "stretches",
        "staleness",
        "refresh",
        "pacing",
        "mark",
        "row_index",
        "timeline",
        "sum",
        "cover",
        "ledger",
        "sampler",
        "sampler_thread",
        "sampler_settle",
        "sampler_stats",
        "clock_keeper",
        "settling",
        "window_log",
        "windows",
        "windows_drain",
    ],
    ["session"],
]
PYTHON_FLOORS = [
    ["_core", "errors"],
    [
        "durations",
        "documents",
        "figures",
        "arithmetic",
        "measurement_text",
        "measurement_sum",
        "measurement",
        "measurement_build",
        "baseline",
        "wrapping",
        "syncing",
        "visible",
        "discovery",
        "refresh",
        "cpu_time",
        "overhead",
        "self_report",
        "report",
        "window",
        "provenance",
        "energies",
        "trace_content",
        "trace_arrow",
        "trace_file",
        "trace",
        "gpus",
        "loads",
    ],
    ["samples", "session_options", "session", "measuring", "recording"],
    ["calibration"],
    ["cli"],
]


def cpp_rank(stem: str) -> tuple[int, int]:
    for floor, names in enumerate(CPP_FLOORS):
        if stem in names:
            return floor, names.index(stem)
    raise AssertionError(f"{stem} has no floor: add it to the list and to docs/architecture.md")


def test_cpp_files_include_lower_floors_alone() -> None:
    checked = 0
    for path in CPP.rglob("*.[ch]pp"):
        in_sources = path.parent.name == "sources"
        own = cpp_rank("sources/*" if in_sources else path.stem)
        for included in re.findall(r'#include "([\w/]+)\.hpp"', path.read_text()):
            if included == path.stem:
                continue
            assert cpp_rank(included) < own, f"{path.name} includes {included}.hpp"
            assert not in_sources or own[0] > cpp_rank(included)[0]
            checked += 1
    assert checked > 30


def test_nothing_of_python_below_cpp() -> None:
    for path in (ROOT / "cpp").rglob("*.[ch]pp"):
        assert not re.search(r"Python\.h|pybind11|numpy", path.read_text()), path


def python_floor(module: str) -> int:
    for floor, names in enumerate(PYTHON_FLOORS):
        if module in names:
            return floor
    raise AssertionError(f"wattring.{module} has no floor")


def test_python_modules_import_lower_floors_alone() -> None:
    package = ROOT / "python" / "wattring"
    checked = 0
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] in ("__init__", "__main__"):
            continue
        own = python_floor(parts[0])
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any(a.name.startswith("wattring.") for a in node.names), path
            if not isinstance(node, ast.ImportFrom):
                continue
            assert node.level == 0, f"{path.name} imports by a relative name"
            if (node.module or "").split(".")[0] != "wattring":
                continue
            imported = (node.module or "").split(".")[1:] or [a.name for a in node.names]
            for name in imported[:1]:
                if name in ("__version__", parts[0]):
                    continue
                assert python_floor(name) <= own, f"{path.name} imports wattring.{name}"
                assert python_floor(name) < own or own < 3
                checked += 1
    assert checked > 10


def test_one_version() -> None:
    header = (ROOT / "cpp/include/wattring/version.h").read_text()
    match = re.search(r'WATTRING_VERSION "(.+)"', header)
    assert match
    assert match[1] == wr.__version__ == importlib.metadata.version("wattring")


def test_only_the_monotonic_clock() -> None:
    """PITFALLS 24."""
    forbidden = re.compile(
        r"system_clock|CLOCK_REALTIME|CLOCK_TAI|gettimeofday|\btime\((nullptr|NULL|0)\)"
        r"|time\.time\b|time_ns\(\)|from time import|datetime"
    )
    # In one place the two clocks are read together, so that traces can be found beside others.
    allowed = re.compile(
        r"(monotonic|perf_counter)_ns\(\)"
        r"|realtime_ns = time.clock_gettime_ns\(time.CLOCK_REALTIME\)"
    )
    files = [*(ROOT / "cpp").rglob("*.[ch]pp"), *(ROOT / "python").rglob("*.[ch]pp")]
    files += [*(ROOT / "python").rglob("*.py"), *(ROOT / "python").rglob("*.pyi")]
    assert len(files) > 20
    for path in files:
        text = allowed.sub("", path.read_text())
        assert not forbidden.search(text), path


def test_import_is_light() -> None:
    program = (
        "import sys, wattring; sys.exit('numpy' in sys.modules or 'dataclasses' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("name", wr.__all__)
def test_public_names_are_there_and_documented(name: str) -> None:
    value = getattr(wr, name)
    assert isinstance(value, str) or value.__doc__


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = wr.nonsense
