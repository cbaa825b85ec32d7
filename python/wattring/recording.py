"""A session's samples and windows, written to a file while they come."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wattring import trace_file
from wattring.errors import InvalidError, StateError
from wattring.figures import counted
from wattring.provenance import clock_offset
from wattring.trace_content import windows_of

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from wattring.session import Session

# Of a row's status: missed deadlines, a counter unread for so long that it may have wrapped unseen,
# and every channel.
HOLE = np.uint64(8 | 2 | ~0xFF & 0xFFFF_FFFF_FFFF_FFFF)


class Recording:
    """Writes a trace part by part, from `session.record(path)`; `close()` it, or use `with`.

    What a part contains is safe from the end of this process once it is written; `load()` reads a
    file that was cut off up to there. In a child of fork it is closed, and the parent's goes on.

    Attributes:
        rows: samples written so far, of all sources.
        windows: windows written so far.

    """

    def __init__(self, session: Session, path: str | os.PathLike[str], every_s: float) -> None:
        path = Path(path)
        if path.suffix != ".npz":
            raise InvalidError(
                f"a recording can't be written to {path.name}: unknown ending {path.suffix!r}",
                "record to .npz, and save() what load() gives as .parquet or .arrow",
            )
        if not every_s > 0:
            raise InvalidError(f"a part can't be written every {every_s} s", "give some seconds")
        self.rows = 0
        self.windows = 0
        self._session = session
        self._header = session._header()
        self._readers = {source: session.reader(source) for source in session.sources}
        self._cursor = 0  # into the session's windows
        self._missing = 0  # windows that were overwritten before they could be written
        self._error: OSError | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()  # whoever writes; held over a fork
        self._stop = threading.Event()
        self._path = path
        self._file = path.open("wb")
        try:
            with trace_file.naming(path):
                self._writer = trace_file.Writer(self._file, self._header)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.close()
            raise
        self._begun = False
        self._write()
        # A quarter of what the ring holds, so that a late part loses nothing.
        self._every_s = min(every_s, session._ring_seconds() / 4)
        # It holds no reference, so that it ends when nobody holds the recording any more.
        self._thread = threading.Thread(
            target=_write_parts, args=(weakref.ref(self), self._stop, self._every_s), daemon=True
        )
        with _forking:
            _recordings.add(self)
        self._thread.start()

    @property
    def lost(self) -> dict[str, int]:
        """Per source: samples that were overwritten before they could be written."""
        return {source: reader.lost for source, reader in self._readers.items()}

    def flush(self) -> None:
        """Write what there is now.

        Raises:
            StateError: it is closed, or another process's.
            OSError: the file can't be written; so does `close()`, then.

        """
        with self._lock:
            if self._file.closed or os.getpid() != self._owner:
                raise StateError("this recording is closed", "open another one")
            self._write()
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Write the rest and end the file; closing twice does no harm.

        Raises:
            OSError: a part could not be written; what was written before can be read.

        """
        if os.getpid() != self._owner:
            return
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock, trace_file.naming(self._path):  # closing writes what is held back
            if self._file.closed:
                return
            try:
                self._session._cover()
                self._write()
                if self._error is None:
                    self._writer.close(self._tail())
            finally:
                self._writer.abandon()
                self._file.close()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tail(self) -> dict[str, Any]:
        notes = []
        if self._missing:
            missing = counted(self._missing, "window", "windows")
            notes.append(f"{missing} came faster than could be written; not in this trace")
        clocks = [*self._header["clocks"], clock_offset()]
        return {"lost": self.lost, "notes": notes, "clocks": clocks}

    def _write(self) -> None:
        if self._error is not None:
            return
        try:
            with trace_file.naming(self._path):
                self._write_part()
        except OSError as error:
            self._error = error

    def _write_part(self) -> None:
        # Windows first: the samples that cover them are there by then.
        ended, self._cursor, missing = self._session._native.ended_windows(self._cursor)
        self._missing += missing if self._begun else 0
        for source, reader in self._readers.items():
            lost = reader.lost
            rows = reader.read()
            if len(rows):
                if not self._begun:
                    reader.lost = 0  # what was overwritten before is not a part of this
                elif reader.lost > lost:
                    rows["status"][0] |= HOLE
                self._writer.rows(source, rows)
                self.rows += len(rows)
        if ended:
            self._writer.windows(windows_of(ended))
            self.windows += len(ended)
        self._begun = True
        self._writer.flush()


_recordings: weakref.WeakSet[Recording] = weakref.WeakSet()


def _write_parts(recording: weakref.ref[Recording], stop: threading.Event, every_s: float) -> None:
    while not stop.wait(every_s):
        it = recording()
        if it is None:
            return
        with it._lock:
            it._write()
        del it


_forking = threading.Lock()  # held over a fork, as are the locks of these:
_held: list[Recording] = []


def _before_fork() -> None:
    _forking.acquire()
    _held.extend(_recordings)  # some may go before the fork is over; none comes
    for recording in _held:
        recording._lock.acquire()


def _after_fork() -> None:
    for recording in _held:
        recording._lock.release()
    _held.clear()
    _forking.release()


def _in_child() -> None:
    # The file is the parent's: whatever this process still does to it goes nowhere.
    for recording in _held:
        if not recording._file.closed:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, recording._file.fileno(), inheritable=False)
            os.close(nowhere)
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
