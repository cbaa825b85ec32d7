"""The command line: `wattring list`, `stat`, `doctor`, `demo`.

One verb is one module with `add_parser()` and `run()`; errors become one line and an exit status
here, and nowhere else.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys

from wattring import __version__
from wattring.errors import WattringError

FAILED = 125  # wattring itself, as in env(1) and timeout(1)
VERBS = ("list", "stat", "doctor", "demo")


def parser() -> argparse.ArgumentParser:
    """Build the parser of all verbs."""
    top = argparse.ArgumentParser(
        prog="wattring",
        description="An energy meter for code: joules with their bounds.",
        epilog="try: wattring demo, wattring stat -- sleep 1",
    )
    top.add_argument("--version", action="version", version=f"wattring {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        importlib.import_module(f"wattring.cli.{verb}").add_parser(verbs)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except WattringError as error:
        print(f"wattring: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # The reader has seen enough (`wattring list | head`); do not complain at exit either.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("wattring: interrupted", file=sys.stderr)
        return 130
    return status
