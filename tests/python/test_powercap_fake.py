"""The fake's counters that run on by themselves, against what their functions say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import wattring as wr
from fakes.driving import wait_until
from fakes.machine import POWERCAP
from fakes.power import true_j
from fakes.powercap import FIRST_UJ, compile_powercap, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fakes.machine import FakeMachine

FUNCTIONS = {"package": "square:20:80:0.05", "core": "bursts:30:60:0.03:0.2", "dram": "const:5"}
PEAKS_W = {"package": 80, "core": 60, "dram": 5}


def energy_of(machine: FakeMachine, domain: str) -> Path:
    (zone,) = machine.zones[0, domain]
    return machine.root / POWERCAP / zone / "energy_uj"


@pytest.fixture
def start_ns(machine: FakeMachine, tmp_path: Path) -> Iterator[int]:
    with running(compile_powercap(tmp_path), machine, FUNCTIONS) as start_ns:
        yield start_ns


@pytest.mark.parametrize("domain", FUNCTIONS)
def test_counters_reach_what_was_used_and_are_never_ahead(
    machine: FakeMachine, start_ns: int, domain: str
) -> None:
    path, function = energy_of(machine, domain), FUNCTIONS[domain]

    def used_uj() -> int:
        return int(path.read_text()) - FIRST_UJ

    def behind_uj() -> float:
        now_uj = true_j(function, start_ns, time.monotonic_ns()) * 1e6
        return now_uj - used_uj()

    for _ in range(20):
        seen_uj = used_uj()
        assert seen_uj <= true_j(function, start_ns, time.monotonic_ns()) * 1e6 + 1
        time.sleep(0.05)
    # By now one percent too few would be more than this ever after.
    three_updates_uj = 3e-3 * PEAKS_W[domain] * 1e6
    wait_until(lambda: behind_uj() <= three_updates_uj, f"{domain} on time for once")


def test_an_unknown_power_function_is_an_error(machine: FakeMachine, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="status 2"),
        running(compile_powercap(tmp_path), machine, {"package": "sine:50"}),
    ):
        pass


def test_nested_zones_are_the_same_zones(machine: FakeMachine) -> None:
    flat = [c.name for c in open_channels(machine)]
    machine.nest_zones()
    nested = machine.root / POWERCAP / "intel-rapl/intel-rapl:0/intel-rapl:0:1/energy_uj"
    assert nested.samefile(energy_of(machine, "dram"))
    assert [c.name for c in open_channels(machine)] == flat


def open_channels(machine: FakeMachine) -> list[wr.Channel]:
    session = wr.Session(sources="rapl_powercap", environment=machine.environment())
    return list(session.channels["rapl_powercap"])
