"""Power functions, as the simulated machine and the fakes in C take them, and their truth."""

from __future__ import annotations

import math

SIMULATED = "package-0=square:20:80:0.5,core-0=square:10:60:0.5,dram-0=const:5"


def true_j(function: str, t0_ns: int, t1_ns: int) -> float:
    """Exact energy of a function between two time stamps; fake_power.h says what functions mean."""
    return joules_until(function, t1_ns) - joules_until(function, t0_ns)


def joules_until(function: str, t_ns: int) -> float:
    """Energy from time 0 of the clock, by the very operations of fake_power.h."""
    shape, *numbers = function.split(":")
    first_w, then_w, first_s, period_s = _parts(shape, *map(float, numbers))
    t_s = t_ns * 1e-9
    whole = math.floor(t_s / period_s)
    rest_s = t_s - whole * period_s
    then_s = period_s - first_s
    return (
        whole * (first_w * first_s + then_w * then_s)
        + first_w * min(rest_s, first_s)
        + then_w * max(rest_s - first_s, 0)
    )


def _parts(
    shape: str, low_w: float, high_w: float = 0, period_s: float = 1, duty: float = 0
) -> tuple[float, float, float, float]:
    """Watts of the two parts of a period, seconds of the first one and of the whole."""
    if shape == "const":
        return low_w, low_w, 0.5, 1
    if shape == "square":
        return low_w, high_w, period_s / 2, period_s
    if shape == "bursts":
        return high_w, low_w, period_s * duty, period_s
    raise ValueError(f"no power function '{shape}'")


def functions_of(text: str) -> dict[str, str]:
    """Split "package-0=const:5,…" by channel."""
    return dict(entry.split("=") for entry in text.split(","))
