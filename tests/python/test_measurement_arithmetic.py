"""Sums of measurements, and what is left above a baseline."""

from __future__ import annotations

import itertools
import json
import random
import time
from typing import Any

import pytest

import wattring as wr
from fakes.measurements import CHANNELS, INFINITY, measurement
from fakes.power import SIMULATED, functions_of, true_j

S = 1_000_000_000
FUNCTIONS = functions_of(SIMULATED)


def window(begin_ns: int, end_ns: int, **changes: object) -> wr.Measurement:
    return measurement(t_begin_ns=begin_ns, t_end_ns=end_ns, **changes)


def test_what_adds() -> None:
    a = window(1 * S, 2 * S, gaps={"rapl_perf": 1, "rapl_msr": 0}, notes={})
    b = window(
        2 * S,
        4 * S,
        energy_j={"package-0": 20.0, "core-0": 1.0, "dram-0": 0.5},
        bounds_j={"package-0": (19.0, 22.0), "core-0": (0.5, 1.5), "dram-0": (0.4, 0.6)},
        ambiguous={"package-0": 3, "core-0": 0, "dram-0": 0},
        resets={"package-0": 1, "core-0": 2, "dram-0": 0},
        gaps={"rapl_perf": 4, "rapl_msr": 2},
        lost={"rapl_perf": 5, "rapl_msr": 6},
    )
    for m in (a + b, b + a, sum([a, b])):
        assert isinstance(m, wr.Measurement)
        assert (m.t_begin_ns, m.t_end_ns) == (1 * S, 4 * S)
        assert m.spans_ns == [(1 * S, 4 * S)]
        assert m.seconds == 3
        assert m.energy_j == pytest.approx({"package-0": 32.41, "core-0": 9, "dram-0": 0.50456})
        assert m.bounds_j["package-0"] == pytest.approx((31.33, 34.52))
        assert m.bounds_j["core-0"] == pytest.approx((8.4, INFINITY))
        assert m.power_w["package-0"] == pytest.approx(32.41 / 3)
        assert m.failed == {"package-0": 0, "core-0": 4, "dram-0": 0}
        assert m.ambiguous == {"package-0": 3, "core-0": 0, "dram-0": 0}
        assert m.resets == {"package-0": 1, "core-0": 2, "dram-0": 0}
        assert m.gaps == {"rapl_perf": 5, "rapl_msr": 2}
        assert m.lost == {"rapl_perf": 5, "rapl_msr": 13}
        assert m.roots == ["package-0", "dram-0"]
        assert m.total_bounds_j == pytest.approx((31.73, 35.13))


def test_notes_of_a_sum_count_the_whole() -> None:
    a, b = window(0, S), window(S, 2 * S, notes={"core-0": ["2 failed reads"], "dram-0": ["hot"]})
    m = a + b + window(2 * S, 3 * S)
    assert m.notes == {
        "core-0": ["no later sample proves an upper bound", "6 failed reads"],
        "dram-0": ["hot"],
    }


def test_windows_with_time_between_them() -> None:
    a, b, c = window(0, 1 * S), window(3 * S, 5 * S), window(5 * S, 6 * S)
    m = c + a + b
    assert m.seconds == 4
    assert (m.t_begin_ns, m.t_end_ns) == (0, 6 * S)
    assert m.spans_ns == [(0, 1 * S), (3 * S, 6 * S)]
    assert m.power_w["package-0"] == pytest.approx(3 * 12.41 / 4)
    assert "in 2 windows within 6.000 s" in str(m)
    between = m + window(1 * S, 3 * S)
    assert between.spans_ns == [(0, 6 * S)]
    assert (between + window(2 * S, 2 * S)).spans_ns == [(0, 6 * S)]
    with pytest.raises(wr.InvalidError, match="overlap by 1 s"):
        m + window(4 * S, 5 * S)


def test_coarser_refresh_and_mean_coverage() -> None:
    coverage = dict.fromkeys(CHANNELS, 0.25)
    refresh_ns = dict.fromkeys(CHANNELS, 100_000_000)
    m = window(0, 1 * S) + window(S, 4 * S, coverage=coverage, refresh_ns=refresh_ns)
    assert m.coverage == pytest.approx(dict.fromkeys(CHANNELS, (1 + 3 * 0.25) / 4))
    assert m.refresh_ns == refresh_ns
    empty = window(0, 0) + window(S, S, coverage=coverage)
    assert empty.coverage == pytest.approx(dict.fromkeys(CHANNELS, 0.625))


@pytest.mark.parametrize(
    ("begin", "end"), [(1, 4), (2, 3), (0, 2), (3, 9), (0, 9)], ids=lambda t: str(t)
)
def test_26_the_same_time_is_not_counted_twice(begin: int, end: int) -> None:
    """PITFALLS 26: four ranks on one node that report the same package."""
    a = window(1 * S, 4 * S)
    with pytest.raises(wr.InvalidError, match="count it twice") as caught:
        a + window(begin * S, end * S)
    shared = min(end, 4) - max(begin, 1)
    assert f"overlap by {shared} s: both saw core-0, dram-0, package-0" in caught.value.reason
    assert "of processes on one machine, keep one result" in caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["device", "source", "method"])
def test_another_device_or_way_is_refused(what: str) -> None:
    a = window(0, S)
    changed = getattr(a, what) | {"dram-0": "another"}
    with pytest.raises(
        wr.InvalidError, match=f"dram-0 is not the same .* its {what} is .*'another"
    ):
        a + window(S, 2 * S, **{what: changed})


def test_other_channels_are_refused() -> None:
    a = window(0, S)
    b = window(S, 2 * S, energy_j={"package-0": 12.41, "core-0": 8.0, "gpu-0": 0.1})
    with pytest.raises(wr.InvalidError, match="only one has dram-0, gpu-0"):
        a + b


def test_what_is_no_measurement_is_no_summand() -> None:
    a: Any = window(0, S)
    for other in (1, None, "m"):
        with pytest.raises(TypeError):
            a + other
    with pytest.raises(TypeError):
        1 + a


def test_estimates_stay_within_bounds() -> None:
    """Rounding never pushes an estimate out of its bounds, in sums and differences."""
    rng = random.Random(11)
    for _ in range(300):
        parts = []
        for i in range(4):
            energy_j = {c: rng.uniform(0, 10 ** rng.uniform(-6, 6)) for c in CHANNELS}
            bounds_j = {
                c: (j, j) if rng.random() < 0.5 else (j * rng.random(), j / rng.random())
                for c, j in energy_j.items()
            }
            length = rng.randrange(1, S)
            parts.append(window(i * S, i * S + length, energy_j=energy_j, bounds_j=bounds_j))
        whole = parts[0] + parts[1] + parts[2]
        net = whole.net(wr.Baseline(parts[3], dict.fromkeys(CHANNELS, 0.0), 2))
        for result in (whole, net):
            for channel, (low, high) in result.bounds_j.items():
                assert low <= result.energy_j[channel] <= high


def test_sums_of_a_session_hold_the_truth() -> None:
    with wr.Session(sources="simulated") as session:
        marks = []
        for _ in range(6):
            marks.append(session.mark())
            time.sleep(0.004)
        windows = [session.between(a, b) for a, b in itertools.pairwise(marks)]
        whole = session.between(marks[0], marks[-1])
    added = sum(windows[1:], windows[0])
    assert added.spans_ns == whole.spans_ns
    assert added.energy_j == pytest.approx(whole.energy_j)
    apart = windows[0] + windows[2] + windows[4]
    for m in (added, apart):
        for channel, (low, high) in m.bounds_j.items():
            true = sum(true_j(FUNCTIONS[channel], *span) for span in m.spans_ns)
            assert low <= true <= high
    assert apart.seconds == pytest.approx(sum(w.seconds for w in windows[::2]))


def at_rest(**changes: object) -> wr.Baseline:
    fields: dict[str, object] = {
        "energy_j": {"package-0": 40.0, "core-0": 4.0, "dram-0": 2.0},
        "bounds_j": {"package-0": (38.0, 44.0), "core-0": (2.0, 6.0), "dram-0": (2.0, 2.0)},
        "notes": {},
    }
    return wr.Baseline(window(0, 2 * S, **(fields | changes)), dict.fromkeys(CHANNELS, 0.5), 10)


def test_net_is_gross_less_baseline_power_times_seconds() -> None:
    gross = window(10 * S, 10 * S + S // 2)
    net = gross.net(at_rest())
    assert net.gross is gross
    assert net.seconds == 0.5
    assert net.energy_j == pytest.approx(
        {"package-0": 12.41 - 10, "core-0": 8.0 - 1, "dram-0": 0.00456 - 0.5}
    )
    assert net.bounds_j["package-0"] == pytest.approx((12.33 - 11, 12.52 - 9.5))
    assert net.bounds_j["core-0"] == pytest.approx((7.9 - 1.5, INFINITY))
    assert net.power_w["package-0"] == pytest.approx(4.82)
    assert net.total_j == pytest.approx(12.41456 - 10.5)
    assert net.total_bounds_j == pytest.approx((12.33 - 11.5, 12.53 - 10))
    assert net.energy_j["dram-0"] < 0, "below zero is left so"


def test_net_of_an_unbounded_baseline() -> None:
    unbounded = dict.fromkeys(CHANNELS, (0.0, INFINITY))
    net = window(10 * S, 11 * S).net(at_rest(bounds_j=unbounded))
    assert net.bounds_j["package-0"] == (-INFINITY, 12.52)
    assert "(-∞ … 12.52)" in str(net)
    empty = window(10 * S, 10 * S).net(at_rest(bounds_j=unbounded))
    assert empty.bounds_j["package-0"] == (12.33, 12.52)


def test_net_needs_a_baseline_of_the_same_devices() -> None:
    gross = window(10 * S, 11 * S)
    with pytest.raises(wr.InvalidError, match="the baseline is of another dram-0: 'there', not ''"):
        gross.net(at_rest(device=gross.device | {"dram-0": "there"}))
    few = at_rest(
        energy_j={"package-0": 40.0}, bounds_j={"package-0": (38.0, 44.0)}, roots=["package-0"]
    )
    with pytest.raises(wr.InvalidError, match="the baseline knows nothing of core-0"):
        gross.net(few)
    with pytest.raises(wr.InvalidError, match="without length"):
        wr.Baseline(window(S, S), {}, 0)


def test_net_as_text_and_html() -> None:
    net = window(10 * S, 10 * S + S // 2).net(at_rest(notes={"core-0": ["a & b"]}))
    package, core, dram, total = str(net).splitlines()
    assert package.split() == [
        *("package-0", "2.41", "J", "net", "(1.33", "…", "3.02)", "0.500", "s"),
        *("4.8", "W", "of", "12.41", "J", "gross"),
    ]
    assert core.endswith("[2 failed reads; no later sample proves an upper bound; at rest: a & b]")
    assert dram.split()[1:4] == ["-0.495", "J", "net"]
    assert total.split()[:4] == ["total", "1.91", "J", "net"]
    assert total.endswith("of 12.41 J gross   (package-0 + dram-0)")
    page = net._repr_html_()
    assert "at rest: a &amp; b" in page
    assert "12.41 J" in page
    assert json.loads(net.to_json())["notes"]["core-0"][-1] == "at rest: a & b"
