"""Worker processes: pools, loaders that prefetch, subprocesses, and what cannot be sent to them."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.power import SIMULATED, functions_of, true_j

if TYPE_CHECKING:
    from pathlib import Path

FUNCTIONS = functions_of(SIMULATED)
METHODS = ["fork", "forkserver", "spawn"]


def run(folder: Path, program: str, *arguments: str) -> Any:
    """Run a program from a file, as the start methods need it; what it prints is JSON."""
    script = folder / "program.py"
    script.write_text(textwrap.dedent(program))
    command = [sys.executable, "-W", "ignore:This process", str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def assert_true(document: str) -> None:
    """Whoever measured it, the machine's power is a function of the time alone."""
    measured = wr.Measurement.from_json(document)
    for channel, (low, high) in measured.bounds_j.items():
        assert low <= true_j(FUNCTIONS[channel], measured.t_begin_ns, measured.t_end_ns) <= high


POOL = """
    import json, multiprocessing, os, sys, time, wattring as wr

    def work(_):
        with wr.Session(sources="simulated") as own:
            for _ in range(3):
                with own.window("step") as w, own.window("inner"):
                    time.sleep(0.002)
        report = own.report()
        counts = [report.windows[name].count for name in ("step", "inner")]
        return os.getpid(), counts, report.open + report.dropped, w.measurement

    def fail():
        wr.Session(sources="simulated").begin("x")

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        found = []
        with wr.Session(sources="simulated") as s, s.window("all") as whole:
            with context.Pool(2) as pool:
                for _ in range(3):
                    with s.window("step"), s.window("map"):
                        found += pool.map(work, range(4), 1)
                try:
                    pool.apply(fail)
                except wr.StateError as error:
                    refused = [error.reason, error.remedy]
        report = s.report()
        print(json.dumps({
            "workers": [[pid != os.getpid(), *rest, m.to_json()] for pid, *rest, m in found],
            "counts": {name: totals.count for name, totals in report.windows.items()},
            "others": [report.open, report.pending, report.dropped, report.late],
            "whole": whole.measurement.to_json(),
            "refused": refused,
        }))
"""


@pytest.mark.parametrize("method", METHODS)
def test_windows_around_a_pool_and_in_its_workers(method: str, tmp_path: Path) -> None:
    found = run(tmp_path, POOL, method)
    assert len(found["workers"]) == 12
    for is_another_process, counts, uncounted, document in found["workers"]:
        assert is_another_process
        assert (counts, uncounted) == ([3, 3], 0)
        assert_true(document)
    assert found["counts"] == {"map": 3, "step": 3, "all": 1}
    assert found["others"] == [0, 0, 0, 0]
    assert_true(found["whole"])
    assert found["refused"] == ["this session was not started", "call start(), or use `with`"]


LOADER = """
    import json, multiprocessing, os, signal, sys, time, wattring as wr

    class Numbers:
        \"""A data set that remembers the session that it was made under.\"""
        def __init__(self, session, open_window):
            self.session, self.open, self.closed = session, open_window, session.window("closed")
            self.load = session.window("load")(lambda i: i)

        def told(self):
            for use in (lambda: self.session.window("worker"), lambda: self.session.begin("worker"),
                        self.session.report, self.session.mark, self.open.__enter__,
                        self.closed.__enter__, lambda: self.open.measurement,
                        lambda: self.closed.measurement, lambda: self.load(1),
                        lambda: self.session.samples("simulated")):
                try:
                    use()
                except wr.StateError as error:
                    yield "belongs to process" in error.reason and "new session" in error.remedy
                else:
                    yield False

    def worker(numbers, indices, batches):
        told = all(numbers.told())
        numbers.open.__exit__(None, None, None)  # begun by the parent: nothing happens
        with wr.Session("500us", "simulated") as own:
            for index in iter(indices.get, None):
                with own.window("load") as w:
                    time.sleep(0.001)
                batches.put((told, index, w.measurement.to_json()))
        numbers.session.stop()
        del numbers
        report = own.report()
        batches.put((told, report.windows["load"].count, report.open + report.dropped))

    if __name__ == "__main__":
        context = multiprocessing.get_context("fork")
        batches = context.Queue()
        steps, ahead, workers, documents = 30, 4, [], []
        with wr.Session(sources="simulated") as s, s.window("epoch") as epoch:
            numbers = Numbers(s, epoch)
            queues = [context.SimpleQueue() for _ in range(2)]
            for queue in queues:
                workers.append(context.Process(target=worker, args=(numbers, queue, batches)))
                workers[-1].start()
            for index in range(ahead):
                queues[index % 2].put(index)
            step, told, seen = s.window("step"), [], []
            for index in range(ahead, steps + ahead):
                with step:
                    with s.window("wait"):
                        was_told, batch, document = batches.get(timeout=60)
                    if index < steps:
                        queues[index % 2].put(index)
                    with s.window("forward"), s.window("inner"):
                        pass
                seen.append(batch)
                told.append(was_told)
                documents.append(document)
            for queue in queues:
                queue.put(None)
            ends = [batches.get(timeout=60) for _ in workers]
            for process in workers:
                process.join(60)
            for index, ending in enumerate((
                lambda: sys.exit(3), lambda: os._exit(4), lambda: os.kill(os.getpid(), 9),
                lambda: numbers.load(1),
            )):
                with step, s.window("ending"):
                    process = context.Process(target=ending)
                    if index == 3:
                        sys.stderr = open(os.devnull, "w")  # the child's traceback
                    process.start()
                    process.join(60)
                workers.append(process)
        report = s.report()
        print(json.dumps({
            "seen": sorted(seen), "told": all(told), "documents": documents, "ends": ends,
            "exits": [process.exitcode for process in workers],
            "counts": {name: totals.count for name, totals in report.windows.items()},
            "others": [report.open, report.pending, report.dropped, report.late],
        }))
"""


def test_workers_forked_in_the_middle_of_a_window(tmp_path: Path) -> None:
    """As a DataLoader does it: they live long, fetch ahead, and end in all ways that there are."""
    found = run(tmp_path, LOADER)
    assert found["seen"] == list(range(30))
    assert found["told"]
    for document in found["documents"]:
        assert_true(document)
    assert sum(count for _, count, _ in found["ends"]) == 30
    assert [uncounted for _, _, uncounted in found["ends"]] == [0, 0]
    assert found["exits"] == [0, 0, 3, 4, -9, 1]
    steps = {"wait": 30, "inner": 30, "forward": 30, "step": 34}
    assert found["counts"] == {**steps, "ending": 4, "epoch": 1}
    assert found["others"] == [0, 0, 0, 0]


def test_subprocesses_inside_windows(tmp_path: Path) -> None:
    """What runs between fork and exec is told as well, and does no harm."""
    found = run(
        tmp_path,
        """
        import json, os, subprocess, sys, wattring as wr

        with wr.Session(sources="simulated") as s:
            w = s.window("run")
            def in_child():
                try:
                    w.__enter__()
                except wr.StateError:
                    w.__exit__(None, None, None)
                    os.write(1, b"told ")
            texts = []
            for settings in ({}, {"close_fds": False}, {"start_new_session": True}):
                for before in (None, in_child):
                    with w, s.window("inner"):
                        done = subprocess.run(["echo", "ran"], stdout=subprocess.PIPE, text=True,
                                              preexec_fn=before, **settings)
                    texts.append(done.stdout)
            with w:
                os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        report = s.report()
        print(json.dumps([texts, report.windows["run"].count, report.windows["inner"].count,
                          report.open, report.late, report.dropped]))
        """,
    )
    assert found == [["ran\n", "told ran\n"] * 3, 7, 6, 0, 0, 0]


class DataSet:
    def __init__(self, part: object) -> None:
        self.part = part


@pytest.mark.parametrize("part", ["Session", "Window", "Reader"])
def test_what_cannot_be_sent_to_a_worker_says_what_to_do(part: str) -> None:
    session = wr.Session(sources="simulated")
    parts = {
        "Session": session,
        "Window": session.window("x"),
        "Reader": session.reader("simulated"),
    }
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=rf"^a {part} cannot be pickled.* - open a Session"):
            refuse(parts[part])
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=f"^a {part} cannot be pickled"):
            pickle.dumps(DataSet(parts[part]), protocol)


def test_a_spawned_worker_is_not_given_a_session(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        import json, multiprocessing, wattring as wr

        if __name__ == "__main__":
            with wr.Session(sources="simulated") as s, s.window("x") as w:
                texts = []
                for method in ("spawn", "forkserver"):
                    process = multiprocessing.get_context(method).Process(target=print, args=(w,))
                    try:
                        process.start()
                    except TypeError as error:
                        texts.append(str(error))
            print(json.dumps([texts, w.measurement.seconds > 0]))
        """,
    )
    told = (
        "a Window cannot be pickled or copied: its samplers run in this process"
        " - open a Session in the process that measures, and send its measurements"
    )
    assert found == [[told, told], True]
