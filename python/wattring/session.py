"""Sessions: sample this machine's energy counters, read the samples, ask for energies."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from wattring import _core
from wattring.baseline import Baseline, plan_parts, power_spread_w
from wattring.durations import AUTO, parse_duration_ns
from wattring.errors import refuse_pickle
from wattring.measurement_build import from_energies
from wattring.refresh import Refresh, from_native
from wattring.report import Report, from_ledger
from wattring.samples import Samples
from wattring.self_report import SelfReport
from wattring.session_options import open_native
from wattring.window import SyncedWindow, Window

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import TracebackType
    from typing import NoReturn

    from typing_extensions import Self

    from wattring._core import Channel, Environment, Mark, Skipped
    from wattring.measurement import Measurement
    from wattring.recording import Recording
    from wattring.self_report import SourceStats
    from wattring.syncing import Sync
    from wattring.trace import Trace


class Session(Samples):
    """Samples energy counters in native threads between `start()` and `stop()`.

    Args:
        period: time between samples: `"1ms"`, `"250us"`, or seconds as a number. `"auto"`: once for
            each update of each source's quickest counters, where these keep to a beat; `stats`
            has what came of it. GPUs with `gpu_budget` below 1 keep to 1 ms and the budget.
        sources: `"auto"` (every physical domain once, from the best interface that can be read; of
            the GPUs those that CUDA_VISIBLE_DEVICES leaves to this program), `"all"` (the same
            and every GPU), a name from `wattring.sources()`, or several. A simulated machine is
            used by its name alone. A channel that two sources have is taken from the first.
        rows: samples that the ring of each source holds (rounded up to a power of two).
        cpu: CPU to sample from; asked for, never required (`stats` says if it was refused).
        priority: SCHED_FIFO priority of the sampling threads; likewise.
        spin: how long before each sample its thread is awake and waits for the moment, like
            `period`; as long as that, it never sleeps. For periods below about 50 µs, where a
            wake-up costs more time than there is: it takes up to a whole core from the program.
            GPUs are read without.
        gpu_budget: share of the time that may be spent inside the GPUs' driver, whose calls hold up
            the program's own (default: 0.005). Readings are left out evenly to keep to it, more
            closely spaced where a window begins or ends; `stats` counts them as `spared`. 1.0: the
            period asked for, whatever that costs.
        gpu_gauges: what else to read of GPUs, one or several, each a call of the driver more a
            sample: "temperature", "clocks", "utilization", "power_limit", "throttle" (the driver's
            bits for why clocks are held down). They are columns of `samples("nvml")`.
        environment: where to look for sensors; for tests.

    Raises:
        AbsentError, DeniedError, UnsupportedError: nothing can be read; the error says why.
        InvalidError: an unknown source, or a period that this machine can't be sampled at.

    """

    def __init__(
        self,
        period: str | float = "1ms",
        sources: str | Sequence[str] = "auto",
        *,
        rows: int = 65_536,
        cpu: int | None = None,
        priority: int = 0,
        spin: str | float = 0,
        gpu_budget: float = 0.005,
        gpu_gauges: str | Sequence[str] = (),
        environment: Environment | None = None,
    ) -> None:
        super().__init__()
        period_ns = None if period == AUTO else parse_duration_ns(period)
        environment = environment or _core.Environment.from_variables()
        self._native, unknown = open_native(
            environment,
            period_ns,
            sources,
            rows=rows,
            cpu=cpu,
            priority=priority,
            spin=spin,
            gpu_budget=gpu_budget,
            gpu_gauges=gpu_gauges,
        )
        self._names = self._native.names()
        self._period_ns = period_ns or min(
            self._native.stats(i)["period_ns"] for i in range(len(self._names))
        )
        self._unknown = [s for s in unknown if s.source in self._names]
        self._channels = {n: self._native.channels(i) for i, n in enumerate(self._names)}
        self._self_report = SelfReport(
            self._native, self._channels, self._native.skipped, environment.proc
        )

    def start(self) -> Self:
        """Start sampling; returns when the first samples are there. A session starts once."""
        self._native.start()
        self._self_report.begin()
        return self

    def stop(self) -> None:
        """Stop sampling. Samples and energies stay available; stopping twice does no harm."""
        try:
            self._self_report.end()
        finally:
            self._native.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __reduce__(self) -> NoReturn:
        refuse_pickle(self)

    @property
    def running(self) -> bool:
        """Whether any source is being sampled by this process."""
        return self._native.running

    @property
    def period_ns(self) -> int:
        """The period asked for; with `"auto"`, the shortest that a counter publishes."""
        return self._period_ns

    @property
    def sources(self) -> list[str]:
        """Names of the sources that are read."""
        return list(self._names)

    @property
    def channels(self) -> dict[str, list[Channel]]:
        """Channels per source, in the order of their columns."""
        return {name: list(channels) for name, channels in self._channels.items()}

    @property
    def skipped(self) -> list[Skipped]:
        """What was not taken, or not told apart: source, channel, code, reason, remedy.

        Codes: those of errors (`"denied"`, …); `"redundant"`, read through another source;
        `"hidden"`, a GPU that this program cannot see; `"ambiguous"` and `"unresolved"`, all GPUs
        are measured because it could not be told which of them it sees.
        """
        return [*self._native.skipped, *self._unknown]

    @property
    def stats(self) -> dict[str, SourceStats]:
        """Per source, what the sampling was and what it cost; docs/overhead.md has each figure.

        `samples` taken, `missed` deadlines, samples `spared` for the sake of `gpu_budget`;
        `lateness_ns` and `read_ns`: p50, p90, p99 and p99.9 (right to 6.25 %) and max; `read_s`
        spent on reading; `cpu_s` of the sampling thread.
        `period_ns` is the one asked for, or the least that the source allows, or with
        `period="auto"` the one found; `auto` is then a dict: `state` ("learning", "following", or
        "fixed": at the published refresh, and the `reason`); of the time in which it followed the
        `updates` that were due by the period found, `seen_share` of these and `reads_per_update`,
        0.0 before. `rate_hz` and
        `cpu_share` (of one CPU) are what was achieved and used in the `elapsed_s` between start
        and stop. `cost`: the joules that this probably took, by estimate, or why it is unknown.
        `dropped` counts windows of the session that came faster than they could be taken up.
        Reads /proc/stat: some tens of microseconds, more on a machine of many CPUs.

        Raises:
            StateError: the session belongs to another process.

        """
        return self._self_report.stats()

    def refresh(self) -> dict[str, Refresh]:
        """Tell how often each channel publishes, as stated and as observed, and if it is stuck.

        From the newest samples in the ring, 65,536 at most; takes some milliseconds a channel.

        Raises:
            StateError: the session belongs to another process.

        """
        found: dict[str, Refresh] = {}
        for i, name in enumerate(self._names):
            found |= from_native(self._channels[name], _core.refresh(self._native, i))
        return found

    def energy(self, t0_ns: int, t1_ns: int) -> Measurement:
        """Energy between two time stamps of `time.monotonic_ns()`, with bounds.

        Waits until later samples cover `t1_ns`, mostly one refresh of the sensor. For times that
        have left the ring, take `mark()`s while the window runs.

        Raises:
            InvalidError: a time in the future, or an end before the begin.
            StateError: a time before the oldest sample; not started; another process's session.

        """
        return self.between(self.mark(t0_ns), self.mark(t1_ns))

    def mark(self, t_ns: int | None = None) -> Mark:
        """Settle a time stamp (default: now). Two marks give the energy of a window of any length.

        Waits like `energy()`; take the time first and settle later where that matters.
        """
        return self._native.mark(_core.now_ns() if t_ns is None else t_ns)

    def between(self, begin: Mark, end: Mark) -> Measurement:
        """Energy between two marks of this session."""
        energies = self._native.between(begin, end)
        return from_energies(
            begin.t_ns,
            end.t_ns,
            [(n, self._channels[n], e) for n, e in zip(self._names, energies, strict=True)],
        )

    def window(self, name: str, *, sync: Sync | None = None) -> Window:
        """Give a window: `with session.window("forward") as w:`, or a decorator of a function.

        Entered as often as you like, nested, from any thread; `w.measurement` is the last one's
        energy, `report()` has the totals per name. What is kept grows with the number of names
        and of windows that you hold, not of those that you enter.

        Args:
            name: under which `report()` adds it up.
            sync: waits until an asynchronous device has done its work, like
                `torch.cuda.synchronize`. Called before the begin and before the end is stamped;
                what it raises comes through (at the end, unless the code in the window raised).

        Raises:
            InvalidError: `sync` cannot be called, or is a coroutine function.
            StateError: the session belongs to another process.

        """
        return Window(self, name) if sync is None else SyncedWindow(self, name, sync)

    def begin(self, name: str, *, sync: Sync | None = None) -> Window:
        """Begin a window that cannot be a `with` block; `end()` it, from any thread.

        Both arguments are those of `window()`; `end()` calls `sync` as well.

        Raises:
            InvalidError: `sync` cannot be called, or is a coroutine function.
            StateError: not started; another process's session.

        """
        return self.window(name, sync=sync).__enter__()

    def end(self, window: Window) -> None:
        """End a window from `begin()`; its energy is `window.measurement`.

        Raises:
            StateError: it is not open.

        """
        window.__exit__(None, None, None)

    def report(self) -> Report:
        """Totals per window name: count, seconds, joules with bounds, with and without nested ones.

        Of all windows that have ended; waits for the last of them, mostly one refresh of the
        sensor, and never longer than a stalled one allows.

        Raises:
            StateError: the session belongs to another process.

        """
        channels = [channel for name in self._names for channel in self._channels[name]]
        return from_ledger(self._native.report(), channels, self.stats)

    def idle(self, seconds: str | float = 2.0) -> Baseline:
        """Measure the machine at rest for `measurement.net(baseline)`; returns after that time.

        Whatever else runs meanwhile is in the baseline; its spread between parts of the time (of
        0.1 s, or a tenth) tells how restless it was.

        Raises:
            InvalidError: too short a time for parts that the sensors can tell apart.
            StateError: not started; another process's session.

        """
        counters = [c for of in self._channels.values() for c in of if c.has_energy]
        parts, part_ns = plan_parts(parse_duration_ns(seconds), self._period_ns, counters)
        marks = [self.mark()]
        for part in range(1, parts + 1):
            until_ns = marks[0].t_ns + part * part_ns
            time.sleep(max(0, until_ns - _core.now_ns()) * 1e-9)
            marks.append(self.mark())
        spread_w = power_spread_w([self.between(*pair) for pair in itertools.pairwise(marks)])
        return Baseline(self.between(marks[0], marks[-1]), spread_w, parts)

    def trace(self) -> Trace:
        """Give all samples that the rings hold, and the windows that ended in their time.

        For a record that is longer than the rings, `record()`. Waits until the moment of the call
        is covered, mostly one refresh of the sensor.

        Raises:
            StateError: not started; another process's session.

        """
        from wattring.trace import in_memory

        self._cover()
        ended, _, lost = self._native.ended_windows(0)
        rows = {source: self.samples(source) for source in self._names}
        return in_memory(self._header(), rows, ended, lost)

    def record(self, path: str | os.PathLike[str], every_s: float = 1.0) -> Recording:
        """Write samples and windows to a .npz file while they come, a part every so often.

        Begins with the samples that the rings hold. Use it in `with`, or `close()` it before the
        session stops. `wattring.load(path)` gives the Trace, also of a recording that was killed.

        Raises:
            InvalidError: another ending than .npz.
            StateError: not started; another process's session.
            OSError: the file can't be written.

        """
        from wattring.recording import Recording

        self._native.mark(_core.now_ns())
        return Recording(self, path, every_s)

    def _cover(self) -> None:
        """Wait until the samples, and the windows that have ended, are settled up to now."""
        self.mark()
        self._native.report()

    def _header(self) -> dict[str, Any]:
        from wattring.provenance import describe
        from wattring.trace_content import FORMAT

        return {"format": FORMAT, **describe(self._period_ns, self._channels, self.skipped)}
