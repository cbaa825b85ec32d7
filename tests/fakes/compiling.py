"""Fakes in C, compiled into shared libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def compile_shared(source: Path, library: Path, *options: str) -> Path:
    """Build a shared library; a missing compiler is an error that says so."""
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        raise RuntimeError(
            f"no C compiler '{compiler}': the tests build tests/fakes/{source.name} "
            "(apt-get install gcc, or set CC)"
        )
    command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror"]
    command += ["-shared", "-fPIC", "-pthread", *options]
    command += ["-o", str(library), str(source), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return library
