"""Power functions, as the simulated machine and the fake perf events take them, and their truth."""

from __future__ import annotations

SIMULATED = "package-0=square:20:80:0.5,core-0=square:10:60:0.5,dram-0=const:5"


def true_j(function: str, t0_ns: int, t1_ns: int) -> float:
    """Exact energy of "const:W" or "square:LOW:HIGH:PERIOD_S" between two time stamps."""
    return _until(function, t1_ns * 1e-9) - _until(function, t0_ns * 1e-9)


def _until(function: str, t_s: float) -> float:
    shape, *numbers = function.split(":")
    if shape == "const":
        return float(numbers[0]) * t_s
    low_w, high_w, period_s = map(float, numbers)
    whole, rest_s = divmod(t_s, period_s)
    half_s = period_s / 2
    return (
        whole * half_s * (low_w + high_w)
        + low_w * min(rest_s, half_s)
        + high_w * max(rest_s - half_s, 0)
    )


def functions_of(text: str) -> dict[str, str]:
    """Split "package-0=const:5,…" by channel."""
    return dict(entry.split("=") for entry in text.split(","))
