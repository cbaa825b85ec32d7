"""What several verbs share: options, JSON, how sampling is described."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from wattring import self_report
from wattring.measurement import format_joules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wattring._core import Skipped
    from wattring.self_report import SourceStats
    from wattring.session import Session

FAILED = 125  # exit status: wattring itself, as in env(1) and timeout(1)
VANISHED = "the sensor VANISHED while it was read; figures end there"
VISIBILITY = ("hidden", "ambiguous", "unresolved")  # codes of what a program sees of the GPUs


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
        "--period",
        default="1ms",
        metavar="TIME",
        help="time between samples: 250us, 1ms, 0.01; auto: once for each update of the counters "
        "(default: 1ms)",
    )
    parser.add_argument(
        "--sources",
        default="auto",
        metavar="NAMES",
        help="sources separated by commas; auto: every real one that can be read, and of the GPUs "
        "those that CUDA_VISIBLE_DEVICES names; all: the same and every GPU (default: auto)",
    )


def source_names(text: str) -> list[str]:
    """Split what --sources was given."""
    return [name.strip() for name in text.split(",") if name.strip()]


def dump(document: dict[str, Any]) -> str:
    """JSON for people and programs."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def between(bounds: tuple[float, float]) -> str:
    """Bounds as text."""
    return f"({format_joules(bounds[0])} … {format_joules(bounds[1])})"


def sampling_lines(stats: dict[str, SourceStats], session: Session) -> list[str]:
    """How the sampling went, and what was left out, in lines of at most 100 columns or so."""
    lines = self_report.lines(stats)
    for source, s in stats.items():
        if s["spared"]:
            lines.append(
                f"{source}: {s['spared']} samples left out to keep the driver free "
                f"({s['read_ns']['p50'] / 1e3:.0f} µs a sample)"
            )
        if s["gone"]:
            lines.append(f"{source}: {VANISHED}")
        if s["refused"]:
            lines.append(f"{source}: not granted: {s['refused']}")
    for channel, refresh in session.refresh().items():
        if refresh.stale_times:
            lines.append(f"{channel}: {refresh.reason}")
    left_out = [s for s in session.skipped if s.code not in ("redundant", *VISIBILITY)]
    if left_out:
        described = "; ".join(f"{f'{s.source} {s.channel}'.strip()} ({s.code})" for s in left_out)
        lines.append(f"not used: {described}; `wattring doctor` says why")
    return [*lines, *visibility_lines(session.skipped)]


def visibility_lines(skipped: list[Skipped]) -> Iterator[str]:
    """Say which GPUs the program cannot see, or that it could not be told."""
    hidden: dict[str, list[str]] = {}
    for s in skipped:
        if s.code == "hidden":
            hidden.setdefault(s.reason, []).append(s.channel or s.source)
        elif s.code in VISIBILITY:
            yield f"{s.source}: {s.reason} - {s.remedy}"
    for reason, names in hidden.items():
        yield f"not used: {', '.join(names)} ({reason}); --sources all measures every GPU"
