"""A sampler that could not read for a while. Tests carry numbers of pitfalls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest

from fakes.machine import FakeMachine
from fakes.power import true_j

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.perf import FakePerf

AMBIGUOUS, GAP = 2, 8

STALLED = """
    import json, signal, sys, time
    import wattring as wr

    def say(word):
        print(word, flush=True)

    with wr.Session("1ms", sys.argv[1]) as session:
        time.sleep(0.02)
        t0 = wr.now_ns()
        say("stop me")
        while wr.now_ns() - t0 < 400_000_000:
            pass
        time.sleep(0.02)
        t1 = wr.now_ns()
        measured = session.energy(t0, t1)
        rows = session.samples(sys.argv[1])
        power = session.trace().power("package-0")
        stats = session.stats[sys.argv[1]]
    gaps = rows["t_begin_ns"][1:] - rows["t_end_ns"][:-1]
    at = int(gaps.argmax()) + 1
    say(json.dumps({
        "measured": measured.to_dict(),
        "gap_ns": int(gaps.max()),
        "status": int(rows["status"][at]),
        "around": [int(rows["t_end_ns"][at - 1]), int(rows["t_end_ns"][at])],
        "gaps_marked": int(((rows["status"] & 8) != 0).sum()),
        "step": int(rows["package-0"][at] - rows["package-0"][at - 1]),
        "missed": stats["missed"],
        "power_w": power["power_w"].tolist(),
        "power_gaps": power["gap"].tolist(),
        "seconds": ((power["t_end_ns"] - power["t_begin_ns"]) * 1e-9).tolist(),
    }))
"""


def stalled(machine: FakeMachine, source: str) -> Any:
    """What a session says that was stopped, as by Ctrl-Z or a sleeping laptop, for 0.3 s."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(STALLED), source],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | machine.variables(),
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "stop me\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        child.send_signal(signal.SIGCONT)
        output, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return json.loads(output)


def test_06_a_stall_that_may_hide_wraps_is_marked(tmp_path: Path) -> None:
    """PITFALLS 6: the counter can wrap every 0.1 s at full power and was not read for 0.3 s."""
    machine = FakeMachine(tmp_path, domains=())
    machine.add_zone("intel-rapl:0", "package-0", range_uj=99_999_999)
    found = stalled(machine, "rapl_powercap")
    assert found["gap_ns"] > 250_000_000
    assert found["status"] & AMBIGUOUS
    assert found["measured"]["bounds_j"]["package-0"][1] is None
    assert any("stall" in note for note in found["measured"]["notes"]["package-0"])


def test_16_a_stall_is_no_spike(machine: FakeMachine, perf: FakePerf) -> None:
    """PITFALLS 16: the power over a gap is its mean, and the gap is marked and counted."""
    machine.add_perf()
    perf.configure("pkg=const:50,ram=const:5")
    found = stalled(machine, "rapl_perf")
    assert found["gap_ns"] > 250_000_000
    assert found["missed"] >= 250
    assert found["gaps_marked"] >= 1
    begin, end = found["around"]
    # The register is up to one update old at either end.
    assert found["step"] * 2.0**-32 == pytest.approx(true_j("const:50", begin, end), abs=0.15)
    longest = found["seconds"].index(max(found["seconds"]))
    assert found["power_gaps"][longest]
    assert found["power_w"][longest] == pytest.approx(50, rel=0.02)
    assert max(found["power_w"]) < 63, "double power behind it, or at the first row"
    assert min(found["power_w"]) > 37
    low, high = found["measured"]["bounds_j"]["package-0"]
    window = (found["measured"]["t_begin_ns"], found["measured"]["t_end_ns"])
    assert low <= true_j("const:50", *window) <= high


def test_16_the_row_behind_a_gap_is_marked(machine: FakeMachine) -> None:
    found = stalled(machine, "rapl_msr")
    assert found["gap_ns"] > 250_000_000
    assert found["status"] == GAP
