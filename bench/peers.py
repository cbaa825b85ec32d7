"""wattring and its peers at the same work, on the same machine: `python bench/peers.py`.

The machine is a fake whose true energy is known (fake_host.py). Each meter runs in a process of
its own, beside work that sleeps, at its default and at its highest sensible rate. The peers are
installed from PyPI, each into an environment that is thrown away. Takes about twelve minutes, with
--quick about six. Needs a C compiler, mount namespaces (root, or user namespaces), and PyPI.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import wattring as wr
from fake_host import FakeHost, true_gpu_j, true_package_j
from lines import Line, show

HERE = Path(__file__).parent
PACKAGES = {"pyJoules": "pyJoules[nvidia]", "CodeCarbon": "codecarbon", "Zeus": "zeus"}


@dataclass(frozen=True)
class Case:
    """A meter at one of its settings, as meters.py takes it."""

    meter: str
    setting: str
    says: str
    asked_hz: float | None = None  # None: it has no rate

    @property
    def name(self) -> str:
        return f"{self.meter}, {self.says}"


NOTHING = Case("nothing", "", "the work alone")
CASES = (
    Case("wattring", "1ms", "1 ms (default)", 1000),
    Case("wattring", "100us", "0.1 ms", 10_000),
    Case("polling", "0.01", "Python thread, 10 ms", 100),
    Case("polling", "0.001", "Python thread, 1 ms", 1000),
    Case("pyJoules", "", "begin and end alone"),
    Case("CodeCarbon", "", "15 s (default)", 1 / 15),
    Case("CodeCarbon", "0.1", "0.1 s", 10),
    Case("Zeus", "", "begin and end (default)"),
    Case("Zeus", "0.05", "and GPU power, 50 ms"),  # below, it warns
)


class CannotRunError(Exception):
    pass


def say(text: str) -> None:
    print(f"peers: {text}", file=sys.stderr, flush=True)


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def install(peer: str, folder: Path) -> tuple[str, str]:
    """Give the peer's interpreter, and what was installed with which version."""
    say(f"installing {peer}")
    python = str(folder / peer / "bin" / "python")
    for command in (
        [sys.executable, "-m", "venv", str(folder / peer)],
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", PACKAGES[peer]],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotRunError(f"not installed: {last_line(done.stderr or done.stdout)}")
    package = PACKAGES[peer].partition("[")[0]
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    return python, f"{package} {done.stdout.strip()}"


def measure(host: FakeHost, folder: Path, python: str, case: Case, quick: bool) -> dict[str, Any]:
    say(case.name)
    # Of the longest default period, 15 s, two are to be seen.
    steady_s, counts = (5, "0.01=10,0.1=5,1=4") if quick else (31, "0.01=40,0.1=20,1=10")
    file = folder / "measured.json"
    file.unlink(missing_ok=True)
    program = [python, str(HERE / "peer.py"), case.meter, case.setting]
    counts = counts.partition(",")[0] if case is NOTHING else counts
    done = host.run([*program, str(steady_s), counts, str(file)])
    if done.returncode != 0 or not file.exists():
        raise CannotRunError(last_line(done.stderr))
    return dict(json.loads(file.read_text()))


def errors(found: list[dict[str, Any]]) -> tuple[float, float]:
    """Median of what package and GPU are off by, in percent."""
    package, gpu = [], []
    for w in found:
        span = w["begin_ns"], w["end_ns"]
        package.append(100 * abs(w["package_j"] / true_package_j(*span) - 1))
        gpu.append(100 * abs(w["gpu_j"] / true_gpu_j(*span) - 1))
    return statistics.median(package), statistics.median(gpu)


def table(measured: dict[Case, dict[str, Any]], alone: list[dict[str, Any]]) -> list[Line]:
    """All meters beside one another, quantity by quantity."""
    shares = [100 * document["cpu"] for document in alone]
    baseline = statistics.mean(shares)
    above = f"above the work alone ({min(shares):.2f} to {max(shares):.2f} %)"
    calls_us = statistics.mean(document["cost_ns"] for document in alone) / 1e3
    cpu, rates, costs, packages, gpus = [], [], [], [], []
    for case, document in measured.items():
        percent = 100 * document["cpu"] - baseline
        cpu.append(Line(f"CPU: {case.name}", percent, "% of one", above))
        if case.asked_hz is not None:
            asked = f"asked {case.asked_hz:.4g} Hz"
            rates.append(Line(f"rate: {case.name}", document["rate_hz"], "Hz", asked))
        found = document["windows"]
        result_ms = statistics.median(w["result_ns"] for w in found["0.1"]) / 1e6
        reference = f"{calls_us:.0f} us without a meter"
        reference += f"; the result {result_ms:.0f} ms later" if result_ms > 1 else ""
        cost_us = document["cost_ns"] / 1e3
        costs.append(Line(f"begin and end: {case.name}", cost_us, "us", reference))
        off = {length_s: errors(found[length_s]) for length_s in found}
        others = f"of 100 ms; 10 ms: {off['0.01'][0]:.2f} %, 1 s: {off['1'][0]:.3f} %"
        packages.append(Line(f"error, package: {case.name}", off["0.1"][0], "%", others))
        others = f"of 1 s; 100 ms: {off['0.1'][1]:.1f} %"
        gpus.append(Line(f"error, GPU: {case.name}", off["1"][1], "%", others))
    return cpu + rates + costs + packages + gpus


def peers(quick: bool) -> tuple[list[Line], dict[str, str]]:
    """Measure all; behind the lines, which versions, and which meters could not run and why."""
    # Off the disk, whose journal would hold up the counters' writer.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as fast, tempfile.TemporaryDirectory() as slow:
        host = FakeHost(Path(fast))
        probe = host.run(["test", "-e", "/sys/class/powercap/intel-rapl:0/energy_uj"])
        if probe.returncode != 0:
            raise CannotRunError(
                f"no mount namespace ({last_line(probe.stderr)}): run this as root, in a "
                "container with --cap-add SYS_ADMIN"
            )
        pythons = dict.fromkeys(("nothing", "wattring", "polling"), sys.executable)
        versions = [f"Python {platform.python_version()}", f"wattring {wr.__version__}"]
        failures = {}
        for peer in PACKAGES:
            try:
                pythons[peer], version = install(peer, Path(slow))
                versions.append(version)
            except CannotRunError as error:
                failures[peer] = str(error)
        measured, alone = {}, []
        with host.running():
            for case in (NOTHING, *CASES, NOTHING):
                if case.meter not in pythons:
                    continue
                try:
                    document = measure(host, Path(fast), pythons[case.meter], case, quick)
                except CannotRunError as error:
                    failures[case.name] = str(error)
                    continue
                if case is NOTHING:
                    alone.append(document)
                else:
                    measured[case] = document
        if not alone:
            raise CannotRunError(f"the work alone does not run: {failures[NOTHING.name]}")
    tables = {"versions": "\n".join(versions)}
    if failures:
        tables["could not run"] = "\n".join(f"{name}: {why}" for name, why in failures.items())
    return table(measured, alone), tables


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, with fewer windows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    try:
        lines, tables = peers(options.quick)
    except (CannotRunError, RuntimeError, OSError) as error:
        say(str(error))
        return 2
    show(lines, tables)
    if options.json:
        document = {
            "lines": [asdict(line) for line in lines],
            "kernel": platform.release(),
            "machine": platform.machine(),
            **tables,
        }
        options.json.write_text(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
