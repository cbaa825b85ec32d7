"""The command line, run as people run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.machine import FakeMachine

WATTRING = [sys.executable, "-m", "wattring"]


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WATTRING, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | (env or {}),
    )


def nothing(tmp_path: Path) -> dict[str, str]:
    """Variables of a machine without sensors."""
    return dict.fromkeys(("WATTRING_SYSFS", "WATTRING_DEV", "WATTRING_PROC"), str(tmp_path))


def simulated(*arguments: str) -> list[str]:
    return ["stat", "--sources", "simulated", *arguments]


def inside(run_: dict[str, Any], low_w: float, high_w: float, channel: str) -> bool:
    """Whether the truth of a square wave of 0.5 s lies inside the bounds of a run."""

    def until(t_s: float) -> float:
        whole, rest = divmod(t_s, 0.5)
        halves = low_w * min(rest, 0.25) + high_w * max(rest - 0.25, 0)
        return whole * 0.25 * (low_w + high_w) + halves

    true_j = until(run_["t_end_ns"] * 1e-9) - until(run_["t_begin_ns"] * 1e-9)
    low, high = run_["bounds_j"][channel]
    return bool(low <= true_j <= high)


def test_stat_passes_output_and_status_through() -> None:
    done = run(*simulated("--", "sh", "-c", "echo out; echo err >&2; exit 7"))
    assert done.returncode == 7
    assert done.stdout == "out\n"
    assert done.stderr.startswith("err\n")
    assert "package-0" in done.stderr
    assert "SIMULATED" in done.stderr


def test_stat_json_holds_the_truth(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run(*simulated("-r", "3", "--json", "-o", str(report), "sleep", "0.1"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    document = json.loads(report.read_text())
    assert document["command"] == ["sleep", "0.1"]
    assert len(document["runs"]) == 3
    for one in document["runs"]:
        assert one["exit_status"] == 0
        assert 0.1 <= one["seconds"] < 5
        assert inside(one, 20, 80, "package-0")
        assert inside(one, 5, 5, "dram-0")
        assert one["total_j"] == pytest.approx(
            one["energy_j"]["package-0"] + one["energy_j"]["dram-0"]
        )
    joules = [one["energy_j"]["dram-0"] for one in document["runs"]]
    assert document["energy"]["dram-0"]["mean_j"] == pytest.approx(sum(joules) / 3)
    assert document["energy"]["dram-0"]["std_j"] >= 0
    assert document["stats"]["simulated"]["samples"] > 0


@pytest.mark.parametrize(
    ("command", "status"),
    [("no-such-command", 127), ("/etc/passwd", 126), ("/no/such/file", 127)],
)
def test_commands_that_cannot_run(command: str, status: int) -> None:
    done = run(*simulated("--", command))
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == 1
    assert command in done.stderr


def test_a_command_ended_by_a_signal() -> None:
    done = run(*simulated("--", "sh", "-c", "kill -9 $$"))
    assert done.returncode == 128 + 9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stat", "--sources", "simulated", "--period", "0", "--", "true"], "duration"),
        (["stat", "--sources", "simulated", "--period", "1ns", "--", "true"], "too short"),
        (["stat", "--sources", "simulated", "--period", "1000s", "--", "true"], "too long"),
        (["stat", "--sources", "rapl", "--", "true"], "choose from"),
        (["stat", "-r", "0", "--sources", "simulated", "--", "true"], "0 times"),
        (["stat", "-o", "/no/such/folder/f", "--sources", "simulated", "true"], "No such file"),
        (["stat"], "no command"),
    ],
)
def test_bad_requests_end_in_one_line(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("wattring: ")
    assert words in done.stderr


def test_no_sensor_is_said_before_the_command_runs(tmp_path: Path) -> None:
    done = run("stat", "--", "touch", str(tmp_path / "ran"), env=nothing(tmp_path))
    assert done.returncode == 125
    assert "no energy sensor can be read" in done.stderr
    assert not (tmp_path / "ran").exists()
    listed = run("list", env=nothing(tmp_path))
    assert listed.returncode == 0
    assert "absent" in listed.stdout
    assert run("doctor", env=nothing(tmp_path)).returncode == 1


def interrupt(number: signal.Signals, group: bool) -> tuple[int, str]:
    """Send a signal to wattring while `sleep 30` runs under it."""
    with subprocess.Popen(
        [*WATTRING, *simulated("-r", "5", "--", "sh", "-c", "echo up; exec sleep 30")],
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
        _, errors = process.communicate(timeout=20)
    return process.returncode, errors


def test_ctrl_c_prints_what_was_measured() -> None:
    status, errors = interrupt(signal.SIGINT, group=True)
    assert status == 130
    assert "package-0" in errors
    assert "Traceback" not in errors


def test_sigterm_is_passed_on_and_the_report_printed() -> None:
    status, errors = interrupt(signal.SIGTERM, group=False)
    assert status == 128 + 15
    assert "package-0" in errors


def test_a_sensor_that_vanishes_is_named(machine: FakeMachine) -> None:
    vanish = f"rm -r {machine.root}/dev/cpu; sleep 0.2"
    victim = machine.root / "dev/cpu/0/msr"
    truncate = f": > {victim}; "
    done = run(
        "stat",
        "--sources",
        "rapl_msr",
        "--",
        "sh",
        "-c",
        truncate + vanish,
        env=machine.variables(),
    )
    assert done.returncode == 0
    assert "VANISHED" in done.stderr


def test_list_and_doctor_over_a_fake_machine(machine: FakeMachine) -> None:
    document = json.loads(run("list", "--json", env=machine.variables()).stdout)
    found = {source["name"]: source for source in document["sources"]}
    assert found["rapl_msr"]["status"] == "readable"
    assert [c["name"] for c in found["rapl_msr"]["channels"]] == ["package-0", "core-0", "dram-0"]
    assert found["rapl_perf"]["status"] == "absent"
    doctor = run("doctor", "--json", env=machine.variables())
    assert doctor.returncode == 0
    assert json.loads(doctor.stdout)["sampling"]["rapl_msr"]["samples"] > 100


def test_demo_says_simulated_on_every_line(tmp_path: Path) -> None:
    done = run("demo", "--seconds", "0.2", env=nothing(tmp_path))
    assert done.returncode == 0
    assert all(line.startswith("SIMULATED") for line in done.stdout.splitlines())
    document = json.loads(run("demo", "--seconds", "0.2", "--json", env=nothing(tmp_path)).stdout)
    assert document["simulated"]
    assert all(inside(phase, 20, 80, "package-0") for phase in document["phases"].values())


def test_help_has_examples_and_a_closed_pipe_is_no_error() -> None:
    for verb in ("list", "stat", "doctor", "demo"):
        assert "examples:" in run(verb, "--help").stdout
    with subprocess.Popen(
        [*WATTRING, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
    assert run("--version").stdout.startswith("wattring ")


def test_a_long_command_outlives_the_ring() -> None:
    """The marks of a window do not need the rows that they came from."""
    began = time.monotonic()
    done = run(*simulated("--json", "--period", "50us", "--", "sleep", "4"))
    assert time.monotonic() - began < 30
    document = json.loads(done.stderr)
    assert document["stats"]["simulated"]["samples"] > 65_536, "the window was too short to tell"
    assert inside(document["runs"][0], 20, 80, "package-0")


def test_a_full_disk_loses_nothing() -> None:
    done = run(*simulated("-o", "/dev/full", "--", "true"))
    assert done.returncode == 125
    assert "package-0" in done.stderr
    assert "No space left" in done.stderr.splitlines()[-1]


def test_rubbish_in_a_counter_file_is_named(machine: FakeMachine) -> None:
    for path in (machine.root / "sys/class/powercap").glob("*/energy_uj"):
        path.write_text("rubbish\n")
    done = run("stat", "--sources", "rapl_powercap", "--", "true", env=machine.variables())
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1
    assert "holds no energy" in done.stderr
