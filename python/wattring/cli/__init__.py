"""The command line: `wattring list`, `stat`, `doctor`, `calibrate`, `demo`.

One verb is one module with `add_parser()` and `run()`; errors become one line and an exit status
here, and nowhere else.
"""

from __future__ import annotations

import argparse
import importlib

from wattring import __version__
from wattring.cli import common, output
from wattring.errors import WattringError

INTERRUPTED = 130
VERBS = ("list", "stat", "doctor", "calibrate", "demo")


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
    output.accept_any_encoding()
    try:
        try:
            options = parser().parse_args(arguments)
        except OSError:
            # Nobody reads the help: older versions of argparse raise what later ones suppress.
            return 0
        status: int = options.run(options)
    except WattringError as error:
        output.complain(str(error))
        return common.FAILED
    except KeyboardInterrupt:
        output.complain("interrupted")
        return INTERRUPTED
    finally:
        output.finish()
    return status
