"""CPU time of a process and of those that it has started."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path

_SCHEDULED = (
    2  # CPUCLOCK_SCHED of Linux's posix-timers.h: all that ran, threads that ended included
)


def tree_cpu_ns() -> int:
    """CPU time of this process and of all below it, ended or alive, in ns."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_ns = time.process_time_ns() + int((ended.ru_utime + ended.ru_stime) * 1e9)
    for pid in _descendants(os.getpid()):
        # The kernel's number for another process's clock, as clock_getcpuclockid(3) makes it.
        with contextlib.suppress(OSError):  # it has ended meanwhile
            cpu_ns += time.clock_gettime_ns((~pid << 3) | _SCHEDULED)
    return cpu_ns


def _descendants(of: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(entry.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = [of]
    for parent in found:  # grows while it is gone through
        found += [pid for pid, its in parents.items() if its == parent]
    return found[1:]
