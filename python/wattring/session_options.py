"""What a session is opened with: checks what was asked for, and opens the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wattring import _core
from wattring.durations import parse_duration_ns
from wattring.errors import InvalidError
from wattring.visible import seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wattring._core import Environment, Skipped


def open_native(
    environment: Environment,
    period_ns: int | None,
    sources: str | Sequence[str],
    *,
    rows: int,
    cpu: int | None,
    priority: int,
    spin: str | float,
    gpu_budget: float,
    gpu_gauges: str | Sequence[str],
) -> tuple[_core.Session, list[Skipped]]:
    """Open the native session; also what could not be told of the GPUs that the program sees.

    The arguments are those of `Session`, the period in nanoseconds (None: to be found).

    Raises:
        AbsentError, DeniedError, UnsupportedError: nothing can be read.
        InvalidError: what was asked for is not possible.

    """
    names = [sources] if isinstance(sources, str) else list(sources)
    if not 1 <= rows <= 2**28:
        raise InvalidError(f"a ring of {rows} rows is not possible", "ask for 1 to 2**28")
    if cpu is not None and cpu < 0:
        raise InvalidError(f"there is no CPU {cpu}", "ask for cpu=0 or above")
    if priority < 0:
        raise InvalidError(f"there is no priority {priority}", "ask for 1 to 99, or 0 for none")
    if not 0 < gpu_budget <= 1:
        raise InvalidError(
            f"a share of {gpu_budget} of the time is none", "ask for gpu_budget=0.005"
        )
    with seen(environment, names) as (visible_gpus, unknown):
        native = _core.Session(
            environment,
            names,
            period_ns,
            rows,
            -1 if cpu is None else cpu,
            priority,
            parse_duration_ns(spin) if spin != 0 else 0,
            gpu_budget,
            visible_gpus,
            [gpu_gauges] if isinstance(gpu_gauges, str) else list(gpu_gauges),
        )
    return native, unknown
