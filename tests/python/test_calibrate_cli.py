"""`wattring calibrate` from end to end, on GPUs of the fake library and a load that it knows."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fakes import gpu_load
from wattring.calibration import file
from wattring.calibration.plan import SHORTEST_S
from wattring.cli import doctor
from wattring.gpus import Gpu

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml

TESTS = Path(__file__).parents[1]
UUID = "GPU-fa4e0000-0000-4000-8000-00000000000"
MS = 1_000_000


class Calibrating:
    """Runs the verb with a file of its own."""

    def __init__(self, machine: FakeMachine, nvml: FakeNvml, folder: Path) -> None:
        self.file = folder / "config" / "sensors"
        self._log = folder / "load"
        self.env = (
            os.environ
            | nvml.variables(machine)
            | {
                "WATTRING_CALIBRATION": str(self.file),
                "PYTHONPATH": str(TESTS),
                "FAKE_LOAD_LOG": str(self._log),
            }
        )

    def run(self, *arguments: str, verb: str = "calibrate") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "wattring", verb, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self.env,
        )

    @property
    def load_log(self) -> list[str]:
        """What was done with the load."""
        return self._log.read_text().split() if self._log.exists() else []

    def loaded(self, load: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(
            "--load", f"fakes.gpu_load:{load}", "--seconds", f"{SHORTEST_S}", *arguments
        )


@pytest.fixture
def calibrating(machine: FakeMachine, nvml: FakeNvml, tmp_path: Path) -> Calibrating:
    nvml.configure("steps", sensor="hopper")
    return Calibrating(machine, nvml, tmp_path)


def within(finding: dict[str, Any], true_ns: float) -> bool:
    return bool(abs(finding["value_ns"] - true_ns) <= finding["uncertainty_ns"])


def test_what_the_sensors_do_is_found_and_kept(
    machine: FakeMachine, nvml: FakeNvml, tmp_path: Path
) -> None:
    """Of two GPUs of different kinds, the one that CUDA sees; `doctor` knows of both."""
    nvml.configure("const:70,steps", sensor="hopper;volta", arch="9;5")
    calibrating = Calibrating(machine, nvml, tmp_path)
    calibrating.env["CUDA_VISIBLE_DEVICES"] = f"{UUID}1"
    done = calibrating.loaded("Steps")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"gpu-1: NVIDIA Fake H100, {UUID}1, driver 550.54.15"
    assert lines[1].startswith("60 W at rest, 500 W under load; ")
    assert [line.split()[0] for line in lines[3:6]] == ["refresh", "counter", "instant"]
    assert lines[-1] == f"written to {calibrating.file}"
    assert max(map(len, lines[:-1])) <= 100
    entries = {e.sensor: e for e in file.read(calibrating.file)}
    assert list(entries) == ["counter", "instant"]
    assert {(e.uuid, e.driver) for e in entries.values()} == {(f"{UUID}1", "550.54.15")}
    for entry in entries.values():
        assert entry.refresh_ns == pytest.approx(20 * MS, rel=0.02)
    instant = entries["instant"]
    assert instant.averaging_ns == pytest.approx(10 * MS, abs=4 * MS)
    assert instant.lag_ns == pytest.approx(5 * MS, abs=4 * MS)
    assert (entries["counter"].averaging_ns, entries["counter"].lag_ns) == (0, 0)
    comment = next(x for x in calibrating.file.read_text().splitlines() if f"# {UUID}1:" in x)
    assert "arXiv 2312.02741" in comment
    said = calibrating.run(verb="doctor").stdout
    assert "sensors of gpu-0: not calibrated; `wattring calibrate --gpu 0`" in said
    assert "sensors of gpu-1: calibrated: counter every " in said


def test_25_of_100_ms_and_a_mean_over_a_second(calibrating: Calibrating) -> None:
    """The sensors of an H100; a dry run writes nothing."""
    done = calibrating.loaded("Steps", "--dry-run", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["written"] is None
    assert not calibrating.file.parent.exists()
    (gpu,) = document["gpus"]
    assert (gpu["gpu"], gpu["uuid"], gpu["load"]) == ("gpu-0", f"{UUID}0", "steps")
    assert gpu["rest_w"] == pytest.approx(gpu_load.REST_W, abs=1)
    assert gpu["load_w"] == pytest.approx(gpu_load.LOAD_W, abs=1)
    assert (gpu["steps"], len(gpu["waves"])) == (1, 6)
    sensors = {sensor["sensor"]: sensor for sensor in gpu["sensors"]}
    assert list(sensors) == ["counter", "instant", "average"]
    assert all(within(sensor["refresh"], 100 * MS) for sensor in sensors.values())
    assert sensors["counter"]["averaging"]["value_ns"] is None
    for name, window_ns in (("instant", 25 * MS), ("average", 1000 * MS)):
        sensor = sensors[name]
        assert within(sensor["averaging"], window_ns)
        assert within(sensor["lag"], window_ns / 2)
        assert within(sensor["rise"], 0.8 * window_ns)
        assert sensor["averaging"]["uncertainty_ns"] < max(0.1 * window_ns, 12 * MS)
    assert sensors["instant"]["channel"] == "gpu-0-power"


def test_ctrl_c_reports_and_writes_nothing(calibrating: Calibrating) -> None:
    """With a driver that answers slowly, so that polls every 2 ms are impossible."""
    calibrating.env["FAKE_NVML_DELAY_NS"] = str(3 * MS)
    done = calibrating.loaded("Interrupted", "--json")
    assert done.returncode == 130
    assert done.stderr == "wattring: interrupted; nothing is written\n"
    document = json.loads(done.stdout)
    (gpu,) = document["gpus"]
    assert gpu["interrupted"]
    assert document["written"] is None
    counter = next(s for s in gpu["sensors"] if s["sensor"] == "counter")
    assert within(counter["refresh"], 100 * MS)
    assert not calibrating.file.exists()
    assert calibrating.load_log == ["start", "close"]


@pytest.mark.parametrize(
    ("load", "cause"),
    [
        (
            "Elsewhere",
            "gpu-0 is busy, or the load steps does not reach it: 60 W before the load, 60 W",
        ),
        ("Joined", "gpu-0 is busy: 60 W before the load, 500 W under it, and still 450 W after it"),
        ("Failing", "the load steps failed: 'no such"),
    ],
)
def test_a_gpu_that_cannot_be_measured(calibrating: Calibrating, load: str, cause: str) -> None:
    done = calibrating.loaded(load)
    assert (done.returncode, done.stdout) == (125, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"wattring: {cause}")
    assert " - " in line, "a remedy"
    assert not calibrating.file.exists()
    assert calibrating.load_log == ["start", "close"]


def test_what_cannot_begin(calibrating: Calibrating, nvml: FakeNvml, tmp_path: Path) -> None:
    """Refused before anything is measured, each in one line with its remedy."""

    def refused(*arguments: str) -> str:
        done = calibrating.run(*arguments)
        assert (done.returncode, done.stdout) == (125, "")
        (line,) = done.stderr.splitlines()
        return line

    own = ("--load", "fakes.gpu_load:Steps")
    assert "no GPU 3 can be read - there is: 0" in refused("--gpu", "3", *own)
    assert "too short" in refused("--seconds", "3", *own)
    calibrating.env["CUDA_VISIBLE_DEVICES"] = ""
    assert "CUDA_VISIBLE_DEVICES='' leaves no GPU" in refused(*own)
    del calibrating.env["CUDA_VISIBLE_DEVICES"]
    assert "no load 'jax'" in refused("--load", "jax")
    line = refused("--output", "/proc/wattring/sensors", *own)  # where not even root makes files
    assert "/proc/wattring/sensors: " in line
    assert "--output FILE" in line
    calibrating.file.parent.mkdir(exist_ok=True)
    calibrating.file.write_text("rubbish\n")
    assert "line 1 is none of a calibration: 'rubbish'" in refused(*own)
    calibrating.env["WATTRING_NVML_LIBRARY"] = "libnvidia-ml-of-nobody.so.1"
    assert "no NVIDIA driver's library" in refused(*own)
    assert calibrating.load_log == []


def test_what_doctor_says_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTRING_CALIBRATION", str(tmp_path / "sensors"))
    gpu = Gpu(1, f"{UUID}1", "NVIDIA Fake H100", "00000000:18:00.0", "580.1", {})
    assert "not calibrated; `wattring calibrate --gpu 1`" in doctor.calibration([gpu])["gpu-1"]
    (tmp_path / "sensors").write_text(
        f"{UUID}1 550.54.15 instant 20000000 10000000 0 0\n{UUID}0 580.1 counter 1 0 0 0\n"
    )
    said = doctor.calibration([gpu])["gpu-1"]
    assert said.startswith("calibrated under driver 550.54.15, and this is 580.1; repeat ")
    gpu = dataclasses.replace(gpu, driver="550.54.15")
    said = doctor.calibration([gpu])["gpu-1"]
    assert said == "calibrated: instant every 20 ms, the mean of 10 ms"
    (tmp_path / "sensors").write_text("rubbish\n")
    assert "line 1 is none of a calibration" in doctor.calibration([gpu])["gpu-1"]


def test_no_framework_is_installed(calibrating: Calibrating, tmp_path: Path) -> None:
    """The three are named, and how to do without them; modules that refuse stand for none."""
    for name in ("torch", "cupy", "numba"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('no', name='{name}')\n")
    calibrating.env["PYTHONPATH"] = str(tmp_path)
    done = calibrating.run()
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == (
        "wattring: nothing can keep a GPU busy: torch is not installed; cupy is not installed; "
        "numba is not installed - install torch, cupy or numba for your CUDA, or name a load of "
        "your own: --load module:attribute\n"
    )
