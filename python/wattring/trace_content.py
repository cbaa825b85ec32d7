"""What a trace consists of, whatever file it lies in: header, rows per source, windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wattring import _core
from wattring.documents import parse
from wattring.errors import InvalidError
from wattring.provenance import CHANNEL_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from wattring._core import Channel

FORMAT = "wattring.Trace/1"
REMEDY = "give a file that Trace.save() or Session.record() wrote"


@dataclass(frozen=True)
class Content:
    """The parts of a trace; `rows` per source as `row_dtype()` says, windows as `windows_of()`."""

    header: dict[str, Any]
    rows: dict[str, npt.NDArray[np.void]]
    windows: npt.NDArray[np.void]
    lost: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for array in (*self.rows.values(), self.windows):
            array.flags.writeable = False


def refuse(reason: str) -> InvalidError:
    """Build the error for a file that is damaged, or no trace at all."""
    return InvalidError(f"this is no trace: {reason}", REMEDY)


def row_dtype(channels: Iterable[str]) -> np.dtype[np.void]:
    """Type of a row: t_begin_ns, t_end_ns (int64), status, then one uint64 per channel."""
    fields: list[Any] = [("t_begin_ns", "<i8"), ("t_end_ns", "<i8"), ("status", "<u8")]
    return np.dtype(fields + [(channel, "<u8") for channel in channels])


def windows_of(windows: Sequence[tuple[str, int, int]]) -> npt.NDArray[np.void]:
    """Build the array of windows: name (text), t_begin_ns, t_end_ns (int64)."""
    longest = max((len(name) for name, _, _ in windows), default=1)
    dtype = [("name", f"<U{max(1, longest)}"), ("t_begin_ns", "<i8"), ("t_end_ns", "<i8")]
    return np.array(windows, dtype)


def join(parts: Sequence[npt.NDArray[np.void]], empty: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """Put arrays one behind the other; texts become as wide as the widest."""
    return np.concatenate(parts) if parts else np.zeros(0, empty)


def header_of(text: object) -> dict[str, Any]:
    """Read and check a header.

    Raises:
        InvalidError: no header of this format, or a damaged one.

    """
    header = _parse(text)
    if "format" not in header:
        raise refuse("it has no header of one")
    if header["format"] != FORMAT:
        raise refuse(f"its format is {header['format']!r}, this version reads {FORMAT!r}")
    try:
        channels_of(header)
        for clock in header["clocks"]:
            if not all(isinstance(clock[k], int) for k in ("monotonic_ns", "realtime_ns")):
                raise refuse("its header has a clock that is none")
        if not header["clocks"] or not isinstance(header["period_ns"], int):
            raise refuse("its header lacks a clock or the period")
    except (KeyError, TypeError, AttributeError) as error:
        raise refuse(f"its header is damaged ({type(error).__name__}: {error})") from None
    return header


def tail_of(text: object) -> dict[str, Any]:
    """Read and check what is known at the end: `lost` (per source), `notes`; maybe `clocks`.

    Raises:
        InvalidError: it is damaged.

    """
    tail = _parse(text)
    lost, notes = tail.get("lost"), tail.get("notes")
    if not isinstance(lost, dict) or not all(isinstance(n, int) for n in lost.values()):
        raise refuse("what it says of lost samples is damaged")
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise refuse("its notes are damaged")
    return tail


def _parse(text: object) -> dict[str, Any]:
    try:
        document = parse(text)  # type: ignore[arg-type]
    except InvalidError as error:
        raise refuse(error.reason) from None
    if not isinstance(document, dict):
        raise refuse("it has no header of one")
    return document


def channels_of(header: dict[str, Any]) -> dict[str, list[Channel]]:
    """Build the channels per source that a header describes."""
    found = {}
    for source, facts in header["sources"].items():
        found[source] = [_channel(channel) for channel in facts["channels"]]
        if len({channel.name for channel in found[source]}) < len(found[source]):
            raise refuse(f"{source} has two channels of one name")
    return found


def _channel(facts: dict[str, Any]) -> Channel:
    known: dict[str, Any] = {}
    for name, kind in CHANNEL_FIELDS.items():
        value: Any = facts[name]
        if kind is float and isinstance(value, int):
            value = float(value)
        if type(value) is not kind or (isinstance(value, int) and value < 0):
            raise refuse(f"its header has a channel whose {name} is {value!r}")
        known[name] = value
    try:
        return _core.Channel(**known)
    except InvalidError as error:
        raise refuse(f"its header is damaged ({error.reason})") from None
    except TypeError:
        raise refuse("its header has a channel with a number that is out of range") from None


def check(content: Content) -> Content:
    """Check that rows and windows are what the header says.

    Raises:
        InvalidError: they are not.

    """
    channels = channels_of(content.header)
    if content.rows.keys() != channels.keys():
        raise refuse("its samples are not those of the sources in its header")
    for source, rows in content.rows.items():
        if rows.ndim != 1 or rows.dtype != row_dtype(c.name for c in channels[source]):
            raise refuse(f"its samples of {source} do not have the columns that its header names")
        _core.Timeline.check(rows, channels[source])
    windows = content.windows
    if windows.ndim != 1 or windows.dtype.names != ("name", "t_begin_ns", "t_end_ns"):
        raise refuse("its windows are damaged")
    kinds = [windows.dtype[i].kind for i in range(3)]
    if kinds != ["U", "i", "i"] or np.any(windows["t_end_ns"] < windows["t_begin_ns"]):
        raise refuse("its windows are damaged")
    return content
