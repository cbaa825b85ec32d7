"""A machine of two packages whose CPUs are busy for a known time, and use a known energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import wattring as wr
from fakes.driving import draw, wait_rows, wait_until

if TYPE_CHECKING:
    from fakes.machine import FakeMachine
    from wattring.overhead import Cost

SOURCE = "rapl_msr"
# Hundredths of a second that the CPUs have spent before.
BOOT = {"user": 777_000, "nice": 5, "system": 9_000, "idle": 1_000_000, "irq": 17, "softirq": 900}


def session_of(machine: FakeMachine, sources: str = SOURCE) -> wr.Session:
    return wr.Session(sources=sources, environment=machine.environment())


def use_a_hundred_joules(session: wr.Session, machine: FakeMachine) -> None:
    """Two packages use 60 and 40 J in 2 s of busy CPUs and 6 s of idle ones."""
    for place, joules in ((0, 60), (1, 40)):
        draw(session, machine, SOURCE, "package", joules, place)
    # Inside the packages, and beside them: neither is to count.
    for domain in ("core", "dram"):
        draw(session, machine, SOURCE, domain, 20)
    wait_rows(session, SOURCE, 2)
    machine.set_cpu_time(
        user=777_100,
        nice=55,
        system=9_025,
        idle=1_000_500,
        iowait=100,
        irq=32,
        softirq=910,
        steal=1_000,  # somebody else's
        guest=90,  # in user already
        guest_nice=40,
    )


def known_cost(session: wr.Session, source: str = SOURCE) -> Cost:
    """Cost of a source as soon as its newest samples are a small part of the time."""
    wait_until(lambda: not session.stats[source]["cost"]["reason"], "known cost")
    return session.stats[source]["cost"]
