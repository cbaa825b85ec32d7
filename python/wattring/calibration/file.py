"""The file that keeps what was found: one line per GPU and sensor, for later sessions.

    # comment
    UUID driver sensor refresh_ns averaging_ns lag_ns rise_ns

separated by blanks; the sensor is "counter", "instant" or "average"; 0: unknown.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wattring import _core
from wattring.errors import InvalidError, IoError
from wattring.gpus import SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HEADER = """\
# How the power sensors of GPUs behave, as `wattring calibrate` found it; docs/calibration.md.
# UUID driver sensor refresh_ns averaging_ns lag_ns rise_ns (0: unknown)"""
_TIMES = ("refresh_ns", "averaging_ns", "lag_ns", "rise_ns")


@dataclass(frozen=True)
class Entry:
    """One sensor of one GPU; times in ns, 0 where unknown."""

    uuid: str
    driver: str
    sensor: str
    refresh_ns: int
    averaging_ns: int
    lag_ns: int
    rise_ns: int

    def __str__(self) -> str:
        times = " ".join(str(getattr(self, name)) for name in _TIMES)
        return f"{self.uuid} {self.driver} {self.sensor} {times}"


def default_path() -> Path:
    """Say where sessions look: WATTRING_CALIBRATION, or below the user's configuration.

    Raises:
        InvalidError: nowhere, for the user has no home.

    """
    path = _core.Environment.from_variables().calibration
    if not path:
        raise InvalidError(
            "there is no home folder to keep calibrations in",
            "set WATTRING_CALIBRATION, or name a file: --output FILE",
        )
    return Path(path)


def read(path: str | os.PathLike[str]) -> list[Entry]:
    """Read the file; empty if there is none.

    Raises:
        InvalidError: a line that is none of a calibration.
        IoError: the file is there and can't be read.

    """
    return [_entry(path, i, line) for i, line in enumerate(_lines(path), 1) if _content(line)]


def write(path: str | os.PathLike[str], entries: Sequence[Entry], about: Mapping[str, str]) -> None:
    """Replace the lines of these GPUs and sensors at once; whatever else is there stays.

    Args:
        path: the file; its folder is made if it is missing.
        entries: what was found, of one GPU or several.
        about: by UUID one line of comment: when, where and how the GPU was measured.

    Raises:
        IoError: it can't be written.

    """
    new = {(entry.uuid, entry.sensor) for entry in entries}
    uuids = dict.fromkeys(entry.uuid for entry in entries)
    kept = [line for line in _lines(path) if not _replaced(line, new)]
    # A comment about a GPU goes with the last of its lines.
    left = {_content(line)[0] for line in kept if _content(line)}
    gone = [f"# {uuid}: " for uuid in uuids if uuid not in left]
    kept = [line for line in kept if not line.startswith(tuple(gone))] if gone else kept
    lines = kept or HEADER.splitlines()
    for uuid in uuids:
        lines += [
            f"# {uuid}: {about[uuid]}",
            *(str(entry) for entry in entries if entry.uuid == uuid),
        ]
    _replace(Path(path), "\n".join(lines) + "\n")


def require_writable(path: str | os.PathLike[str]) -> None:
    """Find out before an hour of measuring whether the file can be written.

    Raises:
        IoError: it can't.

    """
    target = Path(path)
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent):
            pass
        if target.is_dir():
            raise IsADirectoryError(21, "Is a directory")


def _replace(target: Path, text: str) -> None:
    """Write beside the file and rename: a reader sees the old file or the new one."""
    with _told(target):
        # Where the name is a link, what it points to is replaced.
        target = target.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
            Path(name).chmod(mode)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IoError(
            f"{path}: {error.strerror}", "name a file that can be written: --output FILE"
        ) from None


def _lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise IoError(f"{path}: {error.strerror}", "make it readable, or remove it") from None


def _content(line: str) -> list[str]:
    """Words of a line without its comment."""
    return line.partition("#")[0].split()


def _replaced(line: str, new: set[tuple[str, str]]) -> bool:
    words = _content(line)
    return len(words) >= 3 and (words[0], words[2]) in new


def _entry(path: str | os.PathLike[str], number: int, line: str) -> Entry:
    words = _content(line)
    times = [int(word) for word in words[3:] if word.isascii() and word.isdigit()]
    if len(words) != 3 + len(_TIMES) or len(times) != len(_TIMES) or words[2] not in SENSORS:
        raise InvalidError(
            f"{path}, line {number} is none of a calibration: {line.strip()[:60]!r}",
            "remove it, or calibrate into another file: --output FILE",
        )
    return Entry(words[0], words[1], words[2], *times)
