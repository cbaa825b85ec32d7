"""Runs inside a machine whose RAPL counters integrate a known power: wattring against the truth.

The truth is read from model-specific registers that only that machine has: 0x400000E0 is the clock
of the power function in ns, 0x400000E8 + d the exact energy in nJ (d: 0 package, 1 core, 2 dram).

    python guest_truth.py windows SOURCE [COUNT]   bounds and errors of windows from 1 ms to 1 s
    python guest_truth.py long SOURCE              one 5 s window
    python guest_truth.py stat SOURCE              `wattring stat --json -- sleep 5`, by its stamps
    python guest_truth.py accuracy SOURCE          errors of many windows of each of some lengths
    python guest_truth.py auto SOURCE              updates that period="auto" sees, and its reads
    python guest_truth.py perf                     `wattring stat` beside `perf stat`

Prints one JSON document; the host decides what is good enough.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import wattring as wr

if TYPE_CHECKING:
    from collections.abc import Iterator

# AMD's cores, "package-0-core-3", all show the machine's one core domain.
REGISTER = {"package": 0, "core": 1, "dram": 2}


class Truth:
    """Exact energies, from the registers of the CPU that leads each package."""

    def __init__(self) -> None:
        self.files: dict[int, int] = {}
        for cpu in sorted(Path("/dev/cpu").glob("[0-9]*"), key=lambda p: int(p.name)):
            topology = Path(f"/sys/devices/system/cpu/cpu{cpu.name}/topology/physical_package_id")
            package = int(topology.read_text()) if topology.exists() else 0
            if package not in self.files:
                self.files[package] = os.open(cpu / "msr", os.O_RDONLY)

    def register(self, package: int, address: int) -> int:
        return int.from_bytes(os.pread(self.files[package], 8, address), "little")

    def energy_j(self, channel: str) -> float:
        parts = channel.split("-")
        domain = "core" if "core" in parts else parts[0]
        return self.register(int(parts[1]), 0x400000E8 + REGISTER[domain]) * 1e-9

    def clock_offset_ns(self) -> float:
        """Machine clock minus CLOCK_MONOTONIC, from the tightest of some brackets."""
        best = (1 << 62, 0.0)
        for _ in range(50):
            before = time.monotonic_ns()
            clock = self.register(0, 0x400000E0)
            after = time.monotonic_ns()
            best = min(best, (after - before, clock - (before + after) / 2))
        return best[1]


def power_function(spec: str, t_s: float) -> float:
    """Energy in [0, t] of const:W or square:LO:HI:PERIOD."""
    shape, *numbers = spec.split(":")
    value = [float(n) for n in numbers]
    if shape == "const":
        return value[0] * t_s
    low, high, period = value
    whole, rest = divmod(t_s, period)
    half = period / 2
    return whole * half * (low + high) + low * min(rest, half) + high * max(rest - half, 0)


def bracketed(truth: Truth, channels: list[str]) -> tuple[int, dict[str, float], int]:
    before = time.monotonic_ns()
    energies = {channel: truth.energy_j(channel) for channel in channels}
    return before, energies, time.monotonic_ns()


def narrowly(truth: Truth, channels: list[str]) -> tuple[int, dict[str, float]]:
    """The tightest of some brackets: its middle and the energies then."""

    def brackets() -> Iterator[tuple[int, dict[str, float], int]]:
        for _ in range(20):
            time.sleep(0.002)  # or this would keep the sampler from the CPU that they share
            yield bracketed(truth, channels)

    best = min(brackets(), key=lambda b: b[2] - b[0])
    return (best[0] + best[2]) // 2, best[1]


def counters(session: wr.Session) -> list[str]:
    return [c.name for cs in session.channels.values() for c in cs]


def windows(source: str, count: int) -> dict[str, object]:
    """The truth of each window lies between those of the widest and the narrowest reading of it."""
    truth = Truth()
    random.seed(1)
    outside: list[object] = []
    errors: dict[str, list[tuple[float, float]]] = {}
    with wr.Session("1ms", source) as session:
        channels = counters(session)
        for _ in range(count):
            length_s = 10 ** random.uniform(-3, 0)
            a0, first, b0 = bracketed(truth, channels)
            time.sleep(length_s)
            a1, last, b1 = bracketed(truth, channels)
            wide = session.energy(a0, b1)
            narrow = session.energy(b0, a1)
            middle = session.energy((a0 + b0) // 2, (a1 + b1) // 2)
            for channel in channels:
                true_j = last[channel] - first[channel]
                if not narrow.bounds_j[channel][0] <= true_j <= wide.bounds_j[channel][1]:
                    outside.append(
                        [channel, true_j, narrow.bounds_j[channel], wide.bounds_j[channel]]
                    )
                errors.setdefault(channel, []).append(
                    (middle.seconds, abs(middle.energy_j[channel] / true_j - 1))
                )
        stats = session.stats
    table: dict[str, dict[str, float]] = {}
    for channel, found in errors.items():
        for low, high in ((0.001, 0.01), (0.01, 0.1), (0.1, 2.0)):
            part = sorted(e for s, e in found if low <= s < high)
            if part:
                table.setdefault(channel, {})[f"{low}-{high} s median error"] = part[len(part) // 2]
    return {"windows": count, "outside": outside, "errors": table, "stats": stats}


def wrap_register(truth: Truth) -> int:
    return truth.register(0, 0xC001029B if "AMD" in Path("/proc/cpuinfo").read_text() else 0x611)


def wait_for_wrap(truth: Truth) -> None:
    """Until two seconds before package 0's counter wraps, if that is less than a minute away."""
    first, t0 = wrap_register(truth), time.monotonic()
    time.sleep(0.5)
    now = wrap_register(truth)
    rate = (now - first) / (time.monotonic() - t0)
    left_s = (2**32 - now) / rate if rate > 0 else 3600
    if left_s < 60:
        time.sleep(max(0, left_s - 2))


def long_window(source: str) -> dict[str, object]:
    truth = Truth()
    wait_for_wrap(truth)
    with wr.Session("1ms", source) as session:
        channels = counters(session)
        raw_first = wrap_register(truth)
        t0, first = narrowly(truth, channels)
        time.sleep(5)
        t1, last = narrowly(truth, channels)
        measured = session.energy(t0, t1)
        stats = session.stats
        wrapped = wrap_register(truth) < raw_first
    return {
        "wrapped": wrapped,
        "relative_error": {c: measured.energy_j[c] / (last[c] - first[c]) - 1 for c in channels},
        "inside": {
            c: measured.bounds_j[c][0] <= last[c] - first[c] <= measured.bounds_j[c][1]
            for c in channels
        },
        "energy_j": measured.energy_j,
        "bounds_j": measured.bounds_j,
        "notes": measured.notes,
        "roots": measured.roots,
        "stats": stats,
    }


def stat(source: str) -> dict[str, object]:
    truth = Truth()
    wait_for_wrap(truth)
    raw_first = wrap_register(truth)
    before = truth.clock_offset_ns()
    with tempfile.NamedTemporaryFile("r") as report:
        command = [sys.executable, "-m", "wattring", "stat", "--json", "-o", report.name]
        command += ["--sources", source, "--", "sleep", "5"]
        status = subprocess.run(command, check=False).returncode
        text = report.read() or Path(report.name).read_text()
    after = truth.clock_offset_ns()
    wrapped = wrap_register(truth) < raw_first
    document = json.loads(text)
    run = document["runs"][0]
    offset = (before + after) / 2
    t0_s = (run["t_begin_ns"] + offset) * 1e-9
    t1_s = (run["t_end_ns"] + offset) * 1e-9
    specs = {"package-0": "RAPL_PKG", "core-0": "RAPL_PP0", "dram-0": "RAPL_DRAM"}
    specs |= {"package-1": "RAPL_PKG_S1"}
    error = {}
    inside = {}
    for channel, joules in run["energy_j"].items():
        spec = os.environ.get(specs.get(channel, ""), "")
        if spec:
            true_j = power_function(spec, t1_s) - power_function(spec, t0_s)
            error[channel] = joules / true_j - 1
            low, high = run["bounds_j"][channel]
            inside[channel] = low <= true_j <= high
    return {
        "status": status,
        "wrapped": wrapped,
        "relative_error": error,
        "inside": inside,
        "run": run,
        "clock_drift_ns": after - before,
    }


# Windows that are opened one after the other, by their lengths in ms: half a minute.
OPENED = {2: 600, 10: 600, 50: 200, 200: 60}


def accuracy(source: str, count: int = 2000) -> dict[str, object]:
    """Errors of the estimate in percent by length, of windows as they were settled, and later.

    The later ones lie at random in the recording of the first.

    The truth is the power function over the machine's clock, whose distance from CLOCK_MONOTONIC
    is known to some microseconds: that much is allowed at each end when bounds are checked.
    """
    truth = Truth()
    random.seed(1)
    spec = os.environ["RAPL_PKG"]
    begin_ns = time.monotonic_ns()
    offset = truth.clock_offset_ns()
    opened: dict[int, list[wr.Measurement]] = {length_ms: [] for length_ms in OPENED}
    with wr.Session("1ms", source) as session:
        time.sleep(1.5)  # until it knows the counter's pace
        for opened_ms in random.sample(
            list(OPENED), counts=list(OPENED.values()), k=sum(OPENED.values())
        ):
            with session.window("work") as w:
                time.sleep(opened_ms * 1e-3)
            opened[opened_ms].append(w.measurement)
            time.sleep(random.random() * 3e-3)
        end_ns = time.monotonic_ns()
        drift = (truth.clock_offset_ns() - offset) / (end_ns - begin_ns)
        stats = session.stats

    def energy_j(t_ns: int) -> float:
        return power_function(spec, (t_ns + offset + drift * (t_ns - begin_ns)) * 1e-9)

    outside = 0

    def errors(found: list[wr.Measurement]) -> list[float]:
        nonlocal outside
        off = []
        for measured in found:
            true_j = energy_j(measured.t_end_ns) - energy_j(measured.t_begin_ns)
            low, high = measured.bounds_j["package-0"]
            outside += 0 if low - 0.01 <= true_j <= high + 0.01 else 1
            off.append(100 * abs(measured.energy_j["package-0"] / true_j - 1))
        off.sort()
        return [off[len(off) // 2], off[len(off) * 95 // 100]]

    later = {}
    for length_ms in (0.5, 2, 10, 50, 200, 1000):
        length_ns = int(length_ms * 1e6)
        begins = [
            random.randint(begin_ns + 2_000_000_000, end_ns - 100_000_000 - length_ns)
            for _ in range(count)
        ]
        later[f"{length_ms:g}"] = errors([session.energy(t, t + length_ns) for t in begins])
    return {
        "errors_percent": later,
        "settled_errors_percent": {f"{ms}": errors(found) for ms, found in opened.items()},
        "outside_count": outside,
        "stats": stats,
    }


def auto(source: str, seconds: float = 30) -> dict[str, object]:
    """Updates and reads of everything between start and stop, what it learned from as well.

    The counters are updated every RAPL_PERIOD_NS of the machine's clock, which goes as fast as
    CLOCK_MONOTONIC to some millionths.
    """
    truth = Truth()
    with wr.Session("auto", source) as session:
        channels = counters(session)
        begin_ns = time.monotonic_ns()
        t0, first = narrowly(truth, channels)
        time.sleep(seconds)
        t1, last = narrowly(truth, channels)
        measured = session.energy(t0, t1)
        stats = session.stats[source]
        rows = session.samples(source)
    rows = rows[(rows["t_begin_ns"] > begin_ns) & (rows["t_end_ns"] < t1)]
    due = (rows["t_end_ns"][-1] - rows["t_end_ns"][0]) / int(os.environ["RAPL_PERIOD_NS"])
    seen = {c: int((rows[c][1:] != rows[c][:-1]).sum()) for c in channels}
    true_j = {c: last[c] - first[c] for c in channels}
    return {
        "seen_share": {c: n / due for c, n in seen.items()},
        "reads_per_update": len(rows) / due,
        "relative_error": {c: measured.energy_j[c] / true_j[c] - 1 for c in channels},
        "inside": {
            c: measured.bounds_j[c][0] <= true_j[c] <= measured.bounds_j[c][1] for c in channels
        },
        "stats": stats,
    }


def beside_perf() -> dict[str, object]:
    """One wattring inside one `perf stat`: both see the same command."""
    with tempfile.NamedTemporaryFile("r") as report:
        inner = [sys.executable, "-m", "wattring", "stat", "--json", "-o", report.name]
        inner += ["--", "perf", "stat", "-a", "-x", ",", "-e", "power/energy-pkg/", "sleep", "5"]
        done = subprocess.run(inner, check=False, capture_output=True, text=True)
        run = json.loads(Path(report.name).read_text())["runs"][0]
    match = re.search(r"^([0-9.]+),Joules,power/energy-pkg/", done.stderr, re.MULTILINE)
    perf_j = float(match[1]) if match else float("nan")
    # perf's own start-up and report lie outside its count and inside ours: compare powers.
    elapsed = re.search(r"energy-pkg/,([0-9]+),", done.stderr)
    perf_s = float(elapsed[1]) * 1e-9 if elapsed else float("nan")
    ours_w = run["power_w"]["package-0"]
    return {
        "perf_j": perf_j,
        "perf_s": perf_s,
        "perf_w": perf_j / perf_s,
        "wattring_w": ours_w,
        "wattring_j": run["energy_j"]["package-0"],
        "wattring_s": run["seconds"],
        "relative": ours_w / (perf_j / perf_s) - 1,
        "stderr": done.stderr,
    }


def main() -> None:
    mode, *rest = sys.argv[1:]
    if mode == "windows":
        result = windows(rest[0], int(rest[1]) if len(rest) > 1 else 500)
    elif mode == "long":
        result = long_window(rest[0])
    elif mode == "accuracy":
        result = accuracy(rest[0])
    elif mode == "auto":
        result = auto(rest[0])
    elif mode == "stat":
        result = stat(rest[0])
    else:
        result = beside_perf()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
