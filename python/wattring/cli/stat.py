"""`wattring stat -- CMD`: the energy of a command, with the manners of perf stat."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shlex
import signal
import statistics
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from wattring import _core
from wattring.cli import common
from wattring.durations import parse_duration_ns
from wattring.errors import InvalidError, IoError, StateError
from wattring.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wattring.measurement import Measurement

EXAMPLES = """examples:
  wattring stat -- make -j8
  wattring stat -r 5 -- ./bench             five runs, mean and spread
  wattring stat --json -o e.json -- ./train.sh

The energy is that of the whole machine between start and end of the command. The command's own
output goes where it would go without wattring; the report goes to stderr, or to FILE.

exit status: the command's (of the first run that failed); 128 + N if signal N ended it; 125 if
wattring itself failed, 126 if the command cannot be executed, 127 if it does not exist.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = common.add_parser(verbs, "stat", "measure the energy of a command", EXAMPLES)
    parser.add_argument("-r", "--repeat", type=int, default=1, metavar="N", help="run it N times")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the report to FILE")
    common.add_json(parser)
    common.add_sampling(parser)
    # All that follows the command's name is the command's, options included.
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")
    parser.set_defaults(run=run)


class Interrupts:
    """While a command runs, Ctrl-C is the command's affair, and SIGTERM is passed on to it."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.stopped = False
        self.terminated = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Catch both signals."""
        before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        self.stopped = True
        # The terminal sends Ctrl-C to the command as well; SIGTERM came to wattring alone.
        self.terminated |= number == signal.SIGTERM
        self.pass_on()

    def pass_on(self) -> None:
        """Hand a SIGTERM on, also one that came before the command was there."""
        if self.terminated and self.child is not None:
            self.child.terminate()


def run(options: argparse.Namespace) -> int:
    """Measure the command, report, and return its status."""
    if options.repeat < 1:
        raise InvalidError(f"cannot run a command {options.repeat} times", "ask for -r 1 or more")
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise InvalidError("no command to measure", "write it behind --: wattring stat -- sleep 1")
    period_ns = parse_duration_ns(options.period)
    session = Session(options.period, common.source_names(options.sources))
    # Before the command runs: a report that has no place to go must not cost an hour of work.
    report = open_report(options.output) if options.output else None
    runs: list[tuple[Measurement, int]] = []
    interrupts = Interrupts()
    with interrupts.installed(), session:
        while len(runs) < options.repeat and not interrupts.stopped:
            try:
                runs.append(run_once(session, command, interrupts))
            except OSError as error:
                print(f"wattring: {command[0]}: {error.strerror}", file=sys.stderr)
                return 127 if isinstance(error, FileNotFoundError) else 126
    text = (
        common.dump(as_dict(command, period_ns, session, runs))
        if options.json
        else as_table(command, period_ns, session, runs)
    )
    if report is None:
        print(text, file=sys.stderr)
    else:
        write_report(report, options.output, text)
    return next((status for _, status in runs if status != 0), 0)


def open_report(path: str) -> int:
    """Open the file of -o, empty."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise IoError(f"{path}: {error.strerror}") from None


def write_report(descriptor: int, path: str, text: str) -> None:
    """Write the file of -o; what does not fit there goes to stderr, so that it is not lost."""
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        print(text, file=sys.stderr)
        raise IoError(f"{path}: {error.strerror}") from None


def run_once(
    session: Session, command: list[str], interrupts: Interrupts
) -> tuple[Measurement, int]:
    """One run: its measurement and exit status."""
    marks: list[_core.Mark] = []
    t_begin_ns = _core.now_ns()
    with subprocess.Popen(command) as child:
        interrupts.child = child
        interrupts.pass_on()
        # Settling waits for samples, and must not delay seeing the command's end.
        settling = threading.Thread(target=lambda: marks.append(session.mark(t_begin_ns)))
        settling.start()
        status = child.wait()
        t_end_ns = _core.now_ns()
        interrupts.child = None
    settling.join()
    if not marks:
        raise StateError("the begin of the command could not be settled")
    measurement = session.between(marks[0], session.mark(t_end_ns))
    return measurement, status if status >= 0 else 128 - status


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (NaN for a single value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def as_table(
    command: list[str], period_ns: int, session: Session, runs: list[tuple[Measurement, int]]
) -> str:
    """Format the report for people."""
    lines = ["", f" energy of '{shlex.join(command)}':", ""]
    if len(runs) == 1:
        measurement, status = runs[0]
        lines += [" " + line for line in common.energy_table(measurement)]
        lines += ["", f" {measurement.seconds:.6f} s, exit status {status}"]
    elif runs:
        lines.append(
            f" {'':16}{'mean J':>12}   {'spread':>22}   {'mean W':>9}   ({len(runs)} runs)"
        )
        for channel in runs[0][0].energy_j:
            mean_j, deviation_j = spread([m.energy_j[channel] for m, _ in runs])
            mean_w, _ = spread([m.power_w[channel] for m, _ in runs])
            percent = 100 * deviation_j / mean_j if mean_j else 0.0
            notes = "".join(f"   [{note}]" for note in runs[0][0].notes.get(channel, []))
            lines.append(
                f" {channel:<16}{mean_j:>12.3f} J ± {deviation_j:>10.3f} J ({percent:5.2f} %)"
                f"{mean_w:>12.2f} W{notes}"
            )
        mean_s, deviation_s = spread([m.seconds for m, _ in runs])
        lines += ["", f" {mean_s:.6f} s ± {deviation_s:.6f} s"]
    else:
        lines.append(" stopped before the first run")
    lines += [" " + line for line in common.sampling_lines(session, period_ns)]
    return "\n".join(lines)


def as_dict(
    command: list[str], period_ns: int, session: Session, runs: list[tuple[Measurement, int]]
) -> dict[str, Any]:
    """Format the report for programs."""
    mean: dict[str, Any] = {}
    for channel in runs[0][0].energy_j if runs else ():
        mean_j, deviation_j = spread([m.energy_j[channel] for m, _ in runs])
        mean[channel] = {
            "mean_j": mean_j,
            "std_j": None if math.isnan(deviation_j) else deviation_j,
        }
    return {
        "command": command,
        "runs": [m.to_dict() | {"exit_status": status} for m, status in runs],
        "energy": mean,
        "period_ns": period_ns,
        "stats": session.stats,
        "skipped": common.skipped_list(session),
        "machine": common.machine(),
    }
