"""Fakes in C, compiled into shared libraries and programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def compile_shared(source: Path, library: Path, *options: str) -> Path:
    """Build a shared library; a missing compiler is an error that says so."""
    return _compile(source, library, "-shared", "-fPIC", "-pthread", *options)


def compile_program(source: Path, program: Path) -> Path:
    """Build a program, likewise."""
    return _compile(source, program)


def _compile(source: Path, result: Path, *options: str) -> Path:
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        raise RuntimeError(
            f"no C compiler '{compiler}': the tests build tests/fakes/{source.name} "
            "(apt-get install gcc, or set CC)"
        )
    command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror"]
    command += [*options, "-o", str(result), str(source), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return result
