"""Durations as people write them."""

from __future__ import annotations

import math
import re

from wattring.errors import InvalidError

AUTO = "auto"  # in the place of a period: as often as there is news

_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # micro sign
    "μs": 10**3,  # Greek letter
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
}
_PATTERN = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)


def parse_duration_ns(duration: str | float) -> int:
    """Nanoseconds of `"1ms"`, `"250us"`, `"2s"`, or of a number of seconds.

    Raises:
        InvalidError: not a duration, or not above zero.

    """
    remedy = 'write "1ms", "250us", or seconds as a number'
    if isinstance(duration, str):
        match = _PATTERN.fullmatch(duration)
        unit = (match[2].lower() or "s") if match else ""
        if match is None or unit not in _UNITS_NS:
            raise InvalidError(f"{duration!r} is no duration", remedy)
        ns = float(match[1]) * _UNITS_NS[unit]
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        try:
            ns = float(duration) * 1e9
        except OverflowError:
            ns = math.inf
    else:
        raise InvalidError(f"{duration!r} is no duration", remedy)
    if not math.isfinite(ns) or ns < 1 or ns > 1e18:
        raise InvalidError(f"a duration of {duration!r} is not possible", remedy)
    return round(ns)
