"""How long this machine's CPUs were busy, as /proc/stat counts it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# proc_stat(5): columns of the line "cpu", in units of 1/SC_CLK_TCK s. Guests are in user and nice
# already; iowait is idle; steal belongs to somebody else.
BUSY = ("user", "nice", "system", "irq", "softirq")
COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CpuTime:
    """Seconds that all CPUs together were busy, and that there were; since boot, or of a span."""

    busy_s: float
    all_s: float

    def since(self, earlier: CpuTime) -> CpuTime:
        """Take what had passed at an earlier time from this."""
        return CpuTime(self.busy_s - earlier.busy_s, self.all_s - earlier.all_s)


def read(proc: str) -> CpuTime | str:
    """Read both since boot from the root of /proc; why not, where that cannot be."""
    path = Path(proc, "stat")
    try:
        with path.open("rb") as file:
            name, *columns = file.readline().split()
            ticks = dict(zip(COLUMNS, map(int, columns), strict=False))
    except OSError as error:
        return f"{path}: {error.strerror}"
    except ValueError:
        name, ticks = b"", {}
    if name != b"cpu" or len(ticks) < len(COLUMNS):
        return f"{path} has no times of the CPUs"
    return CpuTime(sum(ticks[c] for c in BUSY) * TICK_S, sum(ticks.values()) * TICK_S)


def foreign(proc: str) -> str:
    """Why these times are not those of the whole package; empty if nothing speaks against it."""
    if " hypervisor" in _text(Path(proc, "cpuinfo")):
        return "this is a virtual machine, which does not see who else uses the package"
    mounted = (line.split() for line in _text(Path(proc, "self/mountinfo")).splitlines())
    # lxcfs puts a file there that counts the container's own time alone.
    if any(fields[4:5] == ["/proc/stat"] for fields in mounted):
        return "/proc/stat is the container's own, and the package is not"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
