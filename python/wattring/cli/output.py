"""Where text goes: standard output, standard error, the file of -o, each of which may fail."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wattring.errors import IoError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO


def accept_any_encoding() -> None:
    """Where the terminal has no µ or …, print a question mark instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def emit(text: str) -> None:
    """Print to standard output, if there is one.

    Raises:
        IoError: it can't be written, for instance to a full disk.

    """
    try:
        _write(sys.stdout, text)
    except OSError as error:
        _mute(sys.stdout)
        raise IoError(f"standard output: {error.strerror}") from None


def report(text: str) -> bool:
    """Print to standard error, if there is one; False if that fails: only a status can tell."""
    try:
        _write(sys.stderr, text)
    except OSError:
        _mute(sys.stderr)
        return False
    return True


def complain(reason: str) -> None:
    """One line on standard error."""
    report(f"wattring: {reason}")


def finish() -> None:
    """Flush what argparse may have printed; the interpreter would complain about a closed pipe."""
    with contextlib.suppress(OSError):
        _write(sys.stdout, "")
        return
    _mute(sys.stdout)


def _write(stream: TextIO | None, text: str) -> None:
    # Python has no stream where the descriptor was closed before it started.
    if stream is None:
        return
    try:
        if text:
            stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        # The reader has seen enough (`wattring list | head`).
        _mute(stream)


def _mute(stream: TextIO | None) -> None:
    """Send the rest elsewhere, or the interpreter tries to write it again at exit."""
    if stream is not None:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), stream.fileno())


class ReportFile:
    """The file of -o: proven to be writable before the measurement, emptied only after it."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            # Held open until the end: the reader of a pipe must not see its end before the report.
            self._held = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise IoError(f"{path}: {error.strerror}", "name a file that can be written") from None

    def write(self, text: str) -> None:
        """Replace what the file holds; what can't be written goes to stderr, so it isn't lost."""
        try:
            # Opened again by name: the command may have removed or replaced the file.
            with Path(self._path).open("w", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            report(text)
            raise IoError(
                f"{self._path}: {error.strerror}", "the report is on standard error instead"
            ) from None
        finally:
            os.close(self._held)


def table(rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Align columns; `align` has < or > per column."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
