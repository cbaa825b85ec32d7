"""Samples, windows and provenance, kept for later: in memory, in a file."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from wattring import _core, trace_file
from wattring.energies import Energies
from wattring.errors import InvalidError
from wattring.figures import counted
from wattring.measurement import Measurement, root_channels
from wattring.measurement_build import from_energies
from wattring.trace_content import Content, channels_of, windows_of

if TYPE_CHECKING:
    import os

    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

    from wattring._core import Channel, Timeline

GAP = 8  # of a row's status: deadlines were missed since the row before


class Trace:
    """What a session saw: from `session.trace()`, or from a file by `wattring.load()`.

    It never changes, and any thread may use it.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self._channels = channels_of(content.header)
        self._timelines: dict[str, Timeline] = {}
        self._lock = threading.Lock()

    @property
    def sources(self) -> list[str]:
        """Names of the sources that were read."""
        return list(self._channels)

    @property
    def channels(self) -> dict[str, list[Channel]]:
        """Channels per source, in the order of their columns."""
        return {source: list(channels) for source, channels in self._channels.items()}

    @property
    def header(self) -> dict[str, Any]:
        """Provenance: machine, clocks, period_ns, sources with their drivers, skipped."""
        return copy.deepcopy(self._content.header)

    @property
    def windows(self) -> npt.NDArray[np.void]:
        """Windows that ended while this was recorded, in the order in which they did.

        Structured array of shape (n,): name (text), t_begin_ns, t_end_ns (int64). For their
        energies: `trace.energy_between(windows["t_begin_ns"], windows["t_end_ns"])`.
        """
        return self._content.windows

    @property
    def lost(self) -> dict[str, int]:
        """Per source: samples that were overwritten before they could be kept.

        A hole that they left is marked as a span in which the counter may have wrapped unseen.
        """
        return dict(self._content.lost)

    @property
    def notes(self) -> list[str]:
        """What limits the whole: a recording that was cut off, windows that are missing."""
        return list(self._content.notes)

    @property
    def t_begin_ns(self) -> int:
        """From here on every source was sampled; CLOCK_MONOTONIC."""
        return max((int(rows["t_end_ns"][0]) for rows in self._rows if len(rows)), default=0)

    @property
    def t_end_ns(self) -> int:
        """Up to here."""
        return min((int(rows["t_begin_ns"][-1]) for rows in self._rows if len(rows)), default=0)

    @property
    def seconds(self) -> float:
        """Length in which every source was sampled."""
        return (self.t_end_ns - self.t_begin_ns) * 1e-9

    def samples(self, source: str) -> npt.NDArray[np.void]:
        """Rows of a source as the session's `samples()` gives them; read-only, shape (n,).

        Raises:
            InvalidError: no such source.

        """
        if source not in self._channels:
            raise InvalidError(
                f"this trace has no source {source!r}", f"it has: {', '.join(self._channels)}"
            )
        return self._content.rows[source]

    def energy(self, channel: str) -> npt.NDArray[np.void]:
        """Energy of a counter since the first sample, at the instants at which it was updated.

        Between two of them it is taken to run along a line; a counter that never moved has none.
        Structured array of shape (n,): t_ns (int64, CLOCK_MONOTONIC), energy_j (float64).

        Raises:
            InvalidError: no such counter.

        """
        source, index = self._find(channel)
        t_ns, ticks, _ = self._timeline(source).knots(index)
        found = np.zeros(len(t_ns), [("t_ns", "i8"), ("energy_j", "f8")])
        found["t_ns"] = t_ns
        found["energy_j"] = ticks * self._channels[source][index].scale
        return found

    def power(self, channel: str) -> npt.NDArray[np.void]:
        """Mean power of a counter between successive updates of it.

        Not between polls: those see an update or two or none, which looks like 0 W and double
        power. Structured array of shape (n,): t_begin_ns, t_end_ns (int64, CLOCK_MONOTONIC),
        power_w (float64), gap (bool: the sampler missed deadlines in between, so that less is known
        of how the power went there; the mean holds).

        Raises:
            InvalidError: no such counter.

        """
        source, index = self._find(channel)
        t_ns, ticks, row = self._timeline(source).knots(index)
        found = np.zeros(
            max(0, len(t_ns) - 1),
            [("t_begin_ns", "i8"), ("t_end_ns", "i8"), ("power_w", "f8"), ("gap", "?")],
        )
        found["t_begin_ns"] = t_ns[:-1]
        found["t_end_ns"] = t_ns[1:]
        joules = np.diff(ticks) * self._channels[source][index].scale
        found["power_w"] = joules / (np.diff(t_ns) * 1e-9)
        gaps = np.cumsum(self._content.rows[source]["status"] & GAP != 0)
        found["gap"] = np.diff(gaps[row]) > 0
        return found

    def energy_between(self, t0_ns: npt.ArrayLike, t1_ns: npt.ArrayLike) -> Energies:
        """Energies of many windows at once, every counter, with bounds; some million a second.

        Args:
            t0_ns: begins, integers of CLOCK_MONOTONIC, shape (n,).
            t1_ns: ends, likewise.

        Raises:
            InvalidError: other shapes, no integers, or an end before its begin.

        """
        begins, ends = _times(t0_ns), _times(t1_ns)
        if begins.shape != ends.shape:
            raise InvalidError(
                f"{len(begins)} begins and {len(ends)} ends of windows",
                "give as many of one as of the other",
            )
        backwards = np.flatnonzero(ends < begins)
        if backwards.size:
            raise InvalidError(f"window {backwards[0]} ends before it begins")
        energy_j = {}
        bounds_j = {}
        for source, channels in self._channels.items():
            lower, value, upper = self._timeline(source).between(begins, ends)
            for i, channel in enumerate(channels):
                if channel.has_energy:
                    energy_j[channel.name] = value[i]
                    bounds_j[channel.name] = lower[i], upper[i]
        return Energies(begins, ends, energy_j, bounds_j, self._roots)

    def measurement(self, t0_ns: int, t1_ns: int) -> Measurement:
        """One window of this trace, with all that is known of it.

        Raises:
            InvalidError: an end before the begin, or a time before the first sample.

        """
        if t1_ns < t0_ns:
            raise InvalidError("the window ends before it begins")
        return from_energies(
            t0_ns,
            t1_ns,
            [(s, c, self._timeline(s).energy(t0_ns, t1_ns)) for s, c in self._channels.items()],
        )

    def wall_ns(self, t_ns: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Convert time stamps of this trace to nanoseconds since 1970-01-01 UTC, same shape.

        By the wall clock as it was read beside the monotonic one when the trace began and ended,
        and along a line in between; for finding other tools' records beside it.
        """
        times = np.asarray(t_ns, np.int64)
        clocks = self._content.header["clocks"]
        known = [clock["monotonic_ns"] for clock in clocks]
        offsets = [clock["realtime_ns"] - clock["monotonic_ns"] for clock in clocks]
        drift = np.interp(times, known, [offset - offsets[0] for offset in offsets])
        return np.asarray(times + offsets[0] + drift.astype(np.int64), np.int64)

    def to_pandas(self) -> pd.DataFrame:
        """Power of all counters as a pandas DataFrame, one row per update (needs pandas).

        Columns: channel (categorical), t_begin_ns, t_end_ns, energy_j (in between), power_w, gap.
        """
        import pandas as pd

        columns = self._updates()
        channel = pd.Categorical.from_codes(columns.pop("channel"), self._counters)
        return pd.DataFrame({"channel": channel, **columns})

    def to_arrow(self) -> pa.Table:
        """Give the same as a pyarrow Table, channel as a dictionary (needs pyarrow)."""
        import pyarrow as pa

        columns = self._updates()
        names = pa.array(self._counters, pa.string())
        channel = pa.DictionaryArray.from_arrays(pa.array(columns.pop("channel")), names)
        return pa.table({"channel": channel, **columns})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, by its ending: .npz, .parquet, .arrow (the last two need pyarrow).

        The formats are described in docs/traces.md. A file that was there is replaced only when the
        new one is complete.

        Raises:
            InvalidError: another ending.
            OSError: the file can't be written.

        """
        trace_file.save(self._content, path)

    def __repr__(self) -> str:
        rows = ", ".join(f"{source}: {len(r)} rows" for source, r in self._content.rows.items())
        return f"<wattring.Trace {self.seconds:.3f} s, {rows}, {len(self.windows)} windows>"

    @property
    def _rows(self) -> list[npt.NDArray[np.void]]:
        return list(self._content.rows.values())

    @property
    def _counters(self) -> list[str]:
        return [c.name for of in self._channels.values() for c in of if c.has_energy]

    @property
    def _roots(self) -> list[str]:
        return root_channels(c for of in self._channels.values() for c in of)

    def _updates(self) -> dict[str, npt.NDArray[Any]]:
        powers = [self.power(channel) for channel in self._counters]
        codes = [np.full(len(power), i, np.int32) for i, power in enumerate(powers)]
        if not powers:
            raise InvalidError("this trace has no counter")
        power = np.concatenate(powers)
        columns: dict[str, npt.NDArray[Any]] = {"channel": np.concatenate(codes)}
        columns["t_begin_ns"] = power["t_begin_ns"].copy()
        columns["t_end_ns"] = power["t_end_ns"].copy()
        columns["energy_j"] = power["power_w"] * ((power["t_end_ns"] - power["t_begin_ns"]) * 1e-9)
        columns["power_w"] = power["power_w"].copy()
        columns["gap"] = power["gap"].copy()
        return columns

    def _find(self, channel: str) -> tuple[str, int]:
        for source, channels in self._channels.items():
            for index, each in enumerate(channels):
                if each.name == channel and each.has_energy:
                    return source, index
        raise InvalidError(
            f"this trace has no counter {channel!r}", f"it has: {', '.join(self._counters)}"
        )

    def _timeline(self, source: str) -> Timeline:
        with self._lock:
            if source not in self._timelines:
                rows = self._content.rows[source]
                self._timelines[source] = _core.Timeline(rows, self._channels[source])
            return self._timelines[source]


def in_memory(
    header: dict[str, Any],
    rows: dict[str, npt.NDArray[np.void]],
    ended: list[tuple[str, int, int]],
    lost: int,
) -> Trace:
    """Build a trace of what a session has; windows that began before the samples are left out."""
    trace = Trace(Content(header, rows, windows_of(ended)))
    windows = trace.windows
    covered = windows["t_begin_ns"] >= trace.t_begin_ns
    left_out = lost + int(np.count_nonzero(~covered))
    began = f"{counted(left_out, 'window', 'windows')} began before the oldest sample"
    notes = [f"{began}; not in this trace"] if left_out else []
    return Trace(Content(header, rows, windows[covered], {}, notes))


def load(path: str | os.PathLike[str]) -> Trace:
    """Read a trace from a file that `Trace.save()` or `Session.record()` wrote.

    The format is told by the content. A recording that was cut off (killed, or still going on)
    gives what it had written, and says so in `notes`.

    Raises:
        InvalidError: no trace, or a damaged one; the error says what is wrong.
        UnsupportedError: an Arrow or Parquet file, and pyarrow is not installed.
        OSError: the file can't be read.

    """
    return Trace(trace_file.read(path))


def _times(times: npt.ArrayLike) -> npt.NDArray[np.int64]:
    array = np.atleast_1d(np.asarray(times))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InvalidError(
            f"times are integers in an array of shape (n,), not {array.dtype} of {array.shape}",
            "take them from time.monotonic_ns()",
        )
    return np.ascontiguousarray(array, np.int64)
