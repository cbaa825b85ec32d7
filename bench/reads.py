"""What one read of each source takes, beside the system calls alone.

Sources of perf events are not among them: what a stand-in for the kernel takes says nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from fake_machines import six_channels
from fakes.nvml import FakeNvml, compile_nvml
from lines import Line


def read_line(programs: Path, source: str, rounds: int, file: Path, **variables: str) -> Line:
    done = subprocess.run(
        [str(programs / "read_cost"), source, str(rounds), str(file)],
        env=os.environ | variables,
        check=True,
        capture_output=True,
        text=True,
    )
    cost = json.loads(done.stdout)
    return Line(
        f"read of {source}, {cost['channels']} channels",
        cost["read_ns"],
        "ns",
        f"as many preads of a plain file: {cost['calls_ns']:.0f} ns",
    )


def reads(programs: Path, rounds: int) -> list[Line]:
    with six_channels() as machine, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "eight"
        file.write_bytes(bytes(8))
        variables = machine.variables()
        lines = [
            read_line(programs, source, rounds, file, **variables)
            for source in ("rapl_msr", "rapl_powercap", "simulated")
        ]
        nvml = FakeNvml(compile_nvml(Path(folder)))
        try:
            nvml.configure("const:300,const:300")
            variables = nvml.variables(machine)
            lines.append(read_line(programs, "nvml", rounds, file, **variables))
        finally:
            nvml.forget()
    return lines
