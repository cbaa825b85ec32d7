"""Recordings: a trace written while it is measured, cut off in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wattring as wr
from fakes.driving import wait_until
from fakes.power import true_j

if TYPE_CHECKING:
    from pathlib import Path

DRAM = "const:5"


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def assert_whole(trace: wr.Trace, source: str = "simulated") -> None:
    """No row twice, none left out, none torn."""
    rows = trace.samples(source)
    assert len(rows) > 10
    assert (np.diff(rows["t_begin_ns"]) > 0).all()
    # Every deadline between two rows was missed by the sampler, or it was taken; the first rows and
    # the last are taken off the grid.
    far = np.diff(rows["t_begin_ns"])[16:-16] > 3_000_000
    assert ((rows["status"][17:-16][far] & 8) != 0).all()
    t0, t1 = trace.t_begin_ns, trace.t_end_ns
    lower, upper = trace.measurement(t0, t1 - 10**7).bounds_j["dram-0"]
    assert lower <= true_j(DRAM, t0, t1 - 10**7) <= upper


def test_longer_than_the_ring_and_with_all_windows(tmp_path: Path) -> None:
    path = tmp_path / "long.npz"
    with wr.Session(sources="simulated", rows=512) as session:
        with session.record(path) as recording:
            for _ in range(300):
                with session.window("step"):
                    time.sleep(0.004)
        ring = len(session.samples("simulated"))
        assert recording.windows == 300
        assert recording.lost == {"simulated": 0}
    trace = wr.load(path)
    assert_whole(trace)
    assert len(trace.samples("simulated")) == recording.rows > 1.5 * ring
    assert trace.lost == {"simulated": 0}
    assert trace.notes == []
    assert len(trace.header["clocks"]) == 2
    windows = trace.windows
    assert windows["name"].tolist() == ["step"] * 300
    found = trace.energy_between(windows["t_begin_ns"], windows["t_end_ns"])
    truth = [true_j(DRAM, t0, t1) for _, t0, t1 in windows.tolist()]
    assert (found.bounds_j["dram-0"][0] <= truth).all()
    assert (truth <= found.bounds_j["dram-0"][1]).all()


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """What was flushed loads, to the last row."""
    path = tmp_path / "killed.npz"
    program = """
        import os, signal, sys, time, wattring as wr
        with wr.Session(sources="simulated") as s, s.record(sys.argv[1], every_s=0.02) as r:
            for _ in range(60):
                with s.window("step"):
                    time.sleep(0.005)
            r.flush()
            print(r.rows, r.windows, s.samples("simulated")["t_end_ns"][-1], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = run(program, path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    rows, windows, _ = map(int, done.stdout.split())
    trace = wr.load(path)
    assert trace.notes == ["the recording was cut off; this is what it had written"]
    assert len(trace.samples("simulated")) == rows
    assert len(trace.windows) == windows > 40
    assert_whole(trace)
    trace.save(tmp_path / "mended.npz")
    assert wr.load(tmp_path / "mended.npz").windows.tolist() == trace.windows.tolist()


def test_killed_at_any_moment(tmp_path: Path) -> None:
    program = """
        import sys, time, wattring as wr
        with wr.Session(sources="simulated") as s, s.record(sys.argv[1], every_s=0.0005):
            print("on", flush=True)
            while True:
                with s.window("step"):
                    pass
                time.sleep(0.0001)
    """
    for n in range(8):
        path = tmp_path / f"{n}.npz"
        command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"on\n"
            time.sleep(0.05 + 0.013 * n)
            child.kill()
        assert_whole(wr.load(path))


def test_cut_off_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "whole.npz"
    with wr.Session(sources="simulated") as session, session.record(path, every_s=0.01):
        time.sleep(0.1)
    content = path.read_bytes()
    whole = wr.load(path).samples("simulated")
    seen = set()
    for length in range(0, len(content), 397):
        path.write_bytes(content[:length])
        try:
            rows = wr.load(path).samples("simulated")
        except wr.InvalidError:
            assert length < 6000, "before the header was there"
            continue
        seen.add(len(rows))
        assert rows.tolist() == whole[: len(rows)].tolist()
    assert len(seen) > 4
    # What is left of it may be damaged as well.
    for at in range(6000, len(content) - 500, 1009):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 : -400])
        try:
            rows = wr.load(path).samples("simulated")
        except wr.InvalidError:  # it was in a name, or made no array of it
            continue
        assert rows.tolist() == whole[: len(rows)].tolist()


def test_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "live.npz"
    with (
        wr.Session(sources="simulated") as session,
        session.record(path, every_s=0.01) as recording,
    ):
        first = recording.rows
        wait_until(lambda: recording.rows > first + 30, "more rows")
        trace = wr.load(path)
        assert len(trace.samples("simulated")) >= first + 30
        assert trace.notes


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """What was written before stays, and the error comes out."""
    path = tmp_path / "full.npz"
    program = """
        import resource, signal, sys, time, wattring as wr
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with wr.Session(sources="simulated") as s:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
            r = s.record(sys.argv[1], every_s=0.01)
            try:
                while True:
                    time.sleep(0.01)
                    r.flush()
            except OSError as error:
                print(error)
            try:
                r.close()
            except OSError as error:
                print(error)
            with s.window("goes on"):
                pass
    """
    done = run(program, path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"[Errno 27] File too large: '{path}'\n" * 2
    assert done.stderr == ""
    assert len(wr.load(path).samples("simulated")) > 10


def test_a_disk_that_is_full_from_the_begin(tmp_path: Path) -> None:
    program = """
        import resource, signal, sys, wattring as wr
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with wr.Session(sources="simulated") as s:
            trace = s.trace()
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
            for write in (s.record, trace.save):
                try:
                    write(sys.argv[1])
                except OSError as error:
                    print(error)
    """
    path = tmp_path / "full.npz"
    done = run(program, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"[Errno 27] File too large: '{path}'\n" * 2


def test_a_recorder_that_comes_too_late_marks_the_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hole.npz"
    with wr.Session(sources="simulated", rows=512) as session:
        monkeypatch.setattr(session, "_ring_seconds", lambda: 400.0)
        with session.record(path, every_s=100) as recording:
            begun = recording.rows
            row = session.samples("simulated")["t_begin_ns"][-1]
            wait_until(
                lambda: session.samples("simulated")["t_begin_ns"][0] > row + 10**7,
                "ring gone round",
            )
    assert recording.lost["simulated"] > 0
    trace = wr.load(path)
    assert trace.lost == recording.lost
    rows = trace.samples("simulated")
    assert rows["status"][begun] & 2
    over = trace.measurement(trace.t_begin_ns, trace.t_end_ns)
    assert over.ambiguous["dram-0"] == 1
    assert over.bounds_j["dram-0"][1] == float("inf")
    assert any("stall" in note for note in over.notes["dram-0"])


def test_a_fork_leaves_the_file_to_the_parent(tmp_path: Path) -> None:
    path = tmp_path / "forked.npz"
    program = """
        import gc, os, sys, time, wattring as wr
        with wr.Session(sources="simulated") as s, s.record(sys.argv[1], every_s=0.001) as r:
            for n in range(30):
                child = os.fork()
                if child == 0:
                    if n % 3 == 0:
                        os._exit(0)
                    if n % 3 == 1:
                        r.close()
                        try:
                            r.flush()
                        except wr.StateError:
                            raise SystemExit(0)
                        raise SystemExit(1)
                    del r, s
                    gc.collect()
                    raise SystemExit(0)
                time.sleep(0.005)
                assert os.waitpid(child, 0)[1] == 0, n
    """
    done = run(program, path)
    assert done.returncode == 0, done.stderr
    trace = wr.load(path)
    assert_whole(trace)
    assert trace.notes == []


def test_a_recording_that_another_thread_begins_during_a_fork(tmp_path: Path) -> None:
    program = """
        import os, sys, threading
        threads, begun = [], []
        def begin():
            begun.append(s.record(f"{sys.argv[1]}/during.npz", every_s=0.001))
        def amid():  # registered before the module's own, so it runs after that
            threads.append(threading.Thread(target=begin))
            threads[0].start()
            threads[0].join(0.1)
        os.register_at_fork(before=amid)
        import wattring as wr
        with wr.Session(sources="simulated") as s, s.record(f"{sys.argv[1]}/other.npz"):
            child = os.fork()
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            threads[0].join()
            begun[0].close()
    """
    command = [sys.executable, "-W", "ignore:This process", "-c", textwrap.dedent(program)]
    ran = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    for name in ("during.npz", "other.npz"):
        assert wr.load(tmp_path / name).notes == []


def test_a_program_that_ends_without_closing(tmp_path: Path) -> None:
    path = tmp_path / "open.npz"
    done = run(
        """
        import sys, time, wattring as wr
        s = wr.Session(sources="simulated").start()
        r = s.record(sys.argv[1], every_s=0.01)
        time.sleep(0.2)
        """,
        path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert_whole(wr.load(path))


def test_closing_after_the_stop_and_twice(tmp_path: Path) -> None:
    session = wr.Session(sources="simulated").start()
    recording = session.record(tmp_path / "x.npz", every_s=60)
    with session.window("late"):
        time.sleep(0.05)
    session.stop()
    recording.close()
    recording.close()
    trace = wr.load(tmp_path / "x.npz")
    assert trace.windows["name"].tolist() == ["late"]
    assert_whole(trace)
    with pytest.raises(wr.StateError, match="closed"):
        recording.flush()


def test_two_at_once(tmp_path: Path) -> None:
    with (
        wr.Session(sources="simulated") as session,
        session.record(tmp_path / "a.npz"),
        session.record(tmp_path / "b.npz", every_s=0.01),
    ):
        time.sleep(0.1)
    a, b = (wr.load(tmp_path / name).samples("simulated") for name in ("a.npz", "b.npz"))
    both = min(len(a), len(b))
    assert a[:both].tolist() == b[:both].tolist()


def test_bad_input(tmp_path: Path) -> None:
    with wr.Session(sources="simulated") as session:
        with pytest.raises(wr.InvalidError, match=r"unknown ending '.parquet'"):
            session.record(tmp_path / "x.parquet")
        with pytest.raises(FileNotFoundError):
            session.record(tmp_path / "none" / "x.npz")
        with pytest.raises(wr.InvalidError, match="every"):
            session.record(tmp_path / "x.npz", every_s=0)
    with pytest.raises(wr.StateError, match="not started"):
        wr.Session(sources="simulated").record(tmp_path / "y.npz")
    assert not any(tmp_path.iterdir()), os.listdir(tmp_path)
