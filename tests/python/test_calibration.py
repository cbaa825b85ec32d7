"""What steps and square waves tell of a known power sensor. Tests carry numbers of pitfalls."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.sensor_polls import PowerSensor, calibration_polls
from wattring.calibration.analysis import polls_of
from wattring.calibration.finding import Finding, known, unknown
from wattring.calibration.plan import SHORTEST_S, Plan
from wattring.calibration.steps import lag_and_rise, response
from wattring.calibration.switching import Switching
from wattring.calibration.updates import Polls, refresh, updates
from wattring.calibration.window_fit import averaging
from wattring.errors import InvalidError
from wattring.trace_content import row_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from wattring._core import Channel

# Refresh and window of sensors that were published (arXiv 2312.02741), in seconds.
PUBLISHED = [(0.1, 0.025), (0.1, 0.1), (0.02, 0.01), (0.1, 1.0)]


@dataclasses.dataclass(frozen=True)
class Found:
    """All four findings of one sensor, and the lag that its steps alone give."""

    refresh: Finding
    averaging: Finding
    lag: Finding
    step_lag: Finding
    rise: Finding


def find(sensor: PowerSensor, **how: float) -> Found:
    polls, switching = calibration_polls(sensor, **how)  # type: ignore[arg-type]
    every = refresh(polls)
    assert every.value_ns is not None, every.reason
    refresh_s = every.value_ns * 1e-9
    seen = updates(polls, refresh_s)
    window = averaging(seen, switching, refresh_s, polls.spacing_s)
    steps = lag_and_rise(*response(polls, seen, switching), polls.spacing_s)
    return Found(every, *window, *steps)


def assert_right(finding: Finding, true_s: float) -> None:
    assert finding.value_ns is not None, finding.reason
    assert finding.uncertainty_ns is not None
    assert abs(finding.value_ns * 1e-9 - true_s) <= finding.uncertainty_ns * 1e-9, (finding, true_s)


def assert_all_right(found: Found, sensor: PowerSensor) -> None:
    """All within the uncertainties that they state."""
    assert_right(found.refresh, sensor.refresh_s)
    assert_right(found.averaging, sensor.window_s)
    for lag in (found.lag, found.step_lag):
        assert_right(lag, sensor.window_s / 2 + sensor.delay_s)
    assert_right(found.rise, 0.8 * sensor.window_s)


@pytest.mark.parametrize("seconds", [SHORTEST_S, 30])
@pytest.mark.parametrize(("refresh_s", "window_s"), PUBLISHED)
def test_published_sensors(refresh_s: float, window_s: float, seconds: float) -> None:
    """Windows shorter than the refresh too, which nothing but square waves can show."""
    sensor = PowerSensor(refresh_s, window_s, jitter=0.02, noise_w=2, drift_w=10)
    found = find(sensor, seconds=seconds)
    assert_all_right(found, sensor)
    # And the uncertainties are worth something.
    assert found.refresh.uncertainty_ns is not None
    assert found.averaging.uncertainty_ns is not None
    assert found.refresh.uncertainty_ns < 0.02e9 * refresh_s
    assert found.averaging.uncertainty_ns < max(0.03e9 * window_s, 7e6)


@pytest.mark.parametrize(("refresh_s", "window_s"), PUBLISHED)
def test_sensors_without_noise(refresh_s: float, window_s: float) -> None:
    """Most updates repeat the value; the changes alone must tell."""
    sensor = PowerSensor(refresh_s, window_s)
    assert_all_right(find(sensor), sensor)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    refresh_s=st.sampled_from([0.015, 0.02, 0.031, 0.1]),
    share=st.floats(0.15, 1.2),
    long=st.booleans(),
    delay_s=st.floats(0, 0.02),
    jitter=st.floats(0, 0.08),
    noise_w=st.floats(0, 8),
    seconds=st.sampled_from([SHORTEST_S, 12, 30]),
    late_s=st.sampled_from([1e-4, 1e-3]),
    seed=st.integers(0, 10**6),
)
def test_any_window_is_found_within_its_uncertainty(
    refresh_s: float,
    share: float,
    long: bool,
    delay_s: float,
    jitter: float,
    noise_w: float,
    seconds: float,
    late_s: float,
    seed: int,
) -> None:
    # As short as a share of the refresh (no shorter than the polls show), or around a second.
    window_s = 0.8 + share / 4 if long else max(share * refresh_s, 0.004)
    sensor = PowerSensor(refresh_s, window_s, delay_s, jitter=jitter, noise_w=noise_w)
    found = find(sensor, seconds=seconds, late_s=late_s, seed=seed)
    assert_right(found.refresh, refresh_s)
    assert_right(found.averaging, window_s)
    assert_right(found.lag, window_s / 2 + delay_s)


def test_a_few_updates_without_noise_suffice() -> None:
    """Of what changes nothing, the update before a change is an observation too."""
    sensor = PowerSensor(0.1, 0.025)
    for seed in range(10):
        assert_all_right(find(sensor, seconds=SHORTEST_S, seed=seed), sensor)


def test_power_at_rest_may_drift() -> None:
    """The GPU is warm in the end: between the parts of the measurement, not with the load."""
    sensor = PowerSensor(0.1, 0.025, drift_w=120)
    found = find(sensor)
    assert_all_right(found, sensor)
    assert found.averaging.uncertainty_ns is not None
    assert found.averaging.uncertainty_ns < 5e6


def test_steps_alone_tell_the_lag_under_noise() -> None:
    """Where a mean over a second rises slowly, noise decides when a level is reached."""
    sensor = PowerSensor(0.1, 1.0, jitter=0.05, noise_w=10)
    for seed in range(20):
        found = find(sensor, seed=seed)
        assert_right(found.step_lag, 0.5 + sensor.delay_s)
        assert_right(found.rise, 0.8)


def test_updates_are_dated_in_the_middle() -> None:
    """Between the last poll without a change and the first with it, or the lag would be half more.

    The mean over some calibrations, for polls so far apart that their distance would show.
    """
    sensor = PowerSensor(0.1, 0.1, jitter=0.05, noise_w=2)
    lags = [find(sensor, poll_s=0.02, seed=seed).lag.value_ns for seed in range(10)]
    true_s = sensor.window_s / 2 + sensor.delay_s
    assert np.mean([lag for lag in lags if lag]) * 1e-9 == pytest.approx(true_s, abs=4e-3)


def test_a_lagging_sensor_has_no_window() -> None:
    """Kepler and Maxwell follow the load as a capacitor does."""
    sensor = PowerSensor(0.1, constant_s=0.2, noise_w=1)
    found = find(sensor)
    assert found.averaging.value_ns is None
    assert "time constant" in found.averaging.reason
    assert_right(found.step_lag, 0.2 * np.log(2) + sensor.delay_s)
    assert_right(found.rise, 0.2 * np.log(9))


def test_a_sensor_that_the_load_does_not_reach() -> None:
    polls, switching = calibration_polls(PowerSensor(noise_w=2))
    random = np.random.default_rng(1)
    deaf = Polls(polls.t_s, np.repeat(random.normal(60, 2, len(polls.t_s) // 50 + 1), 50))
    deaf = Polls(polls.t_s, deaf.values[: len(polls.t_s)])
    seen = updates(deaf, 0.1)
    window, lag = averaging(seen, switching, 0.1, deaf.spacing_s)
    assert (window.value_ns, lag.value_ns) == (None, None)
    assert "no window explains" in window.reason
    assert window.observations == len(seen.t_s)


def test_14_the_refresh_is_no_shortest_interval() -> None:
    """PITFALLS 14: updates come early and late, and a stalled poll sees two at once."""
    sensor = PowerSensor(0.1, 0.1, jitter=0.1, noise_w=5)
    polls, _ = calibration_polls(sensor, late_s=1e-3)
    kept = np.random.default_rng(2).random(len(polls.t_s)) > 0.3
    polls = Polls(polls.t_s[kept], polls.values[kept])
    intervals = np.diff(polls.t_s[1:][np.diff(polls.values) != 0])
    assert intervals.min() < 0.085
    assert_right(refresh(polls), 0.1)


def test_14_changes_during_a_stall_are_not_dated() -> None:
    """PITFALLS 14, 16: the sampler is held up for most of a refresh, again and again."""
    sensor = PowerSensor(0.1, 0.1, noise_w=5)
    polls, switching = calibration_polls(sensor)
    stalled = np.floor(polls.t_s / 0.065) % 3 == 0
    polls = Polls(polls.t_s[~stalled], polls.values[~stalled])
    found = refresh(polls)
    assert_right(found, 0.1)
    assert found.uncertainty_ns is not None
    assert found.uncertainty_ns < 1e6
    window, _ = averaging(updates(polls, 0.1), switching, 0.1, polls.spacing_s)
    assert_right(window, 0.1)
    assert window.uncertainty_ns is not None
    assert window.uncertainty_ns < 6e6


def test_14_an_idle_sensor_publishes_the_same_again() -> None:
    """PITFALLS 13, 14: of every five updates one changes the value now and then, never the mean."""
    t_s = np.arange(0, 20, 0.002)
    number = np.floor(t_s / 0.1)
    random = np.random.default_rng(3)
    changed = np.cumsum(random.random(int(number[-1]) + 1) < 0.7)
    found = refresh(Polls(t_s, changed[number.astype(int)].astype(float)))
    assert_right(found, 0.1)
    assert np.diff(t_s[1:][np.diff(changed[number.astype(int)]) != 0]).mean() > 0.13


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (lambda t_s: np.floor(t_s / 3.0), "too few"),
        (lambda t_s: np.floor(t_s / 0.004), "poll faster"),
        (lambda t_s: np.searchsorted(np.cumsum(np.geomspace(0.01, 2, 40)), t_s), "no period"),
    ],
)
def test_an_unknown_refresh_says_why(
    values: Callable[[np.ndarray], np.ndarray], reason: str
) -> None:
    t_s = np.arange(0, 20, 0.002)
    found = refresh(Polls(t_s, values(t_s).astype(float)))
    assert (found.value_ns, found.uncertainty_ns) == (None, None)
    assert reason in found.reason
    assert str(found) == "unknown"


def test_polls_too_slow_to_see_the_window() -> None:
    polls, _ = calibration_polls(PowerSensor(0.02, 0.01, noise_w=1), poll_s=0.02)
    assert "poll faster" in refresh(polls).reason


def test_too_few_updates_and_no_steps() -> None:
    none = Polls(np.arange(0, 1, 0.002), np.zeros(500))
    switching = Switching(np.empty(0), np.empty(0, dtype=bool), np.zeros(1))
    seen = updates(none, 0.1)
    assert "too few" in averaging(seen, switching, 0.1, 0.002)[0].reason
    lag, rise = lag_and_rise(*response(none, seen, switching), 0.002)
    assert lag == rise
    assert "no step" in lag.reason


def test_a_switching_without_an_end() -> None:
    """The load is still on at the end of what Ctrl-C has left."""
    switching = Switching(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), np.zeros(1))
    assert list(switching.on_until(np.array([0.5, 1.5, 2.5, 4.0]))) == [0, 0.5, 1, 2]
    assert list(switching.share(np.array([2.0, 3.5]), 1.0)) == [1.0, 0.5]


def test_failed_readings_are_no_polls() -> None:
    """A channel that failed keeps its last value, which is no update of the sensor."""
    rows = np.zeros(3, row_dtype(["gpu-0", "gpu-0-power"]))
    rows["t_begin_ns"] = [0, 2_000_000, 4_000_000]
    rows["t_end_ns"] = rows["t_begin_ns"] + 1_000_000
    rows["gpu-0-power"] = [60_000, 60_000, 300_000]
    rows["status"] = [0, 1 | 1 << 9, 1 | 1 << 8]
    channels = [channel("gpu-0", "counter"), channel("gpu-0-power", "gauge")]
    polls = polls_of(rows, channels, channels[1], -1_000_000_000)
    assert polls.t_s == pytest.approx([1.0005, 1.0045])
    assert list(polls.values) == [60, 300]


def channel(name: str, kind: str) -> Channel:
    from types import SimpleNamespace

    return SimpleNamespace(name=name, kind=kind, scale=1e-3)  # type: ignore[return-value]


@pytest.mark.parametrize("refresh_s", [0.015, 0.02, 0.1])
@pytest.mark.parametrize("seconds", [SHORTEST_S, 12, 30, 300])
def test_a_plan_keeps_to_its_time(seconds: float, refresh_s: float) -> None:
    plan = Plan(seconds)
    waves = plan.waves(refresh_s)
    lengths = [period_s * times for period_s, times in waves]
    spent_s = 2 * plan.steps() * plan.hold_s(refresh_s) + sum(lengths)
    assert 0.7 * (seconds - 2) < spent_s < 1.1 * seconds
    assert len(waves) >= 5
    assert min(period_s for period_s, _ in waves) >= 0.01
    # Steps and waves meet a sensor in many phases of its refresh.
    for length_s in (plan.hold_s(refresh_s), *(period_s for period_s, _ in waves)):
        phases = np.sort(np.arange(8) * length_s / refresh_s % 1)
        assert np.diff(phases, append=phases[0] + 1).max() < 0.35


def test_a_plan_needs_time() -> None:
    with pytest.raises(InvalidError, match="too short") as error:
        Plan(SHORTEST_S - 1)
    assert f"{SHORTEST_S:.1f} s" in error.value.remedy


def test_findings_as_text_and_json() -> None:
    assert str(known(0.1, 1.2e-3, 20)) == "100.0 ± 1.2 ms"
    assert str(known(0.02, 1e-5, 20)) == "20.00 ± 0.01 ms"
    assert str(known(1.0, 5e-3, 20)) == "1000 ± 5 ms"
    document = json.loads(json.dumps(unknown("too few", 3).to_dict()))
    assert document == {
        "value_ns": None,
        "uncertainty_ns": None,
        "observations": 3,
        "reason": "too few",
    }
