"""Traces in files: what is written comes back, and what is damaged or foreign is told apart."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wattring as wr
from wattring.trace import in_memory
from wattring.trace_content import FORMAT, row_dtype

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENDINGS = [".npz", ".parquet", ".arrow"]
REMEDY = "give a file that Trace.save"


@pytest.fixture(scope="module")
def trace() -> wr.Trace:
    """Two sources, names that need care, numbers at the edges of their types."""

    def channel(name: str, **facts: object) -> dict[str, object]:
        known: dict[str, object] = {
            "name": name,
            "device": "package 0, Fake CPU",
            "note": "",
            "parent": "",
            "kind": "counter",
            "unit": "J",
            "scale": 2.0**-14,
            "modulus": 2**32,
            "quantum": 1,
            "refresh_ns": 976_000,
            "averaging_ns": 0,
            "max_power_w": 1000.0,
        }
        return known | facts

    sources = {
        "rapl_msr": [channel("package-0"), channel("core-0", parent="package-0")],
        "nvml": [channel("gpu-0", note="Ω, „quoted“", modulus=0), channel("µ", kind="gauge")],
    }
    header = {
        "format": FORMAT,
        "machine": {"cpu": "Fake CPU", "kernel": "6.1", "wattring": "0.1.0", "host": "h"},
        "clocks": [{"monotonic_ns": 10**15, "realtime_ns": 1_795_000_000 * 10**9, "error_ns": 40}],
        "period_ns": 10**6,
        "sources": {s: {"driver": "Linux 6.1", "channels": c} for s, c in sources.items()},
        "skipped": [],
    }
    rows = {}
    for source, channels in sources.items():
        found = np.zeros(50, row_dtype(str(c["name"]) for c in channels))
        found["t_begin_ns"] = 10**15 + np.arange(50) * 10**6
        found["t_end_ns"] = found["t_begin_ns"] + 2000
        found["status"][7] = 2**64 - 1
        for c in channels:
            found[str(c["name"])] = np.arange(50, dtype=np.uint64) * np.uint64(800)
            if c["kind"] == "gauge":
                found[str(c["name"])] += np.uint64(2**63)
        rows[source] = found
    t = 10**15 + 5 * 10**6
    ended = [("forward", t, t + 10**6), ("rückwärts — λ", t, t), ("", t + 1, t + 2)]
    return in_memory(header, rows, ended, 3)


def assert_same(found: wr.Trace, given: wr.Trace) -> None:
    assert found.header == given.header
    assert found.sources == given.sources
    for source in given.sources:
        assert found.samples(source).dtype == given.samples(source).dtype
        assert found.samples(source).tolist() == given.samples(source).tolist()
    assert found.windows.tolist() == given.windows.tolist()
    assert (found.lost, found.notes) == (given.lost, given.notes)
    assert found.power("package-0").tolist() == given.power("package-0").tolist()


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_saved_comes_back(trace: wr.Trace, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"trace{ending}"
    trace.save(path)
    assert_same(wr.load(path), trace)
    wr.load(str(path)).save(path)  # over itself
    assert_same(wr.load(path), trace)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_real_session_through_a_file(tmp_path: Path, ending: str) -> None:
    with wr.Session(sources="simulated") as session:
        for _ in range(20):
            with session.window("step"):
                pass
        trace = session.trace()
    trace.save(tmp_path / f"trace{ending}")
    found = wr.load(tmp_path / f"trace{ending}")
    assert_same(found, trace)
    windows = found.windows
    times = windows["t_begin_ns"], windows["t_end_ns"]
    for channel, joules in trace.energy_between(*times).energy_j.items():
        assert found.energy_between(*times).energy_j[channel].tolist() == joules.tolist()


def test_an_empty_trace(tmp_path: Path, trace: wr.Trace) -> None:
    rows = {source: trace.samples(source)[:0].copy() for source in trace.sources}
    empty = in_memory(trace.header, rows, [], 0)
    for ending in ENDINGS:
        empty.save(tmp_path / f"trace{ending}")
        found = wr.load(tmp_path / f"trace{ending}")
        assert len(found.samples("nvml")) == len(found.windows) == 0
        assert found.seconds == 0
        assert len(found.power("package-0")) == 0
        assert np.isnan(found.energy_between([0], [1]).total_j).all()
        with pytest.raises(wr.InvalidError, match="before this trace - it has no samples"):
            found.measurement(0, 1)


def test_the_format_is_told_by_the_content(trace: wr.Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "trace.parquet")
    (tmp_path / "trace.parquet").rename(tmp_path / "trace.npz")
    assert_same(wr.load(tmp_path / "trace.npz"), trace)


def test_other_tools_read_the_npz(trace: wr.Trace, tmp_path: Path) -> None:
    """docs/traces.md: the header is JSON text, the rest plain arrays; nothing is pickled."""
    trace.save(tmp_path / "trace.npz")
    with np.load(tmp_path / "trace.npz") as file:
        assert json.loads(str(file["header"])) == trace.header
        assert file["rows.rapl_msr.0"]["package-0"][-1] == 49 * 800
        assert file["windows.0"]["name"].tolist() == ["forward", "rückwärts — λ", ""]
        assert json.loads(str(file["tail"]))["notes"] == trace.notes


def test_other_tools_read_the_table(trace: wr.Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "trace.parquet")
    trace.save(tmp_path / "trace.arrow")
    with pa.ipc.open_file(tmp_path / "trace.arrow") as file:
        table = file.read_all()
    assert table.equals(pq.read_table(tmp_path / "trace.parquet").cast(table.schema))
    frame = table.to_pandas()
    assert frame[frame.source == "rapl_msr"]["core-0"].tolist() == list(range(0, 50 * 800, 800))
    assert frame[frame.source == "nvml"]["core-0"].isna().all()
    windows = frame[frame.window.notna()]
    assert windows.window.tolist() == ["forward", "rückwärts — λ", ""]
    assert windows["status"].isna().all()
    assert json.loads(table.schema.metadata[b"wattring"])["period_ns"] == 10**6


def test_a_failed_save_leaves_what_was_there(
    trace: wr.Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trace.npz"
    path.write_text("precious")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        trace.save(path)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_endings_are_refused(trace: wr.Trace, tmp_path: Path) -> None:
    with pytest.raises(wr.InvalidError, match=r"unknown ending '.csv' .*\.npz, \.parquet"):
        trace.save(tmp_path / "trace.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        wr.load(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"{}", b"t,w\n1,2\n", bytes(100), b"\x7fELF" * 9])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(wr.InvalidError, match=r"neither \.npz, Arrow nor Parquet") as raised:
        wr.load(tmp_path / "x.npz")
    assert raised.value.remedy.startswith(REMEDY)
    assert "\n" not in str(raised.value)


def test_foreign_files_of_these_formats(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "z.parquet")
    for path in tmp_path.iterdir():
        with pytest.raises(wr.InvalidError, match="no header"):
            wr.load(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_files(trace: wr.Trace, tmp_path: Path, ending: str) -> None:
    """A byte that changed, or a missing end: an error, or what was there; never rubbish."""
    path = tmp_path / f"trace{ending}"
    trace.save(path)
    whole = path.read_bytes()
    chance = np.random.default_rng(1)
    for n in sorted(chance.integers(8, len(whole), 60)):
        for content in (whole[:n], whole[:n] + bytes([whole[n] ^ 0xFF]) + whole[n + 1 :]):
            path.write_bytes(content)
            try:
                found = wr.load(path)
            except wr.InvalidError as error:
                assert "\n" not in str(error)
                continue
            for source in trace.sources:
                given, read = trace.samples(source).tolist(), found.samples(source).tolist()
                assert read in ([], given)


def edited(trace: wr.Trace, path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Write a trace whose header was edited."""
    trace.save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays["header"]))
    edit(header)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in {**arrays, "header": np.array(json.dumps(header))}.items():
            data = io.BytesIO()
            np.save(data, array)
            archive.writestr(f"{name}.npy", data.getvalue())


EDITS: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("its format is 'wattring.Trace/2'", lambda h: h.update(format="wattring.Trace/2")),
    ("KeyError: 'sources'", lambda h: h.pop("sources")),
    ("KeyError: 'channels'", lambda h: h["sources"]["nvml"].pop("channels")),
    ("samples are not those of the sources", lambda h: h["sources"].pop("nvml")),
    ("do not have the columns", lambda h: h["sources"]["nvml"]["channels"].pop()),
    (
        "two channels of one name",
        lambda h: h["sources"]["nvml"]["channels"][1].update(name="gpu-0"),
    ),
    ("whose scale is 'x'", lambda h: h["sources"]["nvml"]["channels"][0].update(scale="x")),
    ("whose modulus is -1", lambda h: h["sources"]["nvml"]["channels"][0].update(modulus=-1)),
    ("out of range", lambda h: h["sources"]["nvml"]["channels"][0].update(modulus=2**70)),
    ("of kind 'clock'", lambda h: h["sources"]["nvml"]["channels"][0].update(kind="clock")),
    ("KeyError: 'unit'", lambda h: h["sources"]["nvml"]["channels"][0].pop("kind")),
    ("the period", lambda h: h.update(period_ns="1ms")),
]


@pytest.mark.parametrize(("message", "edit"), EDITS, ids=[message for message, _ in EDITS])
def test_headers_that_cannot_be(
    trace: wr.Trace, tmp_path: Path, message: str, edit: Callable[[dict[str, Any]], object]
) -> None:
    edited(trace, tmp_path / "x.npz", edit)
    with pytest.raises(wr.InvalidError) as raised:
        wr.load(tmp_path / "x.npz")
    assert message.replace("'unit'", "'kind'") in str(raised.value)


def test_rows_that_no_sampler_writes(trace: wr.Trace, tmp_path: Path) -> None:
    rows = {source: trace.samples(source).copy() for source in trace.sources}
    rows["rapl_msr"]["package-0"][30] = 0
    in_memory(trace.header, rows, [], 0).save(tmp_path / "x.npz")
    with pytest.raises(wr.InvalidError, match="package-0 falls in row 30"):
        wr.load(tmp_path / "x.npz")


def test_without_pyarrow_the_error_names_the_extra(trace: wr.Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "x.npz")
    program = (
        "import sys\nsys.modules['pyarrow'] = None\nimport wattring as wr\n"
        f"t = wr.load({str(tmp_path / 'x.npz')!r})\n"
        f"try:\n    t.save({str(tmp_path / 'x.parquet')!r})\n"
        "except wr.UnsupportedError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'wattring[arrow]', or use .npz" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]
