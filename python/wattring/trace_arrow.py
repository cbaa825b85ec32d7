"""Traces as one Arrow table, in an Arrow IPC file or in Parquet; needs pyarrow.

A line is a sample (`source` is set) or a window (`window` is set). The header stands in the
schema's metadata under "wattring"; docs/traces.md describes the columns.
"""

from __future__ import annotations

import json
import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from wattring.errors import UnsupportedError
from wattring.trace_content import (
    Content,
    channels_of,
    header_of,
    refuse,
    row_dtype,
    tail_of,
    windows_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    import pyarrow as pa

KEY = b"wattring"


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise UnsupportedError(
            "Arrow and Parquet files need pyarrow", "pip install 'wattring[arrow]', or use .npz"
        ) from None
    return pyarrow


def table_of(content: Content) -> pa.Table:
    """Everything in one table."""
    arrow = _pyarrow()
    of_source = channels_of(content.header)
    names = list(dict.fromkeys(c.name for channels in of_source.values() for c in channels))
    text = arrow.dictionary(arrow.int32(), arrow.string())
    schema = arrow.schema(
        [
            ("source", text),
            ("window", text),
            ("t_begin_ns", arrow.int64()),
            ("t_end_ns", arrow.int64()),
            ("status", arrow.uint64()),
            *((name, arrow.uint64()) for name in names),
        ],
        {KEY: json.dumps(_document(content))},
    )
    tables = []
    for source, rows in content.rows.items():
        columns = _arrays(arrow, rows, rows.dtype.names or ())
        columns["source"] = _repeated(arrow, source, len(rows))
        tables.append(_table(arrow, schema, columns, len(rows)))
    windows = content.windows
    columns = _arrays(arrow, windows, ("t_begin_ns", "t_end_ns"))
    columns["window"] = arrow.array(windows["name"].tolist(), arrow.string()).dictionary_encode()
    tables.append(_table(arrow, schema, columns, len(windows)))
    return arrow.concat_tables(tables).unify_dictionaries()


def _document(content: Content) -> dict[str, Any]:
    return {
        **content.header,
        "lost": content.lost,
        "notes": content.notes,
        # Arrow checks nothing by itself.
        "crc32": {source: _crc(rows) for source, rows in content.rows.items()},
        "windows": _windows_crc(content.windows),
    }


def _crc(rows: npt.NDArray[np.void]) -> int:
    return zlib.crc32(rows.view(np.uint8).data)


def _windows_crc(windows: npt.NDArray[np.void]) -> int:
    """Checksum of windows, however wide their names are stored."""
    return zlib.crc32(json.dumps(windows.tolist()).encode())


def _arrays(arrow: Any, rows: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: arrow.array(np.ascontiguousarray(rows[name])) for name in names}


def _repeated(arrow: Any, text: str, times: int) -> Any:
    codes = arrow.array(np.zeros(times, np.int32))
    return arrow.DictionaryArray.from_arrays(codes, arrow.array([text], arrow.string()))


def _table(arrow: Any, schema: Any, columns: dict[str, Any], length: int) -> Any:
    arrays = [
        columns[field.name] if field.name in columns else arrow.nulls(length, field.type)
        for field in schema
    ]
    return arrow.Table.from_arrays(arrays, schema=schema)


def write(content: Content, file: IO[bytes], *, parquet: bool) -> None:
    """Write a table."""
    table = table_of(content)
    if parquet:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, file)
    else:
        with _pyarrow().ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def read(file: IO[bytes], *, parquet: bool) -> Content:
    """Read what `write()` wrote; `trace_content.check()` is the caller's.

    Raises:
        InvalidError: no trace, or a damaged one.
        UnsupportedError: pyarrow is missing.

    """
    arrow = _pyarrow()
    try:
        if parquet:
            import pyarrow.parquet

            table = pyarrow.parquet.read_table(file)
        else:
            table = arrow.ipc.open_file(file).read_all()
    except (arrow.ArrowException, OSError) as error:
        raise refuse(f"damaged ({str(error).splitlines()[0]})") from None
    text = (table.schema.metadata or {}).get(KEY)
    if text is None:
        raise refuse("it has no header")
    header = header_of(text.decode(errors="replace"))
    tail = tail_of(text.decode(errors="replace"))
    sums = header.pop("crc32", None), header.pop("windows", None)
    header = {key: value for key, value in header.items() if key not in ("lost", "notes")}
    try:
        rows = {
            source: _rows(arrow, table, source, [c.name for c in channels])
            for source, channels in channels_of(header).items()
        }
        windows = _windows(arrow, table)
    except (KeyError, TypeError, ValueError, arrow.ArrowException) as error:
        raise refuse(f"damaged ({error})") from None
    if sums != ({source: _crc(r) for source, r in rows.items()}, _windows_crc(windows)):
        raise refuse("damaged (its samples or windows are not those that were written)")
    return Content(header, rows, windows, tail["lost"], tail["notes"])


def _rows(arrow: Any, table: Any, source: str, channels: list[str]) -> Any:
    import pyarrow.compute

    some = table.filter(pyarrow.compute.equal(table["source"].cast(arrow.string()), source))
    rows = np.zeros(len(some), row_dtype(channels))
    for name in rows.dtype.names or ():
        if some[name].null_count:
            raise ValueError(f"{name} of {source} has holes")
        rows[name] = some[name].to_numpy()
    return rows


def _windows(arrow: Any, table: Any) -> Any:
    import pyarrow.compute

    some = table.filter(pyarrow.compute.is_valid(table["window"]))
    names = some["window"].cast(arrow.string()).to_pylist()
    times = [some[n].to_pylist() for n in ("t_begin_ns", "t_end_ns")]
    return windows_of(list(zip(names, *times, strict=True)))
