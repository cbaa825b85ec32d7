"""Measurements made by hand, for what is done with them afterwards."""

from __future__ import annotations

import wattring as wr
from fakes.power import SIMULATED, functions_of, true_j

INFINITY = float("inf")
CHANNELS = ("package-0", "core-0", "dram-0")


def measurement(**changes: object) -> wr.Measurement:
    """A quarter of a second with two roots; `changes` replace whole fields."""
    fields: dict[str, object] = {
        "t_begin_ns": 1_000_000_000,
        "t_end_ns": 1_250_000_000,
        "energy_j": {"package-0": 12.41, "core-0": 8.0, "dram-0": 0.00456},
        "bounds_j": {"package-0": (12.33, 12.52), "core-0": (7.9, INFINITY), "dram-0": (0, 0.01)},
        "method": dict.fromkeys(CHANNELS, "counter"),
        "source": {"package-0": "rapl_perf", "core-0": "rapl_msr", "dram-0": "rapl_perf"},
        "device": {"package-0": "package 0, A CPU", "core-0": "", "dram-0": ""},
        "refresh_ns": dict.fromkeys(CHANNELS, 976_000),
        "averaging_ns": dict.fromkeys(CHANNELS, 0),
        "coverage": dict.fromkeys(CHANNELS, 1.0),
        "failed": {"package-0": 0, "core-0": 2, "dram-0": 0},
        "ambiguous": dict.fromkeys(CHANNELS, 0),
        "resets": dict.fromkeys(CHANNELS, 0),
        "gaps": {"rapl_perf": 0, "rapl_msr": 0},
        "lost": {"rapl_perf": 0, "rapl_msr": 7},
        "notes": {"core-0": ["2 failed reads", "no later sample proves an upper bound"]},
        "roots": ["package-0", "dram-0"],
    }
    return wr.Measurement(**(fields | changes))  # type: ignore[arg-type]


def assert_true(m: wr.Measurement) -> None:
    """The simulated machine's true energy lies within the bounds, and the estimate as well."""
    assert m.seconds > 0
    for channel, (low, high) in m.bounds_j.items():
        function = functions_of(SIMULATED)[channel]
        assert low <= true_j(function, m.t_begin_ns, m.t_end_ns) <= high
        assert low <= m.energy_j[channel] <= high
