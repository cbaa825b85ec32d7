"""What several verbs share: options, tables, JSON."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wattring import __version__
from wattring.measurement import format_joules

if TYPE_CHECKING:
    from wattring.measurement import Measurement
    from wattring.session import Session

Verbs = argparse._SubParsersAction  # the type that add_subparsers() returns; it has no public name


def add_parser(verbs: Any, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    """Add one verb with its examples."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add --period and --sources."""
    parser.add_argument(
        "--period", default="1ms", help="time between samples: 250us, 1ms, 0.01 (default: 1ms)"
    )
    parser.add_argument(
        "--sources",
        default="auto",
        help="sources separated by commas (default: auto, every real one that can be read)",
    )


def source_names(text: str) -> list[str]:
    """Split what --sources was given."""
    return [name.strip() for name in text.split(",") if name.strip()]


def dump(document: dict[str, Any]) -> str:
    """JSON for people and programs."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def machine() -> dict[str, str]:
    """Describe this machine: what a figure needs to be understood elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "wattring": __version__,
    }


def energy_table(measurement: Measurement) -> list[str]:
    """One line per channel, and a total where there is more than one root channel."""
    lines = [f"{'':16}{'joules':>12}   {'bounds':<26}{'watts':>10}"]
    for channel, joules in measurement.energy_j.items():
        low, high = measurement.bounds_j[channel]
        lines.append(
            _line(channel, joules, (low, high), measurement.power_w[channel])
            + "".join(f"   [{note}]" for note in measurement.notes.get(channel, []))
        )
    if len(measurement.roots) > 1:
        total = measurement.total_j
        watts = total / measurement.seconds if measurement.seconds > 0 else 0.0
        label = _line("total", total, measurement.total_bounds_j, watts)
        lines.append(f"{label}   ({' + '.join(measurement.roots)})")
    return lines


def _line(name: str, joules: float, bounds: tuple[float, float], watts: float) -> str:
    between = f"({format_joules(bounds[0])} … {format_joules(bounds[1])})"
    return f"{name:<16}{format_joules(joules):>12} J {between:<26}{watts:>10.2f} W"


def sampling_lines(session: Session, period_ns: int) -> list[str]:
    """How the sampling went, and what was left out."""
    lines = []
    for source, stats in session.stats.items():
        lines.append(
            f"{source}: {stats['samples']} samples every {period_ns / 1e6:g} ms, "
            f"{stats['missed']} missed, late {stats['lateness_ns']['p50'] / 1e3:.0f} µs (p50) "
            f"{stats['lateness_ns']['p99'] / 1e3:.0f} µs (p99), "
            f"sampler {stats['cpu_s'] * 1e3:.1f} ms CPU"
        )
        if stats["gone"]:
            lines.append(f"{source}: the sensor VANISHED while it was read; figures end there")
        if stats["refused"]:
            lines.append(f"{source}: not granted: {stats['refused']}")
    left_out = [s for s in session.skipped if s.code != "redundant"]
    lines += [
        f"not used: {s.source}{' ' + s.channel if s.channel else ''} ({s.code}: {s.reason})"
        for s in left_out
    ]
    return lines


def skipped_list(session: Session) -> list[dict[str, str]]:
    """`session.skipped` for JSON."""
    return [
        {
            "source": s.source,
            "channel": s.channel,
            "code": s.code,
            "reason": s.reason,
            "remedy": s.remedy,
        }
        for s in session.skipped
    ]
