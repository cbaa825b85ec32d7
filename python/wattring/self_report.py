"""What a session says of its own sampling: rates, lateness, CPU time and joules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wattring import _core, cpu_time, overhead
from wattring.figures import format_joules, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wattring._core import AutoStats, Channel, Quantiles, SamplerStats, Skipped
    from wattring.overhead import Cost, Moment

    class SourceStats(SamplerStats):
        """What `session.stats` has of a source (docs/overhead.md)."""

        elapsed_s: float
        rate_hz: float
        cpu_share: float
        cost: Cost


COLUMNS_HERE = 88  # of lines; `wattring demo` puts a word before each


@dataclass(frozen=True)
class Snapshot:
    """All samplers' stats at one time, and what a price of CPU time is made of."""

    stats: list[SamplerStats]
    moment: Moment


class SelfReport:
    """Completes the samplers' stats by what took place from the start of a session to its stop.

    Start and stop themselves are left out, since they sample at another pace. Nothing is kept up in
    between: a time of the machine's CPUs and a row at either end are enough.
    """

    def __init__(
        self,
        native: _core.Session,
        channels: Mapping[str, list[Channel]],
        skipped: list[Skipped],
        proc: str,
    ) -> None:
        self._native = native
        self._names = list(channels)
        self._proc = proc
        # (source, channel) of each package that is measured.
        self._packages = {
            channel.name: (source, i)
            for source, (name, of_source) in enumerate(channels.items())
            for i, channel in enumerate(of_source)
            if name != "simulated" and channel.name.startswith("package-") and channel.has_energy
        }
        self._why_not = self._obstacle(channels, skipped)
        self._foreign: str | None = None
        self._begin: Snapshot | None = None
        self._end: Snapshot | None = None

    def begin(self) -> None:
        """Take the time of a start that is just over."""
        self._begin = self._snapshot()

    def end(self) -> None:
        """Take the time of a stop that is about to come; later ones change nothing."""
        if self._begin and not self._end and self._native.running:
            self._end = self._snapshot()

    def stats(self) -> dict[str, SourceStats]:
        """All there is to say now, per source."""
        now = [self._native.stats(source) for source in range(len(self._names))]
        begin = self._begin
        end = self._end or (self._snapshot() if begin else None)
        price = self._price(begin, end) if begin and end else "the session was not started"
        found: dict[str, SourceStats] = {}
        for source, (name, stats) in enumerate(zip(self._names, now, strict=True)):
            elapsed_s, samples, cpu_s = 0.0, 0, 0.0
            if begin and end:
                elapsed_s = max(0.0, (self._end_ns(source, end) - begin.moment.t_ns) * 1e-9)
                samples = end.stats[source]["samples"] - begin.stats[source]["samples"]
                cpu_s = end.stats[source]["cpu_s"] - begin.stats[source]["cpu_s"]
            found[name] = {
                **stats,
                "elapsed_s": elapsed_s,
                "rate_hz": samples / elapsed_s if elapsed_s else 0.0,
                "cpu_share": cpu_s / elapsed_s if elapsed_s else 0.0,
                "cost": overhead.unknown(price)
                if isinstance(price, str)
                else price.of(stats["cpu_s"]),
            }
        return found

    def _snapshot(self) -> Snapshot:
        stats = [self._native.stats(source) for source in range(len(self._names))]
        sources = sorted({source for source, _ in self._packages.values()})
        rows = {source: self._native.newest_row(source) for source in sources}
        packages = {}
        for package, (source, channel) in self._packages.items():
            t_ns, readings = rows[source] or (0, [])
            packages[package] = (t_ns, readings[channel] if readings else None)
        return Snapshot(
            stats,
            overhead.Moment(
                t_ns=_core.now_ns(),
                cpu=self._why_not or cpu_time.read(self._proc),
                sampler_s=sum(each["cpu_s"] for each in stats),
                packages=packages,
                spoiled=sum(stats[s]["resets"] + stats[s]["ambiguous"] for s in sources),
            ),
        )

    def _end_ns(self, source: int, end: Snapshot) -> int:
        """Until when a source was sampled."""
        row = self._native.newest_row(source) if end.stats[source]["gone"] else None
        return row[0] if row else end.moment.t_ns

    def _price(self, begin: Snapshot, end: Snapshot) -> overhead.Price | str:
        gone = [self._names[s] for s, _ in self._packages.values() if end.stats[s]["gone"]]
        if gone:
            return f"{gone[0]} vanished"
        if self._foreign is None:
            self._foreign = "" if self._why_not else cpu_time.foreign(self._proc)
        return self._foreign or overhead.price(begin.moment, end.moment)

    def _obstacle(self, channels: Mapping[str, list[Channel]], skipped: list[Skipped]) -> str:
        """Say what is wrong with the packages as a measure of all CPUs."""
        simulated = channels.get("simulated", [])
        # Also beside real ones: it stands in the place of one of them.
        if any(channel.name.startswith("package-") for channel in simulated):
            return "the power is simulated, the CPU time is not"
        if not self._packages:
            return "no package is measured; `wattring doctor` says why"
        missing = [
            s.channel
            for s in skipped
            if s.channel.startswith("package-")
            and s.channel not in self._packages
            and s.code != "redundant"
        ]
        return f"{missing[0]} is not measured; `wattring doctor` says why" if missing else ""


def lines(stats: Mapping[str, SourceStats]) -> list[str]:
    """How the sampling went, and what it cost."""
    found = []
    for source, s in stats.items():
        # A rate of a handful of samples would be noise.
        rate = f"{_hertz(s['rate_hz'])} of " if s["samples"] >= 100 else "asked for "
        found += [
            f"{source}: {s['samples']} samples, {rate}{_hertz(1e9 / s['period_ns'])} Hz, "
            f"{s['missed']} missed; CPU {s['cpu_s'] * 1e3:.1f} ms, "
            f"{100 * s['cpu_share']:.2f} % of one",
            f"{source}: late by {_microseconds(s['lateness_ns'])} ({', '.join(s['lateness_ns'])})",
            f"{source}: a read takes {_microseconds(s['read_ns'])} (likewise)",
        ]
        if s["auto"]:
            found.append(f"{source}: {_describe_auto(s['auto'], s['period_ns'])}")
    costs = {source: describe_cost(s["cost"]) for source, s in stats.items()}
    for cost in dict.fromkeys(costs.values()):
        sources = [source for source, said in costs.items() if said == cost]
        found.append(f"{', '.join(sources)}: {cost}")
    return wrapped(found, COLUMNS_HERE)


def _describe_auto(auto: AutoStats, period_ns: int) -> str:
    """Say what became of `period="auto"`."""
    if auto["reason"]:
        return f"automatic period fell back to {period_ns / 1e3:.0f} µs: {auto['reason']}"
    if not auto["updates"]:
        return "automatic period: still learning when the counters publish"
    return (
        f"automatic period of {period_ns / 1e3:.1f} µs: {100 * auto['seen_share']:.2f} % of the "
        f"updates seen, {auto['reads_per_update']:.2f} reads each"
    )


def describe_cost(cost: Cost) -> str:
    """Say what sampling cost in one line."""
    low_j, high_j, watts = cost["low_j"], cost["estimate_j"], cost["busy_cpu_w"]
    if low_j is None or high_j is None or watts is None:
        return f"cost in joules unknown: {cost['reason']}"
    return (
        f"cost {format_joules(low_j)} to {format_joules(high_j)} J by estimate, "
        f"at up to {watts:.3g} W a busy CPU"
    )


def _hertz(rate_hz: float) -> str:
    return f"{rate_hz:.0f}" if rate_hz >= 100 else f"{rate_hz:.3g}"


def _microseconds(quantiles: Quantiles) -> str:
    values: Any = quantiles.values()
    return ", ".join(f"{ns / 1e3:.{1 if ns < 9_950 else 0}f}" for ns in values) + " µs"
