"""Samples as arrays: copies, continuous readers, the live ring."""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest

import wattring as wr
from fakes.driving import wait_rows, wait_until

CHANNELS = ("package-0", "core-0", "dram-0")


def test_rows_have_the_promised_columns() -> None:
    with wr.Session(sources="simulated") as session:
        wait_rows(session, "simulated", 30)
        before = session.samples("simulated")
        wait_rows(session, "simulated", 5)
        rows = session.samples("simulated")
    assert rows.dtype == session.dtype("simulated")
    assert rows.dtype.names == ("t_begin_ns", "t_end_ns", "status", *CHANNELS)
    assert rows["t_begin_ns"].dtype == rows["t_end_ns"].dtype == np.int64
    assert all(rows[name].dtype == np.uint64 for name in ("status", *CHANNELS))
    assert rows.ndim == 1
    assert (np.diff(rows["t_begin_ns"]) > 0).all()
    assert (rows["t_end_ns"] >= rows["t_begin_ns"]).all()
    assert (rows["t_begin_ns"][1:] >= rows["t_end_ns"][:-1]).all()
    for name in CHANNELS:
        steps = np.diff(rows[name].astype(np.int64))
        assert (steps >= 0).all()
        assert steps.sum() > 0
        assert rows[name][0] == 0, "the first reading is the baseline"
    assert len(rows) >= len(before) + 5
    assert (rows[: len(before)] == before).all(), "what was read does not change"
    assert rows.flags.writeable, "a copy of one's own"


def test_times_are_those_of_the_standard_clocks() -> None:
    before = time.monotonic_ns()
    with wr.Session(sources="simulated") as session:
        middle = wr.now_ns()
        wait_rows(session, "simulated", 2)
    after = time.perf_counter_ns()
    rows = session.samples("simulated")
    assert before < rows["t_begin_ns"][0] < middle < rows["t_end_ns"][-1] < after


def test_the_smallest_ring_has_whole_pages() -> None:
    with wr.Session("100us", "simulated", rows=1) as session:
        wait_until(lambda: session.stats["simulated"]["samples"] > 600, "full")
    rows = session.samples("simulated")
    assert len(rows) == 512
    total = session.stats["simulated"]["samples"]
    reader = session.reader("simulated")
    assert len(reader.read()) == 512
    assert reader.lost == total - 512


def test_a_reader_says_how_many_rows_it_lost() -> None:
    with wr.Session("100us", "simulated", rows=512) as session:
        reader = session.reader("simulated")
        got = len(reader.read())
        wait_until(lambda: session.stats["simulated"]["samples"] > 2000, "overtaken")
        got += len(reader.read())
    got += len(reader.read())
    assert reader.lost >= 2000 - 512 - got
    assert reader.lost > 0
    assert got + reader.lost == session.stats["simulated"]["samples"]
    assert len(reader.read()) == 0


def test_a_reader_neither_repeats_nor_skips() -> None:
    with wr.Session("500us", "simulated") as session:
        readers = [session.reader("simulated"), session.reader("simulated")]
        parts = []
        for _ in range(20):
            parts.append(readers[0].read())
            time.sleep(0.003)
    parts.append(readers[0].read())
    together = np.concatenate(parts)
    assert readers[0].lost == 0
    assert len(together) == session.stats["simulated"]["samples"]
    assert (together == session.samples("simulated")).all()
    assert (together == readers[1].read()).all(), "each reader has its own cursor"


def test_a_busy_reader_gets_whole_rows_only() -> None:
    """Copies race with a fast writer on a small ring: no torn row, nothing lost uncounted."""
    bad: list[str] = []
    with wr.Session("20us", "simulated", rows=512) as session:
        stop = threading.Event()

        def consume() -> None:
            reader = session.reader("simulated")
            got, last_ns, last_package = 0, 0, 0
            while not stop.is_set():
                rows = reader.read()
                got += len(rows)
                if len(rows) == 0:
                    continue
                if rows["t_begin_ns"][0] <= last_ns or rows["package-0"][0] < last_package:
                    bad.append("a row came twice, or out of order")
                if (np.diff(rows["t_begin_ns"]) <= 0).any():
                    bad.append("torn times")
                if (np.diff(rows["package-0"].astype(np.int64)) < 0).any():
                    bad.append("torn readings")
                last_ns, last_package = int(rows["t_begin_ns"][-1]), int(rows["package-0"][-1])
            got += len(reader.read())
            total.append(got + reader.lost)

        total: list[int] = []
        threads = [threading.Thread(target=consume) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: session.stats["simulated"]["samples"] > 5000, "5000 rows")
        session.stop()
        stop.set()
        for thread in threads:
            thread.join()
    assert bad == []
    assert total == [session.stats["simulated"]["samples"]] * 2


def test_a_ring_view_is_read_only_and_no_copy() -> None:
    session = wr.Session(sources="simulated").start()
    wait_rows(session, "simulated", 20)
    session.stop()
    view, again = session.ring_view("simulated"), session.ring_view("simulated")
    copy = session.samples("simulated")
    assert view.dtype == copy.dtype
    assert (view == copy).all()
    assert np.shares_memory(view, again)
    assert not np.shares_memory(copy, session.samples("simulated"))
    assert not view.flags.writeable
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view["status"][0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.flags.writeable = True


def test_a_ring_view_keeps_the_ring_alive() -> None:
    session = wr.Session(sources="simulated").start()
    wait_rows(session, "simulated", 20)
    session.stop()
    view = session.ring_view("simulated")
    copy = session.samples("simulated")
    part = view["package-0"][3:]
    assert view.base is not None
    del session, view
    gc.collect()
    assert (part == copy["package-0"][3:]).all()


def test_a_ring_view_is_live_and_in_order_over_the_rings_end() -> None:
    with wr.Session("100us", "simulated", rows=512) as session:
        wait_until(lambda: session.stats["simulated"]["samples"] > 700, "around once")
        view = session.ring_view("simulated")
        assert len(view) == 512
        newest = view["t_begin_ns"].max()
        wait_rows(session, "simulated", 100)
        assert view["t_begin_ns"].max() > newest, "the writer comes round"
    stopped = session.ring_view("simulated")
    assert (np.diff(stopped["t_begin_ns"]) > 0).all()
    assert (stopped == session.samples("simulated")).all()


def test_before_the_start_there_is_nothing() -> None:
    session = wr.Session(sources="simulated")
    assert len(session.samples("simulated")) == 0
    assert len(session.ring_view("simulated")) == 0
    assert len(session.reader("simulated").read()) == 0
