"""`wattring list`: what this machine can be measured with, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wattring.cli import common
from wattring.discovery import sources

if TYPE_CHECKING:
    import argparse

    from wattring._core import Channel
    from wattring.discovery import SourceInfo

EXAMPLES = """examples:
  wattring list           sources, channels, what is refused and why
  wattring list --json    the same for programs
"""


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
        print(common.dump({"machine": common.machine(), "sources": [as_dict(s) for s in found]}))
        return 0
    for source in found:
        extra = "" if source.automatic else ", only when asked for by name"
        print(f"{source.name:<16}{source.status}{extra}")
        print(f"    {source.summary}")
        if source.reason:
            print(f"    why: {source.reason}")
        if source.remedy:
            print(f"    fix: {source.remedy}")
        for channel in source.channels:
            print(f"    {channel_line(channel)}")
        for skipped in source.skipped:
            print(f"    not used: {skipped.channel or source.name}: {skipped.reason}")
            if skipped.remedy:
                print(f"        fix: {skipped.remedy}")
    return 0


def channel_line(channel: Channel) -> str:
    """Format unit, refresh and wrap of a channel in one line."""
    inside = f", inside {channel.parent}" if channel.parent else ""
    note = f" [{channel.note}]" if channel.note else ""
    return (
        f"{channel.name:<16}{channel.scale * 1e6:.4g} µJ per tick, "
        f"new every {channel.refresh_ns / 1e6:g} ms, "
        f"wraps after {channel.wrap_s:.0f} s at {channel.max_power_w:.0f} W{inside}: "
        f"{channel.device}{note}"
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
                "scale_j": c.scale,
                "refresh_ns": c.refresh_ns,
                "wrap_s": c.wrap_s,
            }
            for c in source.channels
        ],
        "skipped": [
            {"channel": s.channel, "code": s.code, "reason": s.reason, "remedy": s.remedy}
            for s in source.skipped
        ],
    }
