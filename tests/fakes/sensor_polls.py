"""Polls of a power sensor that is known, under a load that a calibration's plan switches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wattring.calibration.plan import REST_S, TAIL_S, Plan
from wattring.calibration.switching import Switching
from wattring.calibration.updates import Polls

REST_W, LOAD_W = 60.0, 300.0
SWITCH_LATE_S = 2e-4  # what Python's sleep adds
INTEGRATION_S = 2e-4


@dataclass(frozen=True)
class PowerSensor:
    """Publishes, every refresh, the mean power of a window that ended a delay before.

    With a time constant in place of the window it follows the power as a capacitor does.
    """

    refresh_s: float = 0.1
    window_s: float = 0.025
    delay_s: float = 0.003
    constant_s: float = 0.0
    jitter: float = 0.0  # of an update, at most, as a share of the refresh
    noise_w: float = 0.0
    drift_w: float = 0.0  # of the power at rest, over the measurement

    def polled(
        self, switching: Switching, end_s: float, seed: int, poll_s: float, late_s: float
    ) -> Polls:
        """Read it on a grid, late at random; missed deadlines are skipped, as the sampler does."""
        random = np.random.default_rng(seed)
        t_s = np.arange(random.uniform(0, self.refresh_s), end_s + 2, self.refresh_s)
        t_s = np.sort(t_s + random.uniform(-self.jitter, self.jitter, len(t_s)) * self.refresh_s)
        shown = self._share(switching, t_s - self.delay_s)
        watts = REST_W + self.drift_w * t_s / end_s + (LOAD_W - REST_W) * shown
        watts = np.round(watts + self.noise_w * random.standard_normal(len(t_s)), 3)
        polls_s = []
        now_s = 0.0
        for deadline_s in np.arange(self.refresh_s * 2, end_s, poll_s):
            if deadline_s >= now_s:
                now_s = deadline_s + (random.exponential(late_s) if late_s else 0.0)
                polls_s.append(now_s)
        at = np.array(polls_s)
        return Polls(at, watts[np.searchsorted(t_s, at, side="right") - 1])

    def _share(self, switching: Switching, end_s: np.ndarray) -> np.ndarray:
        """Integrate step by step, unlike the code under test."""
        grid_s = np.arange(-4, float(end_s[-1]) + 1, INTEGRATION_S)
        on = np.zeros(len(grid_s))
        edges = np.searchsorted(grid_s, [*switching.t_s, np.inf])
        for first, last, state in zip(edges, edges[1:], switching.on, strict=False):
            on[first:last] = state
        if self.constant_s:
            decay = np.exp(-INTEGRATION_S / self.constant_s)
            level = 0.0
            levels = np.empty(len(grid_s))
            for i, state in enumerate(on):
                levels[i] = level
                level = state + (level - state) * decay
            return np.asarray(np.interp(end_s, grid_s, levels))
        ran_s = np.concatenate([[0.0], np.cumsum(on)[:-1]]) * INTEGRATION_S
        begins, ends = (np.interp(t, grid_s, ran_s) for t in (end_s - self.window_s, end_s))
        return np.asarray((ends - begins) / self.window_s)


def switched(plan: Plan, refresh_s: float, seed: int) -> tuple[Switching, float]:
    """Do with a load what the plan says; and the end, in seconds."""
    random = np.random.default_rng(seed)
    now_s = REST_S
    parts_s = [0.0]
    switches: list[tuple[float, bool]] = []

    def switch(on: bool, hold_s: float) -> None:
        nonlocal now_s
        switches.append((now_s + random.uniform(0, SWITCH_LATE_S), on))
        now_s += hold_s

    for _ in range(plan.steps()):
        switch(True, plan.hold_s(refresh_s))
        switch(False, plan.hold_s(refresh_s))
    for period_s, times in plan.waves(refresh_s):
        parts_s.append(now_s)
        for _ in range(times):
            switch(True, period_s / 2)
            switch(False, period_s / 2)
    t_s, on = zip(*switches, strict=True)
    return Switching(np.array(t_s), np.array(on), np.array(parts_s)), now_s + TAIL_S


def calibration_polls(
    sensor: PowerSensor,
    seconds: float = 30.0,
    seed: int = 0,
    poll_s: float = 0.002,
    late_s: float = 2e-4,
) -> tuple[Polls, Switching]:
    """Polls of a sensor during a whole calibration, and what was done with the load."""
    switching, end_s = switched(Plan(seconds), sensor.refresh_s, seed)
    return sensor.polled(switching, end_s, seed, poll_s, late_s), switching
