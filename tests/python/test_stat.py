"""`wattring stat`, run as people run it."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.power import SIMULATED, functions_of, true_j
from wattring.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.machine import FakeMachine

STAT = [sys.executable, "-m", "wattring", "stat", "--sources", "simulated"]


def stat(
    *arguments: str, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    # The last --sources counts, so that a test can name others.
    return subprocess.run(
        [*STAT, *arguments],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | (env or {}),
    )


def assert_truth_inside(one: dict[str, Any]) -> None:
    for channel, function in functions_of(SIMULATED).items():
        truth = true_j(function, one["t_begin_ns"], one["t_end_ns"])
        low, high = one["bounds_j"][channel]
        assert low <= truth <= high, channel
        assert low <= one["energy_j"][channel] <= high, channel


def test_output_and_status_pass_through() -> None:
    done = stat("--", "sh", "-c", "cat; echo out; echo err >&2; exit 7", input="in\n")
    assert done.returncode == 7
    assert done.stdout == "in\nout\n"
    assert done.stderr.startswith("err\n")
    for channel in ("package-0", "core-0", "dram-0"):
        lines = [line for line in done.stderr.splitlines() if line.startswith(f" {channel}")]
        assert len(lines) == 1
        assert "SIMULATED" in lines[0]
    assert "total" in done.stderr
    assert "exit status 7" in done.stderr
    assert max(len(line) for line in done.stderr.splitlines()) <= 100


def test_options_behind_the_command_are_the_commands() -> None:
    assert stat("echo", "-r", "--json", "--", "-o").stdout == "-r --json -- -o\n"
    assert stat("--", "echo", "--", "-r").stdout == "-- -r\n"


def test_json_holds_the_truth(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = stat("-r", "3", "--json", "-o", str(report), "sleep", "0.1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    document = json.loads(report.read_text())
    assert document["command"] == ["sleep", "0.1"]
    assert document["version"] == wr.__version__
    assert document["period_ns"] == 1_000_000
    assert (document["gone"], document["skipped"]) == ([], [])
    assert {"cpu", "kernel"} <= set(document["machine"])
    assert len(document["runs"]) == 3
    for one in document["runs"]:
        assert one["exit_status"] == 0
        assert 0.1 <= one["seconds"] < 5
        assert_truth_inside(one)
        assert one["total_j"] == pytest.approx(
            one["energy_j"]["package-0"] + one["energy_j"]["dram-0"]
        )
    for channel, found in document["energy"].items():
        joules = [one["energy_j"][channel] for one in document["runs"]]
        assert found["mean_j"] == pytest.approx(statistics.mean(joules))
        assert found["std_j"] == pytest.approx(statistics.stdev(joules))
    totals = [one["total_j"] for one in document["runs"]]
    assert document["total"]["mean_j"] == pytest.approx(statistics.mean(totals))
    stats = document["stats"]["simulated"]
    assert stats["samples"] > 100
    assert stats["rate_hz"] > 100
    assert stats["cpu_share"] == pytest.approx(0.1, abs=0.1)


def test_a_repeated_command_in_a_table(tmp_path: Path) -> None:
    """Steady power: the mean of the joules is the mean time's."""
    done = stat(
        *("-r", "3", "--", "sh", "-c", f"sleep 0.1; echo >> {tmp_path}/count; exit 4"),
        env={"WATTRING_SIMULATED": "package-0=const:100"},
    )
    assert done.returncode == 4
    assert (tmp_path / "count").read_text() == "\n\n\n"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(" package-0")]
    _, mean, _, _, deviation, _, percent, *_ = line.split()
    assert 10 <= float(mean) < 200
    assert float(percent.strip("(")) == pytest.approx(
        100 * float(deviation) / float(mean), abs=0.02 + 1 / float(mean)
    )
    assert "3 failed (exit status 4, 4, 4)" in done.stderr


def test_a_single_run_has_no_spread() -> None:
    document = json.loads(stat("--json", "--", "true").stderr)
    assert document["energy"]["package-0"]["std_j"] is None


@pytest.mark.parametrize(
    ("command", "status"),
    [("no-such-command", 127), ("/etc/passwd", 126), ("/no/such/file", 127), ("/tmp", 126)],
)
def test_commands_that_cannot_run(command: str, status: int, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.write_text("yesterday's")
    done = stat("-o", str(report), "--", command)
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == 1
    assert command in done.stderr
    assert report.read_text() == "yesterday's"


def test_a_command_that_runs_once_only(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\nrm "$0"\n')
    script.chmod(0o755)
    report = tmp_path / "report"
    done = stat("-r", "3", "--json", "-o", str(report), "--", str(script))
    assert done.returncode == 127
    assert len(json.loads(report.read_text())["runs"]) == 1


def test_a_command_ended_by_a_signal() -> None:
    assert stat("--", "sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_descriptors_and_ignored_signals_are_the_commands(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    program = f"import os; os.write({writing}, b'through')"
    done = stat("--", sys.executable, "-c", program, pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert (done.returncode, pipe.read()) == (0, "through")

    # As a shell starts its background jobs.
    quiet = ["sh", "-c", 'trap "" INT; exec "$@"', "-", *STAT, "-o", os.devnull]
    for start, ignored in ((quiet, True), ([*STAT, "-o", os.devnull], False)):
        done = subprocess.run(
            [*start, "--", "grep", "SigIgn", "/proc/self/status"],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        mask = int(done.stdout.split()[1], 16)
        assert bool(mask & 1 << (signal.SIGINT - 1)) == ignored


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--period", "0", "--", "touch"], "duration"),
        (["--period", "1ns", "--", "touch"], "too short"),
        (["--period", "1000s", "--", "touch"], "too long"),
        (["--sources", "rapl", "--", "touch"], "choose from"),
        (["--sources", "", "--", "touch"], "no source"),
        (["-r", "0", "--", "touch"], "0 times"),
        (["-o", "/no/such/folder/f", "touch"], "No such file"),
        (["-o", "/tmp", "touch"], "Is a directory"),
        ([], "no command"),
    ],
)
def test_bad_requests_end_in_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = stat(*arguments, *([str(tmp_path / "ran")] if arguments else []))
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("wattring: ")
    assert words in done.stderr
    assert " - " in done.stderr, "an error without a remedy"
    assert not (tmp_path / "ran").exists()


def test_no_sensor_is_said_before_the_command_runs(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("WATTRING_SYSFS", "WATTRING_DEV", "WATTRING_PROC"), str(tmp_path))
    done = stat("--sources", "auto", "--", "touch", str(tmp_path / "ran"), env=nothing)
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1
    assert "no energy sensor can be read" in done.stderr
    assert not (tmp_path / "ran").exists()


def interrupt(
    number: signal.Signals, script: str, *options: str, group: bool
) -> tuple[int, str, str]:
    """Send a signal to wattring, or to all of its group, once the script has said "up"."""
    with subprocess.Popen(
        [*STAT, "-r", "5", *options, "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, errors = process.communicate(timeout=20)
    return process.returncode, out, errors


SLEEP = "echo up; exec sleep 30"
TRAP = "trap 'echo trapped; exit 5' {}; echo up; while :; do sleep 0.05; done"


def test_ctrl_c_prints_what_was_measured() -> None:
    status, _, errors = interrupt(signal.SIGINT, SLEEP, group=True)
    assert status == 128 + signal.SIGINT
    assert "package-0" in errors
    assert "Traceback" not in errors


def short_runs(tmp_path: Path, count: int) -> str:
    """A script that ends at once so often, and then is still there when the signal comes."""
    runs = tmp_path / "runs"
    runs.write_text("")
    return f"echo >> {runs}; [ $(wc -l < {runs}) -le {count} ] && exec sleep 0.1; {SLEEP}"


@pytest.mark.parametrize("count", [1, 2])
def test_a_run_that_ctrl_c_cut_off_is_in_no_mean(tmp_path: Path, count: int) -> None:
    status, _, errors = interrupt(signal.SIGINT, short_runs(tmp_path, count), group=True)
    assert status == 128 + signal.SIGINT
    lines = errors.splitlines()
    counted = " 2 runs" if count == 2 else " exit status 0"
    assert any(line.endswith(counted) for line in lines), errors
    (said,) = [line for line in lines if line.startswith(" without the last run (")]
    assert said.endswith(" s, exit status 130): a signal came meanwhile")


def test_json_says_which_run_ctrl_c_cut_off(tmp_path: Path) -> None:
    script = short_runs(tmp_path, 2)
    status, _, errors = interrupt(signal.SIGINT, script, "--json", group=True)
    assert status == 128 + signal.SIGINT
    document = json.loads(errors)
    assert [one["interrupted"] for one in document["runs"]] == [False, False, True]
    assert [one["exit_status"] for one in document["runs"]] == [0, 0, 130]
    whole = [one["energy_j"]["package-0"] for one in document["runs"][:2]]
    assert document["energy"]["package-0"]["mean_j"] == pytest.approx(sum(whole) / 2)


def test_a_command_may_make_its_own_of_ctrl_c() -> None:
    """And no further run starts."""
    status, out, errors = interrupt(signal.SIGINT, TRAP.format("INT"), group=True)
    assert (status, out) == (5, "trapped\n")
    assert "package-0" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_are_passed_on_and_the_report_printed(number: signal.Signals) -> None:
    status, _, errors = interrupt(number, SLEEP, group=False)
    assert status == 128 + number
    assert "package-0" in errors
    status, out, _ = interrupt(number, TRAP.format(number.name[3:]), group=False)
    assert (status, out) == (5, "trapped\n")


def test_a_signal_before_the_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    start = wr.Session.start

    def start_and_be_told_to_stop(session: wr.Session) -> wr.Session:
        os.kill(os.getpid(), signal.SIGTERM)
        return start(session)

    monkeypatch.setattr(wr.Session, "start", start_and_be_told_to_stop)
    command = ["touch", str(tmp_path / "ran")]
    assert main(["stat", "--sources", "simulated", "--", *command]) == 128 + signal.SIGTERM
    assert "stopped before the first run" in capfd.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_a_mark_that_fails_is_one_line_and_keeps_earlier_runs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mark = wr.Session.mark
    begins = 0

    def mark_one_begin(session: wr.Session, t_ns: int | None = None) -> Any:
        nonlocal begins
        if threading.current_thread() is not threading.main_thread():
            begins += 1
            if begins > 1:
                raise wr.StateError("no more marks")
        return mark(session, t_ns)

    monkeypatch.setattr(wr.Session, "mark", mark_one_begin)
    assert main(["stat", "-r", "9", "--sources", "simulated", "--", "true"]) == 125
    errors = capfd.readouterr().err
    assert errors.startswith("wattring: no more marks\n")
    assert "package-0" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("repeat", ["1", "2"])
def test_a_sensor_that_vanishes_is_named(machine: FakeMachine, repeat: str) -> None:
    folder = machine.root / "dev/cpu"
    cut = f"[ ! -e {folder} ] || : > {folder}/0/msr; rm -rf {folder}; sleep 0.2"
    options = ["-r", repeat, "--sources", "rapl_msr"]
    report = machine.root / "report"
    done = stat(*options, "-o", str(report), "--", "sh", "-c", cut, env=machine.variables())
    assert done.returncode == 0
    (line,) = [line for line in report.read_text().splitlines() if "VANISHED" in line]
    assert line.startswith(" rapl_msr: ")


def test_a_sensor_that_vanishes_in_json(machine: FakeMachine) -> None:
    cut = f": > {machine.root}/dev/cpu/0/msr; rm -r {machine.root}/dev/cpu; sleep 0.2"
    options = ["--json", "--sources", "rapl_msr"]
    done = stat(*options, "--", "sh", "-c", cut, env=machine.variables())
    document = json.loads(done.stderr)
    assert document["gone"] == ["rapl_msr"]
    assert document["runs"][0]["bounds_j"]["package-0"][1] is None


def test_what_was_skipped_is_one_line(machine: FakeMachine) -> None:
    done = stat("--sources", "auto", "--", "true", env=machine.variables())
    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if "not used" in line]
    assert "rapl_perf (absent)" in line
    done = stat("--sources", "auto", "--json", "--", "true", env=machine.variables())
    skipped = {s["source"]: s for s in json.loads(done.stderr)["skipped"]}
    assert skipped["rapl_perf"]["reason"]
    assert skipped["rapl_perf"]["remedy"]


def test_rubbish_in_a_counter_file_is_named(machine: FakeMachine) -> None:
    for path in (machine.root / "sys/class/powercap").glob("*/energy_uj"):
        path.write_text("rubbish\n")
    done = stat("--sources", "rapl_powercap", "--", "true", env=machine.variables())
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1
    assert "holds no energy" in done.stderr


def test_a_long_command_outlives_the_ring() -> None:
    """The marks of a window do not need the rows that they came from."""
    for seconds in ("4", "8", "16"):  # a busy machine takes fewer samples a second
        done = stat("--json", "--period", "50us", "--", "sleep", seconds)
        document = json.loads(done.stderr)
        if document["stats"]["simulated"]["samples"] > 65_536 + 1000:
            break
    assert document["stats"]["simulated"]["samples"] > 65_536, "the window was too short to tell"
    assert_truth_inside(document["runs"][0])


def test_a_full_disk_loses_nothing() -> None:
    done = stat("-o", "/dev/full", "--", "true")
    assert done.returncode == 125
    assert "package-0" in done.stderr
    assert "No space left" in done.stderr.splitlines()[-1]


def test_a_command_that_removes_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert stat("-o", str(report), "--", "rm", str(report)).returncode == 0
    assert "package-0" in report.read_text()
    folder = tmp_path / "folder"
    folder.mkdir()
    done = stat("-o", str(folder / "report"), "--", "rm", "-r", str(folder))
    assert done.returncode == 125
    assert "package-0" in done.stderr


def test_streams_that_are_closed() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert stat("--", "sh", "-c", "exit 3", stderr=writing).returncode == 3
    os.close(writing)
    no_stdout = ["sh", "-c", 'exec "$@" >&-', "-", *STAT]
    no_stderr = ["sh", "-c", 'exec "$@" 2>&-', "-", *STAT]
    for start, expected in ((no_stdout, "package-0"), (no_stderr, "")):
        done = subprocess.run(
            [*start, "--", "sh", "-c", "exit 3"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
        assert expected in done.stderr
        assert done.stdout == "", "the report is no part of the command's output"


def test_13_a_sensor_that_is_stuck_is_told(machine: FakeMachine) -> None:
    """PITFALLS 13: a figure that rests on a stale counter says so."""
    command = [*STAT, "--sources", "rapl_msr", "--", sys.executable, "-c", "input()"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | machine.variables(),
    ) as child:
        for _ in range(150):
            machine.add_energy(0, "core", 1)
            time.sleep(0.005)
        _, errors = child.communicate("\n", timeout=60)
    stale = [line for line in errors.splitlines() if "STALE" in line]
    assert len(stale) == 1, errors
    assert stale[0].startswith(" package-0: ")
    assert "STALE for 0." in stale[0]
    assert "although energy was used" in stale[0]
