"""`wattring list`: what this machine can be measured with, and what is refused."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from wattring.cli import common, output
from wattring.discovery import sources
from wattring.provenance import machine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from wattring.discovery import SourceInfo

EXAMPLES = """examples:
  wattring list           sources, channels, what is refused and why
  wattring list --json    the same for programs

exit status: 0, also on a machine without sensors.
"""

INDENT = "    "
COLUMNS = 100


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = common.add_parser(
        verbs, "list", "show the sources and channels of this machine", EXAMPLES
    )
    common.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the list; a machine without sensors is no error."""
    found = sources()
    if options.json:
        document = {"machine": machine(), "sources": [as_dict(s) for s in found]}
        output.emit(common.dump(document))
    else:
        output.emit("\n\n".join("\n".join(source_lines(source)) for source in found))
    return 0


def source_lines(source: SourceInfo) -> Iterator[str]:
    """One source for people."""
    extra = "" if source.automatic else ", only when asked for by name"
    yield f"{source.name}: {source.status}{extra}"
    yield INDENT + source.summary
    yield from _refusal(source.reason, source.remedy, "")
    if source.channels:
        yield from (INDENT + line for line in channel_table(source))
    notes: dict[str, list[str]] = {}
    for channel in source.channels:
        if channel.note:
            notes.setdefault(channel.note, []).append(channel.name)
    for note, channels in notes.items():
        yield from _wrapped(f"note: {note} ({', '.join(channels)})")
    for skipped in source.skipped:
        yield from _refusal(skipped.reason, skipped.remedy, skipped.channel or source.name)


def channel_table(source: SourceInfo) -> list[str]:
    """Align tick, refresh and wrap; the device comes last, as it may be long."""
    # A package says that psys contains it, also on a machine without a psys counter.
    names = {channel.name for channel in source.channels}
    rows = [["channel", "tick", "new every", "mean of", "wraps after", "inside", "device"]]
    rows += [
        [
            c.name,
            f"{c.scale * 1e6:.4g} µ{c.unit}" if c.unit in ("J", "W") else f"{c.scale:.4g} {c.unit}",
            f"{c.refresh_ns / 1e6:g} ms" if c.refresh_ns else "-",
            f"{c.averaging_ns / 1e6:g} ms" if c.averaging_ns else "-",
            f"{c.wrap_s:.0f} s at {c.max_power_w:.0f} W" if c.modulus else "never",
            c.parent if c.parent in names else "-",
            c.device,
        ]
        for c in source.channels
        if c.kind != "variance"
    ]
    width = COLUMNS - len(INDENT)
    return [
        line if len(line) <= width else line[: width - 1] + "…"
        for line in output.table(rows, "<>>>><<")
    ]


def _refusal(reason: str, remedy: str, what: str) -> Iterator[str]:
    if reason:
        yield from _wrapped(f"{f'{what} not used' if what else 'why'}: {reason}")
    if remedy:
        yield f"{INDENT}fix: {remedy}"  # not wrapped, it is there to be pasted


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT * 2, break_on_hyphens=False
    )


def as_dict(source: SourceInfo) -> dict[str, Any]:
    """One source for JSON."""
    return {
        "name": source.name,
        "summary": source.summary,
        "automatic": source.automatic,
        "status": source.status,
        "reason": source.reason,
        "remedy": source.remedy,
        "channels": [
            {
                "name": c.name,
                "kind": c.kind,
                "device": c.device,
                "note": c.note,
                "parent": c.parent,
                "unit": c.unit,
                "scale": c.scale,
                "modulus": c.modulus,
                "refresh_ns": c.refresh_ns,
                "averaging_ns": c.averaging_ns,
                "max_power_w": c.max_power_w,
                "wrap_s": c.wrap_s,
            }
            for c in source.channels
        ],
        "skipped": [
            {"channel": s.channel, "code": s.code, "reason": s.reason, "remedy": s.remedy}
            for s in source.skipped
        ],
    }
