"""What bench/peers.py stands on: the machine that the peers see, their CPU time, the errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakes.powercap import FIRST_UJ

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import cpu_time
from cpu_time import tree_cpu_ns
from fake_host import FakeHost, true_gpu_j, true_package_j
from peers import errors


def test_cpu_time_is_that_of_children_too_alive_or_ended() -> None:
    program = (
        "import sys, time\n"
        "while time.process_time() < 0.5: pass\n"
        "print('used', flush=True)\n"
        "sys.stdin.read()\n"
    )
    before_ns = tree_cpu_ns()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alive_ns = tree_cpu_ns()
    ended_ns = tree_cpu_ns()
    # This process uses some milliseconds itself.
    assert alive_ns - before_ns >= 500_000_000
    assert ended_ns >= alive_ns


def test_a_process_that_has_just_ended_has_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    monkeypatch.setattr(cpu_time, "_descendants", lambda _: [ended.pid])
    assert tree_cpu_ns() > 0


def test_errors_are_medians_in_percent() -> None:
    windows = [
        {
            "begin_ns": k * 10**9,
            "end_ns": k * 10**9 + 123_000_000,
            "package_j": true_package_j(k * 10**9, k * 10**9 + 123_000_000) * (1 + off),
            "gpu_j": true_gpu_j(k * 10**9, k * 10**9 + 123_000_000) * (1 - 2 * off),
        }
        for k, off in enumerate((-0.01, 0.03, 0.5))
    ]
    assert errors(windows) == pytest.approx((3, 6))


def test_programs_find_the_fake_host_at_their_own_paths(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    path = "/sys/class/powercap/intel-rapl/intel-rapl:0/energy_uj"
    program = (
        "import pynvml as n, pathlib; n.nvmlInit(); print(n.nvmlDeviceGetCount(), "
        f"pathlib.Path({path!r}).read_text().strip())"
    )
    if host.run(["true"]).returncode != 0:
        pytest.skip("no mount namespaces here (root or user namespaces)")
    with host.running():
        first, second = (host.run([sys.executable, "-c", program]).stdout for _ in range(2))
    gpus, uj = first.split()
    assert gpus == "1"
    assert FIRST_UJ <= int(uj) < int(second.split()[1])
