"""Work that keeps a CPU busy, as a process that counts what it gets done.

`python bench/saturating.py WORK FILE PLACE` works until its parent is gone. After each unit of some
ten microseconds it stores how many it has done in the 64-bit word PLACE of FILE.
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def matrix_product() -> Callable[[], object]:
    import numpy as np

    a = np.random.default_rng(1).random((64, 64))
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)


def python_loop() -> Callable[[], object]:
    def unit() -> None:
        total = 0
        for i in range(500):
            total += i

    return unit


def memory_stream() -> Callable[[], object]:
    """Copy 128 KiB of 64 MiB, a piece further each time: more than caches hold."""
    import numpy as np

    pieces = np.zeros((512, 16_384))
    to = np.zeros_like(pieces)
    at = 0

    def unit() -> None:
        nonlocal at
        to[at] = pieces[at]
        at = (at + 1) % len(pieces)

    return unit


def system_calls() -> Callable[[], object]:
    def unit() -> None:
        for _ in range(100):
            os.getppid()

    return unit


WORKS = {
    "matrix product": matrix_product,
    "Python loop": python_loop,
    "memory stream": memory_stream,
    "system calls": system_calls,
}


def main() -> None:
    work, file, place = sys.argv[1:]
    unit = WORKS[work]()
    with Path(file).open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as memory:
        words = memoryview(memory).cast("Q")
        parent = os.getppid()
        done = 0
        while os.getppid() == parent:
            for _ in range(100):
                unit()
                done += 1
                words[int(place)] = done


if __name__ == "__main__":
    main()
