"""The samples of a session: copies, the live rings, readers that go on from where they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wattring.errors import InvalidError, refuse_pickle

if TYPE_CHECKING:
    from typing import NoReturn

    import numpy as np
    import numpy.typing as npt

    from wattring import _core
    from wattring._core import Channel


class Samples:
    """What a session has in its rings."""

    _native: _core.Session
    _names: list[str]
    _channels: dict[str, list[Channel]]
    _period_ns: int

    def __init__(self) -> None:
        self._dtypes: dict[str, np.dtype[np.void]] = {}

    def dtype(self, source: str) -> np.dtype[np.void]:
        """Type of a row: t_begin_ns, t_end_ns (int64), status, then one uint64 per channel.

        A counter's column is cumulative since its first reading, in ticks of `channel.scale`
        joules.
        """
        from wattring.trace_content import row_dtype

        if source not in self._dtypes:
            channels = self._channels[self._named(source)]
            self._dtypes[source] = row_dtype(channel.name for channel in channels)
        return self._dtypes[source]

    def samples(self, source: str) -> npt.NDArray[np.void]:
        """All rows in the ring, oldest first, as a copy: structured array of shape (n,).

        Raises:
            InvalidError: no such source in this session.
            StateError: the session belongs to another process.

        """
        return self._read(source, 0)[0]

    def reader(self, source: str) -> Reader:
        """Read continuously: each call gives the rows since the last one."""
        return Reader(self, self._named(source))

    def ring_view(self, source: str) -> npt.NDArray[np.void]:
        """Rows of the live ring without a copy: read-only, shape (n,), oldest first.

        The view keeps the ring alive. Its length is fixed; its oldest rows are overwritten when the
        writer comes round, so copy what must not change, or use `samples()`.
        """
        index = self._names.index(self._named(source))
        return self._native.view_rows(index, self.dtype(source))

    def _ring_seconds(self) -> float:
        """Time in which the smallest ring goes round."""
        capacity = min(self._native.capacity(i) for i in range(len(self._names)))
        return capacity * self._period_ns * 1e-9

    def _read(self, source: str, cursor: int) -> tuple[npt.NDArray[np.void], int, int]:
        index = self._names.index(self._named(source))
        return self._native.read_rows(index, cursor, self.dtype(source))

    def _named(self, source: str) -> str:
        if source not in self._channels:
            raise InvalidError(
                f"this session does not read {source!r}", f"it reads: {', '.join(self._names)}"
            )
        return source


class Reader:
    """A cursor into one source's ring. `lost` counts rows overwritten before they were read.

    For one thread: two that share it may both get the same rows.
    """

    def __init__(self, session: Samples, source: str) -> None:
        self._session = session
        self._source = source
        self._cursor = 0
        self.lost = 0

    def read(self) -> npt.NDArray[np.void]:
        """Rows since the last call, oldest first; may be empty. Structured array of shape (n,)."""
        rows, self._cursor, lost = self._session._read(self._source, self._cursor)
        self.lost += lost
        return rows

    def __reduce__(self) -> NoReturn:
        refuse_pickle(self)
