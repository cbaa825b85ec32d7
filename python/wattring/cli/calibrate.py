"""`wattring calibrate`: how the power sensors of each GPU behave, kept for later sessions."""

from __future__ import annotations

import platform
import sys
import time
from typing import TYPE_CHECKING, Any

from wattring import __version__, _core
from wattring.calibration import file
from wattring.calibration.plan import Plan
from wattring.cli import common, output
from wattring.durations import parse_duration_ns
from wattring.errors import AbsentError, WattringError
from wattring.figures import counted
from wattring.gpus import from_channels, selected
from wattring.loads import choose
from wattring.provenance import machine
from wattring.session import Session
from wattring.visible import seen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wattring.calibration.analysis import SensorFindings
    from wattring.calibration.measuring import GpuCalibration
    from wattring.gpus import Gpu
    from wattring.loads import Load

EXAMPLES = """examples:
  wattring calibrate                        every GPU, with torch, cupy or numba as the load
  wattring calibrate --gpu 0 2 --seconds 60
  wattring calibrate --load mine:Busy       a load of your own (docs/calibration.md)
  wattring calibrate --dry-run --json       measure and print, keep nothing

Each GPU is switched between rest and full load, in steps and in square waves of several periods,
while its sensors are read as often as they allow. Nothing else may use it meanwhile. What is found
goes to FILE, where later sessions find it; lines of other GPUs stay.

exit status: 0 if anything was found, 1 if nothing; 125 if a GPU could not be measured (busy, no
load, no sensor), and what others gave is kept; 130 after Ctrl-C, which prints what there is and
writes nothing.
"""

NOTHING_FOUND = 1
INTERRUPTED = 130


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = common.add_parser(
        verbs, "calibrate", "measure how the power sensors of each GPU behave", EXAMPLES
    )
    parser.add_argument(
        "--gpu",
        type=int,
        nargs="+",
        action="extend",
        metavar="N",
        help="the driver's numbers of the GPUs (default: all that CUDA_VISIBLE_DEVICES leaves)",
    )
    parser.add_argument(
        "--load",
        metavar="LOAD",
        help="torch, cupy, numba, or module:attribute (default: the first that works)",
    )
    parser.add_argument(
        "--seconds", default="30", metavar="TIME", help="time for each GPU (default: 30)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="keep it in FILE (default: where sessions look: WATTRING_CALIBRATION, or "
        "wattring/sensors below XDG_CONFIG_HOME or ~/.config)",
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    common.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure each GPU, print, and write what was found."""
    seconds = Plan(parse_duration_ns(options.seconds) * 1e-9).seconds
    path = options.output or file.default_path()
    session = Session(sources="nvml")
    there = from_channels(session.channels["nvml"])
    gpus = visible_of(there) if options.gpu is None else selected(there, options.gpu)
    make_load = choose(options.load)
    if not options.dry_run:
        # Before anything is measured: what has no place to go must not cost minutes.
        file.require_writable(path)
        file.read(path)
    found, status = measure(gpus, make_load, seconds)
    told = any(sensor.known for one in found for sensor in one.sensors)
    written = ""
    if told and status != INTERRUPTED and not options.dry_run:
        keep(path, found)
        written = str(path)
    if found:
        document = as_dict(found, written)
        output.emit(common.dump(document) if options.json else "\n".join(as_lines(found, written)))
    if status == INTERRUPTED:
        output.complain("interrupted; nothing is written")
    return status or (0 if told else NOTHING_FOUND)


def visible_of(found: list[Gpu]) -> list[Gpu]:
    """Keep the GPUs that a load can reach: others are somebody else's.

    Raises:
        AbsentError: CUDA_VISIBLE_DEVICES leaves none.

    """
    with seen(_core.Environment.from_variables(), ["auto"]) as (visible, unclear):
        if visible is None:
            for told in unclear:
                output.complain(f"{told.reason} - {told.remedy}")
            return found
    said, uuids = visible
    kept = [gpu for gpu in found if gpu.uuid in uuids]
    if not kept:
        raise AbsentError(f"{said} leaves no GPU", "unset it, or name GPUs with --gpu")
    return kept


def measure(
    gpus: list[Gpu], make_load: Callable[[], Load], seconds: float
) -> tuple[list[GpuCalibration], int]:
    """Measure one GPU after the other; what came of them, and an exit status if not all is well."""
    from wattring.calibration.measuring import calibrate  # numpy, which other verbs do without

    found: list[GpuCalibration] = []
    status = 0
    for gpu in gpus:
        try:
            found.append(calibrate(gpu, make_load, seconds, say))
        except WattringError as error:
            # Not to the top at once: what other GPUs gave is kept all the same.
            output.complain(str(error))
            status = common.FAILED
        except KeyboardInterrupt:
            return found, INTERRUPTED
        if found and found[-1].interrupted:
            return found, INTERRUPTED
    return found, status


def say(what: str) -> None:
    """Tell what goes on, where somebody watches."""
    if sys.stderr is not None and sys.stderr.isatty():
        output.report(f"{what} ...")


def keep(path: str | Path, found: list[GpuCalibration]) -> None:
    """Write what was found to the file."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    about = {
        one.gpu.uuid: f"{one.gpu.model}, {when} on {platform.node()} by wattring {__version__}, "
        f"as in arXiv 2312.02741: {describe(one)}"
        for one in found
    }
    file.write(path, [entry(one.gpu, s) for one in found for s in one.sensors if s.known], about)


def entry(gpu: Gpu, sensor: SensorFindings) -> file.Entry:
    """Reduce what was found of a sensor to its line in the file, where a time has no uncertainty.

    A time that may as well be none is left unknown there.
    """
    found = (sensor.refresh, sensor.averaging, sensor.lag, sensor.rise)
    times = (
        f.value_ns if f.value_ns and f.value_ns > (f.uncertainty_ns or 0) else 0 for f in found
    )
    return file.Entry(gpu.uuid, gpu.driver, sensor.sensor, *times)


def describe(one: GpuCalibration) -> str:
    """Say how a GPU was measured."""
    waves = ", ".join(f"{period_s * 1e3:.0f}" for period_s in one.waves)
    return f"{one.seconds:.0f} s, load {one.load}, {counted(one.steps, 'step', 'steps')}, " + (
        f"square waves of {waves} ms" if waves else "no square waves"
    )


def as_dict(found: list[GpuCalibration], written: str) -> dict[str, Any]:
    """Format for programs."""
    return {
        "version": __version__,
        "machine": machine(),
        "gpus": [one.to_dict() for one in found],
        "written": written or None,
    }


def as_lines(found: list[GpuCalibration], written: str) -> Iterator[str]:
    """Format for people: what the interface states beside what was found."""
    for one in found:
        yield f"{one.gpu.name}: {one.gpu.model}, {one.gpu.uuid}, driver {one.gpu.driver}"
        yield f"{one.rest_w:.0f} W at rest, {one.load_w:.0f} W under load; {describe(one)}"
        yield ""
        rows = [["", "refresh", "published", "window", "published", "lag", "rise (10 to 90 %)"]]
        rows += [
            [
                sensor.sensor,
                str(sensor.refresh),
                published(sensor.published_refresh_ns),
                *(
                    ["-"] * 4
                    if sensor.sensor == "counter"
                    else [
                        str(sensor.averaging),
                        published(sensor.published_averaging_ns),
                        str(sensor.lag),
                        str(sensor.rise),
                    ]
                ),
            ]
            for sensor in one.sensors
        ]
        yield from output.table(rows, "<>>>>>>")
        yield from reasons(one.sensors)
        yield ""
    if written:
        yield f"written to {written}"


def published(ns: int) -> str:
    """Format what the interface states."""
    return f"{ns / 1e6:.4g} ms" if ns else "not stated"


def reasons(sensors: list[SensorFindings]) -> Iterator[str]:
    """Say why something is unknown, each reason once."""
    for sensor in sensors:
        if sensor.sensor != "counter" or sensor.refresh.reason:
            found = {"refresh": sensor.refresh}
            if sensor.sensor != "counter":
                found |= {"window": sensor.averaging, "lag": sensor.lag, "rise": sensor.rise}
            by_reason: dict[str, list[str]] = {}
            for name, finding in found.items():
                if finding.reason:
                    by_reason.setdefault(finding.reason, []).append(name)
            for reason, names in by_reason.items():
                yield f"{sensor.sensor}: {', '.join(names)} unknown: {reason}"
