"""`wattring demo`: the energy of doing nothing and of doing something, on this machine."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from wattring import _core
from wattring.cli import common
from wattring.durations import parse_duration_ns
from wattring.errors import AbsentError, DeniedError, UnsupportedError
from wattring.measurement import format_joules
from wattring.session import Session

if TYPE_CHECKING:
    import argparse

    from wattring.measurement import Measurement

EXAMPLES = """examples:
  wattring demo
  wattring demo --seconds 5

Uses the real sensors where there are some, else a simulated machine with a stated power; then every
line says SIMULATED, and the true energy stands beside the measured one.
"""

# The simulated machine's power in watts: the lower in the first half of each period, the higher in
# the second, counted from time 0 of CLOCK_MONOTONIC.
SQUARES = {"package-0": (20.0, 80.0), "core-0": (10.0, 60.0), "dram-0": (5.0, 5.0)}
PERIOD_S = 0.5


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = common.add_parser(verbs, "demo", "measure this machine at rest and at work", EXAMPLES)
    parser.add_argument("--seconds", default="1s", help="length of each phase (default: 1s)")
    common.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure two phases and print them."""
    seconds = parse_duration_ns(options.seconds) * 1e-9
    session, refusal = open_session()
    # A stated power does not care for work; there, lengths are what is worth seeing.
    phases = (
        [("a short window", time.sleep, seconds / 100), ("a long window", time.sleep, seconds)]
        if refusal
        else [("at rest", time.sleep, seconds), ("one busy thread", spin, seconds)]
    )
    measured: dict[str, Measurement] = {}
    try:
        with session:
            for name, work, length_s in phases:
                if sys.stderr.isatty():
                    print(f"measuring {length_s:g} s: {name} ...", file=sys.stderr)
                begin_ns = _core.now_ns()
                mark = session.mark(begin_ns)
                try:
                    work(length_s)
                finally:
                    # Ctrl-C ends the demonstration; what it measured until then is shown.
                    measured[name] = session.between(mark, session.mark(_core.now_ns()))
    finally:
        show(options, measured, session, refusal)
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


def spin(seconds: float) -> None:
    """Keep one thread busy."""
    stop = threading.Event()
    threading.Timer(seconds, stop.set).start()
    while not stop.is_set():
        sum(range(1000))


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


def show(
    options: argparse.Namespace, phases: dict[str, Measurement], session: Session, refusal: str
) -> None:
    """Print the phases as a table or as JSON."""
    simulated = bool(refusal)
    if options.json:
        document = {
            "simulated": simulated,
            "reason": refusal,
            "phases": {name: m.to_dict() for name, m in phases.items()},
            "stats": session.stats,
            "machine": common.machine(),
        }
        print(common.dump(document))
        return
    lines = []
    if simulated:
        lines += [refusal, "this is a simulated machine with a stated power; nothing is measured"]
    for name, measurement in phases.items():
        lines.append(f"{name}, {measurement.seconds:.3f} s")
        for channel, joules in measurement.energy_j.items():
            low, high = measurement.bounds_j[channel]
            between = f"({format_joules(low)} … {format_joules(high)})"
            watts = measurement.power_w[channel]
            line = f"  {channel:<12}{joules:>9.3f} J  {between:<22}{watts:>8.2f} W"
            if simulated:
                true_j = true_energy_j(channel, measurement.t_begin_ns, measurement.t_end_ns)
                line += f"   true energy {true_j:.3f} J"
            lines.append(line)
    lines += common.sampling_lines(session, 1_000_000)
    for line in lines:
        print(("SIMULATED  " if simulated else "") + line)
