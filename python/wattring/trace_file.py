"""Traces in files. The format is chosen by the ending, and recognised by the content.

A .npz is a zip of .npy arrays (docs/traces.md): `header` and `tail` (JSON text), `rows.SOURCE.N`
and `windows.N` (structured arrays, N = 0, 1, …), in the order of time. A recording appends a part
at a time; when it is cut off, what it had written can be read nevertheless.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from wattring.errors import InvalidError
from wattring.trace_content import (
    Content,
    channels_of,
    check,
    header_of,
    join,
    refuse,
    row_dtype,
    tail_of,
    windows_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

ARROW_ENDINGS = (".arrow", ".feather", ".parquet")
ZIP, ARROW, PARQUET = b"PK\x03\x04", b"ARROW1", b"PAR1"
CUT_OFF = "the recording was cut off; this is what it had written"
LOCAL_HEADER = struct.Struct("<4s5H3I2H")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the operating system say which file could not be written."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


class Writer:
    """Appends to a .npz; what was flushed can be read, whatever happens later."""

    def __init__(self, file: IO[bytes], header: dict[str, Any]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._file = file
        self._parts: dict[str, int] = {}
        self._add("header", np.array(json.dumps(header, ensure_ascii=False, allow_nan=False)))

    def rows(self, source: str, rows: npt.NDArray[np.void]) -> None:
        """Append samples of a source."""
        self._add(self._next(f"rows.{source}"), rows)

    def windows(self, windows: npt.NDArray[np.void]) -> None:
        """Append windows."""
        self._add(self._next("windows"), windows)

    def flush(self) -> None:
        """Hand everything to the operating system, where it survives this process."""
        self._file.flush()

    def close(self, tail: dict[str, Any]) -> None:
        """Write what is known at the end, and the table of contents."""
        self._add("tail", np.array(json.dumps(tail, ensure_ascii=False, allow_nan=False)))
        self._zip.close()
        self._file.flush()

    def abandon(self) -> None:
        """Write nothing more, not even when this is collected."""
        self._zip.fp = None

    def _next(self, name: str) -> str:
        part = self._parts.get(name, 0)
        self._parts[name] = part + 1
        return f"{name}.{part}"

    def _add(self, name: str, array: npt.NDArray[Any]) -> None:
        try:
            with self._zip.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        except OSError:
            self.abandon()  # else it would try again, and complain, when it is collected
            raise


def save(content: Content, path: str | os.PathLike[str]) -> None:
    """Write a whole trace; what stood in the path's place is replaced at the end."""
    path = Path(path)
    if path.suffix not in (".npz", *ARROW_ENDINGS):
        raise InvalidError(
            f"a trace can't be written to {path.name}: unknown ending {path.suffix!r}",
            "use .npz, .parquet or .arrow",
        )
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with naming(path), draft.open("wb") as file:
            if path.suffix in ARROW_ENDINGS:
                from wattring import trace_arrow

                trace_arrow.write(content, file, parquet=path.suffix == ".parquet")
            else:
                writer = Writer(file, content.header)
                for source, rows in content.rows.items():
                    writer.rows(source, rows)
                writer.windows(content.windows)
                clocks = content.header["clocks"]
                writer.close({"lost": content.lost, "notes": content.notes, "clocks": clocks})
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> Content:
    """Read a trace.

    Raises:
        InvalidError: no trace, a damaged one, or one of a version that this one doesn't know.
        OSError: the file can't be read.

    """
    with Path(path).open("rb") as file:
        magic = file.read(8)
        file.seek(0)
        if magic.startswith((ARROW, PARQUET)):
            from wattring import trace_arrow

            content = trace_arrow.read(file, parquet=magic.startswith(PARQUET))
        elif magic.startswith(ZIP):
            content = _read_npz(file)
        else:
            raise refuse("neither .npz, Arrow nor Parquet")
        return check(content)


def _read_npz(file: IO[bytes]) -> Content:
    arrays: dict[str, npt.NDArray[Any]] = {}
    whole = zipfile.is_zipfile(file)
    file.seek(0)
    try:
        for name, data in _members(file) if whole else _members_of_torso(file):
            if name.endswith(".npy"):
                array = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
                arrays[name.removesuffix(".npy")] = array
    except (ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise refuse(f"damaged ({error})") from None
    if "header" not in arrays:
        raise refuse("it has no header")
    header = header_of(_text(arrays["header"]))
    tail: dict[str, Any] = {"lost": {}, "notes": [CUT_OFF]}
    if "tail" in arrays:
        tail = tail_of(_text(arrays["tail"]))
        header = header_of(json.dumps({**header, "clocks": tail.get("clocks")}))
    rows = {
        source: join(_parts(arrays, f"rows.{source}"), row_dtype(c.name for c in channels))
        for source, channels in channels_of(header).items()
    }
    sources = {n[len("rows.") : n.rindex(".")] for n in arrays if n.startswith("rows.")}
    if not sources <= rows.keys():
        raise refuse("its samples are not those of the sources in its header")
    windows = join(_parts(arrays, "windows"), windows_of([]).dtype)
    return Content(header, rows, windows, tail["lost"], tail["notes"])


def _text(array: npt.NDArray[Any]) -> object:
    return array.item() if array.shape == () else None


def _parts(arrays: dict[str, npt.NDArray[Any]], name: str) -> list[npt.NDArray[Any]]:
    found: list[npt.NDArray[Any]] = []
    while (part := arrays.get(f"{name}.{len(found)}")) is not None:
        found.append(part)
    return found


def _members(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def _members_of_torso(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Whole members of a zip whose end, with the table of contents, was never written."""
    while len(fixed := file.read(LOCAL_HEADER.size)) == LOCAL_HEADER.size:
        magic, _, _, method, _, _, crc, size, _, name_size, extra_size = LOCAL_HEADER.unpack(fixed)
        name = file.read(name_size).decode(errors="replace")
        extra = file.read(extra_size)
        if magic != ZIP or method != zipfile.ZIP_STORED:
            return
        if size == 0xFFFFFFFF and extra[:2] == b"\x01\x00" and len(extra) >= 20:
            size = struct.unpack_from("<Q", extra, 12)[0]  # zip64: real size, then stored size
        left = os.fstat(file.fileno()).st_size - file.tell()
        if size == 0 or size > left:  # the size is written last
            return
        data = file.read(size)
        if zlib.crc32(data) != crc:
            return
        yield name, data
