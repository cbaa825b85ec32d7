"""Instructions of what wattring does most often, held against a baseline.

Instructions, unlike times, are the same on a busy machine. They are counted by callgrind, without
the kernel's, in two runs of `instructions.cpp`: what the second does more, by how many times more
it does it. Compilers differ, so the baseline has figures of each by itself.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from lines import Line

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 0.05
# Of gcc 12.2's figures clang 14.0 and gcc 11.3 needed 0.46 to 1.02 times as many.
TOLERANCE_ELSEWHERE = 0.25
UPDATE = "python bench/gates.py --update"


class Operation(NamedTuple):
    """What is counted, how often, and the most that it may take on any machine."""

    name: str
    text: str
    times: int
    most: int | None = None


OPERATIONS = (
    Operation("sample", "sample of six channels", 1000, 2500),
    Operation("ring_push", "row pushed into the ring", 10_000),
    Operation("row_read", "row read out of the ring", 10_000),
    Operation("window", "window begun and ended", 10_000),
)


class Counted(NamedTuple):
    """Instructions each, by the operation's name, and who compiled them."""

    instructions: dict[str, float]
    compiler: str
    libc: str


def run_counted(program: Path, operation: str, times: int) -> tuple[int, dict[str, str | int]]:
    """All instructions of one run, and what the program printed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        callgrind = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
        command = [*callgrind, str(program), operation, str(times), folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        totals = re.search(r"^totals: (\d+)", out.read_text(), re.MULTILINE)
    assert totals
    return int(totals[1]), json.loads(done.stdout)


def count(programs: Path) -> Counted:
    """Count all operations; takes a quarter of a minute."""
    if shutil.which("valgrind") is None:
        raise SystemExit("no valgrind to count instructions with: apt install valgrind")
    instructions = {}
    told: dict[str, str | int] = {}
    for operation in OPERATIONS:
        program = programs / "instructions"
        few, told = run_counted(program, operation.name, operation.times)
        many, more_told = run_counted(program, operation.name, 2 * operation.times)
        # The threads of a session may have taken some samples more or fewer than asked for.
        more_done = int(more_told["done"]) - int(told["done"])
        instructions[operation.name] = (many - few) / more_done
    compiler = f"{str(told['compiler']).strip()}, {platform.machine()}"
    return Counted(instructions, compiler, f"glibc {told['libc']}")


def closest(compiler: str, known: list[str]) -> str:
    """Of the baselines the compiler's own, else one of its family, else any: the architecture's."""

    def likeness(other: str) -> tuple[bool, bool, bool]:
        (name, arch), (its_name, its_arch) = compiler.split(", "), other.split(", ")
        return other == compiler, arch == its_arch, name.split()[0] == its_name.split()[0]

    return max(known, key=likeness)


def judge(counted: Counted, baselines: dict[str, dict[str, float | str]]) -> list[Line]:
    """Hold what was counted against the baseline of its compiler, or visibly of another."""
    of = closest(counted.compiler, list(baselines))
    is_own = of == counted.compiler
    tolerance = TOLERANCE if is_own else TOLERANCE_ELSEWHERE
    lines = []
    for operation in OPERATIONS:
        figure = counted.instructions[operation.name]
        base = float(baselines[of][operation.name])
        change = figure / base - 1
        most = base * (1 + tolerance)
        if operation.most is not None:
            most = min(most, operation.most)
        said = f"{change:+.1%} of {base:g}"
        if not is_own:
            said += f" of {of}: none for {counted.compiler}, so {tolerance:.0%} are allowed"
        elif abs(change) > tolerance:
            said += f"; {'if this must be' if change > 0 else 'well done'}: {UPDATE}"
        if is_own and counted.libc != baselines[of]["libc"]:
            said += f" with {baselines[of]['libc']}, here {counted.libc}"
        lines.append(
            Line(
                f"instructions: {operation.text}",
                figure,
                "instr.",
                said,
                f"<= {most:.1f}",
                figure <= most,
            )
        )
    return lines


def read_baselines() -> dict[str, dict[str, float | str]]:
    """By compiler: the figures by operation, and the C library that they were counted with."""
    found: dict[str, dict[str, float | str]] = json.loads(BASELINE.read_text())
    return found


def update(counted: Counted) -> None:
    """Make what was counted the baseline of its compiler."""
    baselines = read_baselines() if BASELINE.exists() else {}
    rounded = {name: round(figure, 1) for name, figure in counted.instructions.items()}
    baselines[counted.compiler] = {**rounded, "libc": counted.libc}
    BASELINE.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n")


def instructions(programs: Path, *, as_baseline: bool = False) -> list[Line]:
    counted = count(programs)
    if as_baseline:
        update(counted)
    return judge(counted, read_baselines())
