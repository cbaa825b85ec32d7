"""Measurements, baselines and nets as JSON, there and back, and what is refused."""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

import pytest

import wattring as wr
from fakes.measurements import CHANNELS, INFINITY, measurement

if TYPE_CHECKING:
    from collections.abc import Callable


def baseline(**changes: object) -> wr.Baseline:
    bounds = {"package-0": (2.0, 3.5), "core-0": (1.0, INFINITY), "dram-0": (0.0, 0.1)}
    at_rest = measurement(energy_j=dict(zip(CHANNELS, (3.1, 1.1, 0.01), strict=True)))
    fields: dict[str, Any] = {"bounds_j": bounds, "t_begin_ns": 0, "t_end_ns": 500_000_000}
    at_rest = measurement(energy_j=at_rest.energy_j, **(fields | changes))
    return wr.Baseline(at_rest, {"package-0": 0.5, "core-0": 0.25, "dram-0": 0.0}, 10)


def test_measurements_come_back_exactly() -> None:
    rng = random.Random(5)
    for _ in range(200):
        energy_j = {c: rng.uniform(0, 10 ** rng.uniform(-9, 9)) for c in CHANNELS}
        bounds_j = {c: (j * rng.random(), j / rng.random()) for c, j in energy_j.items()}
        m = measurement(energy_j=energy_j, bounds_j=bounds_j, t_end_ns=rng.randrange(10**9, 10**18))
        back = wr.Measurement.from_json(m.to_json())
        assert back == m
        assert back.power_w == m.power_w
        assert back.to_dict() == m.to_dict()


def test_infinite_bounds_and_tuples_come_back() -> None:
    back = wr.Measurement.from_json(measurement().to_json())
    assert back.bounds_j["core-0"] == (7.9, INFINITY)
    assert all(type(pair) is tuple for pair in back.bounds_j.values())
    assert back.spans_ns == [(1_000_000_000, 1_250_000_000)]


def test_a_missing_lower_bound_is_infinite_too() -> None:
    document = measurement().to_dict()
    document["bounds_j"]["dram-0"] = [None, 0.01]
    assert wr.Measurement.from_dict(document).bounds_j["dram-0"] == (-INFINITY, 0.01)


def test_names_that_are_no_text_are_refused() -> None:
    document = measurement(notes={}, roots=[]).to_dict() | {"energy_j": {7: 1.0}}
    with pytest.raises(wr.InvalidError, match="energy_j is no object"):
        wr.Measurement.from_dict(document)


def test_sums_come_back() -> None:
    m = measurement() + measurement(t_begin_ns=2_000_000_000, t_end_ns=2_500_000_000)
    back = wr.Measurement.from_json(m.to_json())
    assert back == m
    assert back.seconds == m.seconds == pytest.approx(0.75)


def test_an_empty_window_comes_back() -> None:
    m = measurement(t_end_ns=1_000_000_000)
    back = wr.Measurement.from_json(m.to_json())
    assert math.isnan(back.power_w["package-0"])
    assert back.to_dict() == m.to_dict()


def test_baselines_and_nets_come_back() -> None:
    b = baseline()
    net = measurement().net(b)
    assert wr.Baseline.from_json(b.to_json()) == b
    assert wr.Net.from_json(net.to_json()) == net
    document = json.loads(net.to_json())
    assert document["bounds_j"]["core-0"] == [None, None]
    assert net.bounds_j["core-0"] == (-INFINITY, INFINITY)
    assert document["gross"] == json.loads(measurement().to_json())
    assert document["energy_j"]["package-0"] == pytest.approx(12.41 - 3.1 / 2)


def test_unknown_fields_are_left_alone() -> None:
    """`wattring stat --json` adds an exit status to each."""
    m = measurement()
    assert wr.Measurement.from_dict(m.to_dict() | {"exit_status": 0}) == m


def test_derived_figures_are_computed_anew() -> None:
    document = measurement().to_dict() | {"total_j": -1, "power_w": "many", "seconds": None}
    assert wr.Measurement.from_dict(document) == measurement()


@pytest.mark.parametrize(
    "text",
    ["", "{", "\x00", "[" * 100_000, '{"a": NaN}', '{"format": Infinity}', b"{}", None],
    ids=lambda text: repr(text)[:12],
)
def test_what_is_no_json_is_refused(text: Any) -> None:
    for kind in (wr.Measurement, wr.Baseline, wr.Net):
        with pytest.raises(wr.InvalidError, match="JSON") as caught:
            kind.from_json(text)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "no JSON object"),
        ("3", "no JSON object"),
        ("{}", "it has no format"),
        ('{"format": "wattring.Measurement/2"}', "its format is 'wattring.Measurement/2'"),
        ('{"format": ["wattring.Measurement/1"]}', "its format is "),
        ('{"format": "wattring.Measurement/1"}', "spans_ns is missing"),
    ],
)
def test_foreign_json_is_refused(text: str, reason: str) -> None:
    with pytest.raises(wr.InvalidError, match=r"wattring\.Measurement/1") as caught:
        wr.Measurement.from_json(text)
    assert reason in str(caught.value)
    with pytest.raises(wr.InvalidError, match=r"this is no wattring\.Baseline/1"):
        wr.Baseline.from_json(text)
    with pytest.raises(wr.InvalidError, match=r"this is no wattring\.Net/1"):
        wr.Net.from_json(text)


def spoil(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *above, last = path.split("/")
        for name in above:
            document = document[name]
        document[last] = value

    change.__name__ = f"{path}={value!r}"
    return change


@pytest.mark.parametrize(
    "change",
    [
        spoil("t_begin_ns", 1.5),
        spoil("t_begin_ns", True),
        spoil("t_begin_ns", 999),
        spoil("t_end_ns", "soon"),
        spoil("spans_ns", []),
        spoil("spans_ns", 5),
        spoil("spans_ns", [5]),
        spoil("spans_ns", [[1_000_000_000, 1_100_000_000, 1_250_000_000]]),
        spoil("spans_ns", [[1_000_000_000, 1_200_000_000], [1_100_000_000, 1_250_000_000]]),
        spoil("spans_ns", [[1_000_000_000, 900_000_000], [900_000_000, 1_250_000_000]]),
        spoil("energy_j", None),
        spoil("energy_j", {}),
        spoil("energy_j", {7: 1.0}),
        spoil("energy_j/package-0", "12"),
        spoil("energy_j/package-0", None),
        spoil("energy_j/package-0", 10**400),
        spoil("energy_j/core-0", INFINITY),
        spoil("energy_j/package-0", 12.53),
        spoil("energy_j/package-0", 12.32),
        spoil("energy_j/package-9", 1.0),
        spoil("bounds_j/package-0", [12.33]),
        spoil("bounds_j/package-0", 12.33),
        spoil("bounds_j/package-0", [12.52, 12.33]),
        spoil("bounds_j/package-0", ["low", None]),
        spoil("method/package-0", 1),
        spoil("method/gpu-0", "counter"),
        spoil("source", []),
        spoil("device", {"package-0": "package 0, A CPU"}),
        spoil("refresh_ns/core-0", 0.5),
        spoil("coverage/core-0", "all"),
        spoil("failed/core-0", -1),
        spoil("resets/core-0", None),
        spoil("gaps", 3),
        spoil("gaps/rapl_perf", -1),
        spoil("lost/rapl_perf", False),
        spoil("notes/core-0", "2 failed reads"),
        spoil("notes/core-0", [2]),
        spoil("notes/gpu-0", ["hot"]),
        spoil("roots", "package-0"),
        spoil("roots", ["gpu-0"]),
    ],
    ids=lambda change: change.__name__,
)
def test_damaged_measurements_are_refused(change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(measurement().to_json())
    assert wr.Measurement.from_dict(document) == measurement()
    change(document)
    with pytest.raises(wr.InvalidError, match=r"damaged wattring\.Measurement/1: ") as caught:
        wr.Measurement.from_dict(document)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in measurement().to_dict()
        if n not in ("format", "seconds", "power_w", "total_j", "total_bounds_j")
    ],
)
def test_missing_fields_are_named(name: str) -> None:
    document = measurement().to_dict()
    del document[name]
    with pytest.raises(wr.InvalidError, match=f"{name} is missing"):
        wr.Measurement.from_dict(document)


def test_damage_inside_is_found() -> None:
    document = measurement().net(baseline()).to_dict()
    assert wr.Net.from_dict(document).gross == measurement()
    for where, what in (
        (spoil("baseline/spread_w", {}), "spread_w is not about"),
        (spoil("baseline/parts", 2.5), "parts is no integer"),
        (spoil("baseline/measurement/energy_j/core-0", None), "energy_j of core-0"),
        (spoil("gross/t_end_ns", 0), "spans_ns do not reach"),
        (spoil("gross", None), "no wattring.Measurement/1"),
    ):
        damaged = json.loads(json.dumps(document))
        where(damaged)
        with pytest.raises(wr.InvalidError, match=what):
            wr.Net.from_dict(damaged)
