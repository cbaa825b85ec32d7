"""What must hold of the estimate for any energy and any polls; hypothesis looks for exceptions."""

from __future__ import annotations

import bisect
import itertools
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattring import _core
from wattring.trace_content import row_dtype

FAILED_HERE = 1 | 1 << 8


class Case(NamedTuple):
    """A counter whose true energy is known, and the rows that polls of it gave."""

    knots_ns: list[int]  # E runs along a line from each to the next
    energies: list[float]  # ticks
    rows: np.ndarray
    channel: _core.Channel
    first: float  # what the first reading stood for: rows count from there

    def truth(self, t0_ns: int, t1_ns: int) -> float:
        e0, e1 = np.interp([t0_ns, t1_ns], self.knots_ns, self.energies)
        return float(e1 - e0)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    gaps = draw(st.lists(st.integers(1, 3000), min_size=4, max_size=60))
    powers = draw(
        st.lists(
            st.sampled_from([0.0, 0.001, 0.3, 1.0, 40.0]), min_size=len(gaps), max_size=len(gaps)
        )
    )
    knots_ns = [0, *itertools.accumulate(gaps)]
    energies = [0.0, *itertools.accumulate(g * p for g, p in zip(gaps, powers, strict=True))]
    end_ns = knots_ns[-1]

    # The counter: updates at about a refresh's distance, each as late as it likes.
    refresh_ns = draw(st.integers(20, 1500))
    jitter = draw(st.sampled_from([0.0, 0.02, 0.9]))
    unit = draw(st.sampled_from([1, 7, 64]))
    updates = [0]
    while updates[-1] < end_ns:
        late = draw(st.floats(0, jitter)) if jitter else 0.0
        updates.append(updates[-1] + max(1, round(refresh_ns * (1 - late))))
    published = [int(np.interp(u, knots_ns, energies) / unit) * unit for u in updates]

    # The sampler: any distance between polls, any interruption before and after the read.
    rows: list[tuple[int, int, int, int]] = []
    t_ns = draw(st.integers(0, 500))
    step = draw(st.integers(1, 3000))
    regular = draw(st.booleans())
    fails = draw(st.sampled_from([0, 1, 5]))  # of ten reads
    held = first = 0
    while (t_ns < end_ns and len(rows) < 400) or len(rows) < 2:
        read = t_ns + draw(st.integers(0, 3 if regular else 800))
        done = read + draw(st.integers(0, 3 if regular else 800))
        value = published[bisect.bisect_right(updates, read) - 1]
        failed = bool(rows) and draw(st.integers(1, 10)) <= fails
        if not rows:
            first = value
        if not failed:
            held = value - first
        rows.append((t_ns, done, FAILED_HERE if failed else 0, held))
        t_ns = done + 1 + (step if regular else draw(st.integers(0, 3000)))
    channel = _core.Channel(
        name="package-0",
        device="",
        note="",
        parent="",
        kind="counter",
        unit="J",
        scale=1.0,
        modulus=0,
        quantum=draw(st.sampled_from([unit, 64])),
        refresh_ns=draw(st.sampled_from([0, refresh_ns, 3 * refresh_ns])),
        averaging_ns=0,
        max_power_w=1000.0,
    )
    table = np.array(rows, row_dtype(["package-0"]))
    return Case(knots_ns, energies, table, channel, float(first))


def times(case: Case, data: st.DataObject, n: int) -> list[int]:
    """Any times, often those at which bounds change, and often near the end of what is known."""
    first, last = int(case.rows["t_end_ns"][0]), int(case.rows["t_end_ns"][-1]) - 1
    last = max(first, last)
    edges = [int(t) for name in ("t_begin_ns", "t_end_ns") for t in case.rows[name]]
    any_time = st.one_of(
        st.integers(first, last),
        st.integers(max(first, last - 5000), last),
        st.sampled_from(sorted({min(max(t, first), last) for t in edges})),
    )
    return sorted(data.draw(st.lists(any_time, min_size=n, max_size=n)))


def between(case: Case, t0: int, t1: int) -> tuple[float, float, float]:
    timeline = _core.Timeline(case.rows, [case.channel])
    lower, value, upper = timeline.between(np.array([t0]), np.array([t1]))
    return float(lower[0, 0]), float(value[0, 0]), float(upper[0, 0])


PROFILE = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@PROFILE
@given(cases(), st.data())
def test_the_truth_lies_inside_the_bounds(case: Case, data: st.DataObject) -> None:
    t0, t1 = times(case, data, 2)
    lower, value, upper = between(case, t0, t1)
    if np.isnan(value):  # the last row ended there
        return
    truth = case.truth(t0, t1)
    assert lower <= truth + 1e-6
    assert truth <= upper + 1e-6
    assert lower <= value <= upper
    # From the first row on, where the counter stood is known: no slack at that end hides one here.
    begin = int(case.rows["t_end_ns"][0])
    for t in (t0, t1):
        _, _, upper = between(case, begin, t)
        energy = float(np.interp(t, case.knots_ns, case.energies)) - case.first
        assert energy <= upper + 1e-6


@PROFILE
@given(cases(), st.data())
def test_the_parts_of_a_window_add_up_to_it(case: Case, data: st.DataObject) -> None:
    t0, t1, t2 = times(case, data, 3)
    a, b, whole = between(case, t0, t1), between(case, t1, t2), between(case, t0, t2)
    if np.isnan(whole[1]) or np.isnan(a[1]):
        return
    assert abs(a[1] + b[1] - whole[1]) < 1e-6
    assert a[0] + b[0] <= whole[0] + 1e-6, "parts prove more than the whole does"
    assert whole[2] <= a[2] + b[2] + 1e-6


@PROFILE
@given(cases())
def test_energy_never_runs_backwards(case: Case) -> None:
    timeline = _core.Timeline(case.rows, [case.channel])
    first, last = int(case.rows["t_end_ns"][0]), int(case.rows["t_end_ns"][-1]) - 1
    if last <= first:
        return
    t = np.unique(np.linspace(first, last, 500).astype(np.int64))
    lower, value, upper = timeline.between(np.full(len(t), first), t)
    assert (np.diff(value[0]) >= -1e-6).all()
    assert (np.diff(lower[0]) >= 0).all()
    assert not (np.diff(upper[0][np.isfinite(upper[0])]) < 0).any()
    t_ns, ticks, _ = timeline.knots(0)
    assert (np.diff(t_ns) > 0).all()
    assert (np.diff(ticks.astype(np.int64)) >= 0).all()
