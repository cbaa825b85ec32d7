"""The file in which calibrations are kept."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from wattring.calibration import file
from wattring.calibration.file import Entry
from wattring.errors import InvalidError, IoError

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.machine import FakeMachine
    from fakes.nvml import FakeNvml

A, B = "GPU-aaaa", "GPU-bbbb"


def entry(uuid: str, sensor: str, refresh_ns: int = 100_000_000) -> Entry:
    return Entry(uuid, "550.54.15", sensor, refresh_ns, 25_000_000, 12_500_000, 20_000_000)


def test_sessions_look_where_it_is_written(
    tmp_path: Path, machine: FakeMachine, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.delenv("WATTRING_CALIBRATION")
    assert file.default_path() == tmp_path / "home" / ".config" / "wattring" / "sensors"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert file.default_path() == tmp_path / "config" / "wattring" / "sensors"
    monkeypatch.setenv("WATTRING_CALIBRATION", str(tmp_path / "named"))
    assert file.default_path() == tmp_path / "named"
    monkeypatch.setenv("HOME", "")
    for name in ("XDG_CONFIG_HOME", "WATTRING_CALIBRATION"):
        monkeypatch.delenv(name)
    with pytest.raises(InvalidError, match="no home folder"):
        file.default_path()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    nvml.configure("const:300")
    uuid = "GPU-fa4e0000-0000-4000-8000-000000000000"
    file.write(file.default_path(), [entry(uuid, "instant", 50_000_000)], {uuid: "today"})
    env = nvml.environment(machine)
    env.calibration = wr.Environment.from_variables().calibration
    (power,) = [
        c
        for c in wr.Session(sources="nvml", environment=env).channels["nvml"]
        if c.name == "gpu-0-power"
    ]
    assert (power.refresh_ns, power.averaging_ns) == (50_000_000, 25_000_000)


def test_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "sensors"
    assert file.read(path) == []
    entries = [entry(A, "counter"), entry(A, "instant")]
    file.write(path, entries, {A: "NVIDIA Fake, today"})
    assert file.read(path) == entries
    text = path.read_text()
    assert text.startswith("# ")
    assert f"\n# {A}: NVIDIA Fake, today\n" in text
    line = f"{A} 550.54.15 instant 100000000 25000000 12500000 20000000"
    assert line in text.splitlines()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == ["sensors"], "nothing temporary is left"


def test_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "sensors"
    file.write(path, [entry(A, "instant"), entry(A, "average")], {A: "first of A"})
    file.write(path, [entry(B, "instant")], {B: "first of B"})
    path.write_text(path.read_text() + "# mine\n")
    path.chmod(0o600)
    file.write(path, [entry(B, "instant", 20_000_000)], {B: "second of B"})
    file.write(path, [entry(A, "instant", 7)], {A: "second of A"})
    assert file.read(path) == [
        entry(A, "average"),
        entry(B, "instant", 20_000_000),
        entry(A, "instant", 7),
    ]
    text = path.read_text()
    assert "# mine\n" in text
    assert "first of B" not in text
    assert "first of A" in text, "it is about the line that is left"
    assert text.count("\n# UUID driver sensor ") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_one(tmp_path: Path) -> None:
    target = tmp_path / "target"
    link = tmp_path / "sensors"
    link.symlink_to(target)
    file.write(link, [entry(A, "instant")], {A: "x"})
    assert link.is_symlink()
    assert file.read(target) == [entry(A, "instant")]


def test_a_failed_write_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sensors"
    file.write(path, [entry(A, "instant")], {A: "x"})
    before = path.read_text()

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IoError, match="No space left") as error:
        file.write(path, [entry(B, "instant")], {B: "y"})
    assert "--output" in error.value.remedy
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["sensors"]


@pytest.mark.parametrize(
    "line",
    [
        "GPU-aaaa 550 instant 1 2 3",
        "GPU-aaaa 550 instant 1 2 3 4 5",
        "GPU-aaaa 550 laser 1 2 3 4",
        "GPU-aaaa 550 instant 1 2 3 -4",
        "GPU-aaaa 550 instant 1 2 3 1e6",
    ],
)
def test_damage_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "sensors"
    path.write_text(f"# fine\n\n{entry(A, 'instant')} # fine too\n{line}\n")
    with pytest.raises(InvalidError, match="line 4 is none of a calibration"):
        file.read(path)


def test_unreadable_and_unwritable(tmp_path: Path) -> None:
    with pytest.raises(IoError, match="Is a directory"):
        file.read(tmp_path)
    with pytest.raises(IoError, match="Is a directory"):
        file.require_writable(tmp_path)
    (tmp_path / "plain").write_text("")
    for path in (tmp_path / "plain" / "sensors", tmp_path / "plain" / "a" / "b"):
        with pytest.raises(IoError) as error:
            file.require_writable(path)
        assert "--output" in error.value.remedy
    file.require_writable(tmp_path / "new" / "sensors")
    assert os.listdir(tmp_path / "new") == []
