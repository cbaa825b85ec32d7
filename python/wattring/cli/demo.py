"""`wattring demo`: the energy of doing nothing and of doing something, on this machine."""

from __future__ import annotations

import hashlib
import os
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wattring import _core
from wattring.cli import common, output
from wattring.durations import parse_duration_ns
from wattring.errors import AbsentError, DeniedError, UnsupportedError
from wattring.measurement import format_joules
from wattring.provenance import machine
from wattring.session import Session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from wattring.measurement import Measurement
    from wattring.self_report import SourceStats

EXAMPLES = """examples:
  wattring demo
  wattring demo --seconds 10

Uses the real sensors where there are some, else a simulated machine with a stated power; then every
line says SIMULATED, and the true energy stands beside the measured one.
"""

# The simulated machine's power in watts: the lower in the first half of each period, the higher in
# the second, counted from time 0 of CLOCK_MONOTONIC.
SQUARES = {"package-0": (20.0, 80.0), "core-0": (10.0, 60.0), "dram-0": (5.0, 5.0)}
PERIOD_S = 0.5


@dataclass(frozen=True)
class Phase:
    """One part of the demonstration."""

    name: str
    work: Callable[[float], None]
    seconds: float


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = common.add_parser(verbs, "demo", "measure this machine at rest and at work", EXAMPLES)
    parser.add_argument(
        "--seconds", default="2", metavar="TIME", help="length of the whole of it (default: 2)"
    )
    common.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure the phases and print them."""
    seconds = parse_duration_ns(options.seconds) * 1e-9
    session, refusal = open_session()
    phases = simulated_phases(seconds) if refusal else real_phases(seconds)
    watched = seconds > 1 and sys.stderr is not None and sys.stderr.isatty()
    measured: list[tuple[str, Measurement]] = []
    try:
        with session:
            for phase in phases:
                if watched:
                    output.report(f"measuring {phase.seconds:g} s: {phase.name} ...")
                mark = session.mark()
                try:
                    phase.work(phase.seconds)
                finally:
                    # Ctrl-C ends the demonstration; what it measured until then is shown.
                    measured.append((phase.name, session.between(mark, session.mark())))
    finally:
        if measured:
            stats = session.stats
            if options.json:
                output.emit(common.dump(as_dict(measured, stats, refusal)))
            else:
                output.emit("\n".join(as_lines(measured, stats, session, refusal)))
    return 0


def open_session() -> tuple[Session, str]:
    """Open the real sensors, or the simulated machine and the reason for it."""
    try:
        return Session(), ""
    except (AbsentError, DeniedError, UnsupportedError) as error:
        squares = (
            f"{c}=square:{low:g}:{high:g}:{PERIOD_S:g}" for c, (low, high) in SQUARES.items()
        )
        environment = _core.Environment()
        environment.simulated = ",".join(squares)
        return Session(sources="simulated", environment=environment), str(error)


def simulated_phases(seconds: float) -> list[Phase]:
    """Vary the length: a stated power does not care for work."""
    return [
        Phase("short window", time.sleep, seconds * 0.01),
        Phase("longer window", time.sleep, seconds * 0.1),
        Phase("long window", time.sleep, seconds * 0.89),
    ]


def real_phases(seconds: float) -> list[Phase]:
    """Vary the work."""
    each = seconds / 4
    cpus = len(os.sched_getaffinity(0))
    return [
        Phase("at rest", time.sleep, each),
        Phase("one busy CPU", lambda s: keep_busy(1, s), each),
        Phase("at rest again", time.sleep, each),
        Phase(f"all {cpus} CPUs busy", lambda s: keep_busy(cpus, s), each),
    ]


def keep_busy(cpus: int, seconds: float) -> None:
    """Compute on so many CPUs at a time."""
    stop = threading.Event()
    block = bytes(1 << 20)

    def compute() -> None:
        while not stop.is_set():
            hashlib.sha256(block)  # lets other Python threads run meanwhile

    threads = [threading.Thread(target=compute, daemon=True) for _ in range(cpus)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(seconds)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def true_energy_j(channel: str, t_begin_ns: int, t_end_ns: int) -> float:
    """Energy of the simulated machine: the integral of its stated power."""
    low, high = SQUARES[channel]
    half_s = PERIOD_S / 2

    def until(t_s: float) -> float:
        whole, rest_s = divmod(t_s, PERIOD_S)
        return (
            whole * half_s * (low + high)
            + low * min(rest_s, half_s)
            + high * max(rest_s - half_s, 0.0)
        )

    return until(t_end_ns * 1e-9) - until(t_begin_ns * 1e-9)


def as_dict(
    measured: list[tuple[str, Measurement]], stats: dict[str, SourceStats], refusal: str
) -> dict[str, Any]:
    """Format for programs."""
    phases = []
    for name, m in measured:
        phase = {"name": name} | m.to_dict()
        if refusal:
            phase["true_j"] = {c: true_energy_j(c, m.t_begin_ns, m.t_end_ns) for c in m.energy_j}
        phases.append(phase)
    return {
        "simulated": bool(refusal),
        "reason": refusal,
        "phases": phases,
        "stats": stats,
        "machine": machine(),
    }


def as_lines(
    measured: list[tuple[str, Measurement]],
    stats: dict[str, SourceStats],
    session: Session,
    refusal: str,
) -> list[str]:
    """Format for people."""
    rows = [["", "", "seconds", "joules", "bounds", "watts", "true joules" if refusal else ""]]
    for name, m in measured:
        for channel, joules in m.energy_j.items():
            true_j = true_energy_j(channel, m.t_begin_ns, m.t_end_ns) if refusal else 0.0
            rows.append(
                [
                    name,
                    channel,
                    f"{m.seconds:.3f}",
                    format_joules(joules),
                    common.between(m.bounds_j[channel]),
                    f"{m.power_w[channel]:.2f}",
                    format_joules(true_j) if refusal else "",
                ]
            )
            name = ""
    lines = common.sampling_lines(stats, session)
    if refusal:
        why = f"{refusal}. This is a simulated machine with a stated power; nothing is measured."
        lines = textwrap.wrap(why, 88, break_on_hyphens=False, break_long_words=False) + lines
    lines += ["", *output.table(rows, "<<>><>>")]
    return [f"SIMULATED  {line}".rstrip() for line in lines] if refusal else lines
