"""`wattring stat -- CMD`: the energy of a command, with the manners of perf stat."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from wattring import _core
from wattring.cli import common, output, stat_report
from wattring.errors import InvalidError, WattringError
from wattring.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = """examples:
  wattring stat -- make -j8
  wattring stat -r 5 -- ./bench             five runs, mean and spread
  wattring stat --json -o e.json -- ./train.sh

The energy is that of the whole machine between start and end of the command. The command's own
output goes where it would go without wattring; the report goes to stderr, or to FILE. Ctrl-C is
the command's affair, SIGTERM and SIGHUP are passed on to it; what was measured is reported. With
-r no mean has the run in which a signal came.

exit status:
  the command's own (with -r: of the first run that failed)
  128 + N  signal N ended the command
  125      wattring itself failed, for instance because no sensor can be read
  126      the command cannot be executed
  127      the command does not exist
  2        an option that wattring does not know
"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = common.add_parser(verbs, "stat", "measure the energy of a command", EXAMPLES)
    parser.usage = (
        "wattring stat [-r N] [--json] [-o FILE] [--period TIME] [--sources NAMES] -- CMD"
    )
    parser.add_argument("-r", "--repeat", type=int, default=1, metavar="N", help="run it N times")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the report to FILE, replacing it"
    )
    common.add_json(parser)
    common.add_sampling(parser)
    # All that follows the command's name is the command's, options included.
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")
    parser.set_defaults(run=run)


class Signals:
    """While a command runs, Ctrl-C is the command's affair; SIGTERM and SIGHUP are passed on."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.caught = 0
        self._pending = 0

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Catch the signals that were not ignored: the command must inherit those that were."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        caught = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN]
        before = {n: signal.signal(n, self._on_signal) for n in caught}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        self.caught = number
        # The terminal sends Ctrl-C to the command as well; the others came to wattring alone.
        if number != signal.SIGINT:
            self._pending = number
        self.pass_on()

    def pass_on(self) -> None:
        """Hand a signal on, also one that came before the command was there."""
        if self._pending and self.child is not None:
            number, self._pending = self._pending, 0
            self.child.send_signal(number)


def run(options: argparse.Namespace) -> int:
    """Measure the command, report, and return its status."""
    if options.repeat < 1:
        raise InvalidError(f"cannot run a command {options.repeat} times", "ask for -r 1 or more")
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise InvalidError("no command to measure", "write it behind --: wattring stat -- sleep 1")
    session = Session(options.period, common.source_names(options.sources))
    # Before the command runs: a report that has no place to go must not cost an hour of work.
    file = output.ReportFile(options.output) if options.output else None
    signals = Signals()
    runs: list[stat_report.Run] = []
    status = 0
    with signals.installed():
        with session:
            try:
                while len(runs) < options.repeat and not signals.caught:
                    runs.append(run_once(session, command, signals))
            except CannotRunError as error:
                output.complain(str(error))
                status = error.status
            except WattringError as error:
                # Not to the top at once: what earlier runs gave is reported all the same.
                output.complain(str(error))
                status = common.FAILED
        if not runs and status:
            return status
        result = stat_report.Report(command, session.period_ns, runs, session, session.stats)
        text = common.dump(result.as_dict()) if options.json else result.as_table()
        if file is not None:
            file.write(text)
        elif not output.report(text):
            return common.FAILED
    if not runs:
        return 128 + signals.caught
    return status or next((one.exit_status for one in runs if one.exit_status), 0)


class CannotRunError(Exception):
    """The operating system refuses to start the command."""

    def __init__(self, command: str, error: OSError) -> None:
        super().__init__(f"{command}: {error.strerror}")
        self.status = 127 if isinstance(error, FileNotFoundError) else 126


def run_once(session: Session, command: list[str], signals: Signals) -> stat_report.Run:
    """One run: its measurement and exit status."""
    t_begin_ns = _core.now_ns()
    try:
        # Descriptors that wattring was given are the command's: a jobserver's, a socket's.
        child = subprocess.Popen(command, close_fds=False)
    except OSError as error:
        raise CannotRunError(command[0], error) from None
    with child:
        signals.child = child
        signals.pass_on()
        # Settling waits for samples, and must not delay seeing the command's end.
        begin = Settling(session, t_begin_ns)
        begin.start()
        status = child.wait()
        t_end_ns = _core.now_ns()
        # What comes later, while the end is settled, has cut nothing off.
        interrupted = signals.caught != 0
        signals.child = None
    measurement = session.between(begin.result(), session.mark(t_end_ns))
    exit_status = status if status >= 0 else 128 - status
    return stat_report.Run(measurement, exit_status, interrupted)


class Settling(threading.Thread):
    """Settles one time stamp beside whatever else goes on."""

    def __init__(self, session: Session, t_ns: int) -> None:
        super().__init__(name="wattring-mark")
        self._session = session
        self._t_ns = t_ns
        self._mark: _core.Mark | WattringError

    def run(self) -> None:
        """Take the mark, or keep the reason why not."""
        try:
            self._mark = self._session.mark(self._t_ns)
        except WattringError as error:
            self._mark = error

    def result(self) -> _core.Mark:
        """Wait for the mark."""
        self.join()
        if isinstance(self._mark, WattringError):
            raise self._mark
        return self._mark
