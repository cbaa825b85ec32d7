from types import TracebackType
from typing import Literal, TypeAlias, TypedDict, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

__version__: str

_Rows: TypeAlias = npt.NDArray[np.void]

Quantiles = TypedDict(
    "Quantiles", {"p50": float, "p90": float, "p99": float, "p99.9": float, "max": float}
)

class AutoStats(TypedDict):
    state: Literal["learning", "following", "fixed"]
    reason: str
    updates: int
    seen_share: float
    reads_per_update: float

class SamplerStats(TypedDict):
    period_ns: int
    auto: AutoStats | None
    samples: int
    missed: int
    spared: int
    retries: int
    failed: int
    last_errno: int
    running: bool
    gone: bool
    ambiguous: int
    resets: int
    lateness_ns: Quantiles
    read_ns: Quantiles
    read_s: float
    cpu_s: float
    refused: str
    dropped: int

class BoundedTotal(TypedDict):
    lower_j: float
    energy_j: float
    upper_j: float

class ChannelTotals(TypedDict):
    inclusive: BoundedTotal
    exclusive: BoundedTotal
    summed_j: float
    min_j: float
    max_j: float
    unbounded: int
    still: int
    failed: int
    ambiguous: int
    reset: int

class LedgerEntry(TypedDict):
    name: str
    count: int
    overlapped: int
    cut_off: int
    lost: int
    ns: int
    exclusive_ns: int
    summed_ns: int
    min_ns: int
    max_ns: int
    channels: list[ChannelTotals]

class NativeReport(TypedDict):
    names: list[LedgerEntry]
    open: int
    pending: int
    dropped: int
    late: int

def now_ns() -> int: ...

class Environment:
    sys: str
    dev: str
    proc: str
    nvml: str
    calibration: str
    simulated: str
    def __init__(self) -> None: ...
    @staticmethod
    def from_variables() -> Environment: ...

class Channel:
    def __init__(
        self,
        *,
        name: str,
        device: str,
        note: str,
        parent: str,
        kind: Literal["counter", "gauge", "integral", "variance"],
        unit: str,
        scale: float,
        modulus: int,
        quantum: int,
        refresh_ns: int,
        averaging_ns: int,
        max_power_w: float,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def parent(self) -> str: ...
    @property
    def kind(self) -> Literal["counter", "gauge", "integral", "variance"]: ...
    @property
    def unit(self) -> str: ...
    @property
    def scale(self) -> float: ...
    @property
    def modulus(self) -> int: ...
    @property
    def quantum(self) -> int: ...
    @property
    def refresh_ns(self) -> int: ...
    @property
    def averaging_ns(self) -> int: ...
    @property
    def has_energy(self) -> bool: ...
    @property
    def max_power_w(self) -> float: ...
    @property
    def wrap_s(self) -> float: ...

class Skipped:
    def __init__(
        self, *, source: str, channel: str, code: str, reason: str, remedy: str
    ) -> None: ...
    @property
    def source(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def remedy(self) -> str: ...

class Mark:
    @property
    def t_ns(self) -> int: ...

class ChannelEnergy:
    @property
    def lower_j(self) -> float: ...
    @property
    def value_j(self) -> float: ...
    @property
    def upper_j(self) -> float: ...
    @property
    def still(self) -> bool: ...
    @property
    def failed(self) -> int: ...
    @property
    def ambiguous(self) -> int: ...
    @property
    def reset(self) -> int: ...
    @property
    def gap(self) -> int: ...
    @property
    def lost(self) -> int: ...

class ObservedRefresh:
    @property
    def period_ns(self) -> int: ...
    @property
    def evidence(self) -> Literal["enough", "few_changes", "idle", "slow_polls", "unsteady"]: ...
    @property
    def changes(self) -> int: ...
    @property
    def observed_ns(self) -> int: ...
    @property
    def stale_ns(self) -> int: ...
    @property
    def stale_times(self) -> int: ...
    @property
    def stale(self) -> bool: ...

def source_types() -> list[tuple[str, str, int]]: ...
def probe(env: Environment, source: str) -> tuple[list[Channel], list[Skipped]]: ...
def refresh(session: Session, source: int) -> list[ObservedRefresh]: ...

@final
class Session:
    def __init__(
        self,
        env: Environment,
        sources: list[str],
        period_ns: int | None,
        rows: int,
        cpu: int,
        priority: int,
        spin_ns: int,
        budget: float,
        visible_gpus: tuple[str, dict[str, str]] | None,
        gpu_gauges: list[str],
    ) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def running(self) -> bool: ...
    @property
    def skipped(self) -> list[Skipped]: ...
    def names(self) -> list[str]: ...
    def channels(self, arg0: int, /) -> list[Channel]: ...
    def capacity(self, arg0: int, /) -> int: ...
    def stats(self, arg0: int, /) -> SamplerStats: ...
    def newest_row(self, arg0: int, /) -> tuple[int, list[float | None]] | None: ...
    def report(self) -> NativeReport: ...
    def ended_windows(self, cursor: int) -> tuple[list[tuple[str, int, int]], int, int]: ...
    def mark(self, t_ns: int) -> Mark: ...
    def between(self, begin: Mark, end: Mark) -> list[list[ChannelEnergy]]: ...
    def read_rows(
        self, source: int, cursor: int, dtype: np.dtype[np.void]
    ) -> tuple[_Rows, int, int]: ...
    def view_rows(self, source: int, dtype: np.dtype[np.void]) -> _Rows: ...

class Window:
    def __new__(cls, session: Session, name: str) -> Self: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...
    def settled(self) -> tuple[Mark, Mark, bool]: ...

_Times: TypeAlias = npt.NDArray[np.int64]
_Values: TypeAlias = npt.NDArray[np.float64]

@final
class Timeline:
    def __init__(self, rows: _Rows, channels: list[Channel]) -> None: ...
    @staticmethod
    def check(rows: _Rows, channels: list[Channel]) -> None: ...
    def between(self, t0_ns: _Times, t1_ns: _Times) -> tuple[_Values, _Values, _Values]: ...
    def energy(self, t0_ns: int, t1_ns: int) -> list[ChannelEnergy]: ...
    def knots(self, channel: int) -> tuple[_Times, npt.NDArray[np.uint64], _Times]: ...
