"""What `wattring stat` says of the runs of a command, for people and for programs."""

from __future__ import annotations

import shlex
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wattring import __version__
from wattring.cli import common, output
from wattring.figures import COLUMNS, format_joules, place_notes, place_total, wrapped
from wattring.provenance import describe_skipped, machine

if TYPE_CHECKING:
    from wattring.measurement import Measurement
    from wattring.self_report import SourceStats
    from wattring.session import Session


NOTE_COLUMNS = 38  # what a table leaves of COLUMNS; "SIMULATED: …" fits


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    measurement: Measurement
    exit_status: int
    interrupted: bool = False  # a signal came meanwhile, whatever the command made of it


def spread(values: list[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation (None for a single value), in joules."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean_j": statistics.fmean(values), "std_j": deviation}


@dataclass(frozen=True)
class Report:
    """All that is known after the last run."""

    command: list[str]
    period_ns: int
    runs: list[Run]
    session: Session
    stats: dict[str, SourceStats]

    @property
    def counted(self) -> list[Run]:
        """The runs that means are of: a part of a run is none, unless there is nothing else."""
        return [one for one in self.runs if not one.interrupted] or self.runs

    def as_dict(self) -> dict[str, Any]:
        """Format for programs; the names are those of Measurement and of `session.stats`."""
        measured = [one.measurement for one in self.counted]
        energies = {
            channel: [m.energy_j[channel] for m in measured] for channel in self._channels()
        }
        return {
            "version": __version__,
            "command": self.command,
            "runs": [
                one.measurement.to_dict()
                | {"exit_status": one.exit_status, "interrupted": one.interrupted}
                for one in self.runs
            ],
            "energy": {channel: spread(joules) for channel, joules in energies.items()},
            "total": spread([m.total_j for m in measured]) if measured else None,
            "gone": [source for source, stats in self.stats.items() if stats["gone"]],
            "period_ns": self.period_ns,
            "refresh": {c: found.to_dict() for c, found in self.session.refresh().items()},
            "stats": self.stats,
            "skipped": describe_skipped(self.session.skipped),
            "machine": machine(),
        }

    def as_table(self) -> str:
        """Format for people."""
        lines = ["", f"energy of '{shlex.join(self.command)}':", ""]
        runs = self.counted
        if len(runs) == 1:
            measurement = runs[0].measurement
            lines += self._one(measurement)
            lines += ["", f"{measurement.seconds:.6f} s, exit status {runs[0].exit_status}"]
        elif runs:
            seconds = [one.measurement.seconds for one in runs]
            failed = [str(one.exit_status) for one in runs if one.exit_status]
            lines += self._repeated()
            lines += [
                "",
                f"{statistics.fmean(seconds):.6f} s ± {statistics.stdev(seconds):.6f} s, "
                f"{len(runs)} runs"
                + (f", {len(failed)} failed (exit status {', '.join(failed)})" if failed else ""),
            ]
        else:
            lines.append("stopped before the first run")
        if len(runs) < len(self.runs):
            last = self.runs[-1]
            lines.append(
                f"without the last run ({last.measurement.seconds:.6f} s, exit status "
                f"{last.exit_status}): a signal came meanwhile"
            )
        lines += common.sampling_lines(self.stats, self.session)
        return "\n".join(f" {line}".rstrip() for line in lines)

    def _one(self, measurement: Measurement) -> list[str]:
        behind, below = place_notes(self._notes(), NOTE_COLUMNS)
        parts, below = place_total(measurement.roots, below, NOTE_COLUMNS)
        rows = [["", "joules", "bounds", "watts", ""]]
        rows += [
            [
                channel,
                f"{format_joules(joules)} J",
                common.between(measurement.bounds_j[channel]),
                f"{measurement.power_w[channel]:.2f} W",
                behind.get(channel, ""),
            ]
            for channel, joules in measurement.energy_j.items()
        ]
        if len(measurement.roots) > 1:
            rows.append(
                [
                    "total",
                    f"{format_joules(measurement.total_j)} J",
                    common.between(measurement.total_bounds_j),
                    f"{measurement.total_j / measurement.seconds:.2f} W",
                    parts,
                ]
            )
        return [*output.table(rows, "<><><"), *_below(below)]

    def _repeated(self) -> list[str]:
        measured = [one.measurement for one in self.counted]
        roots = measured[0].roots
        behind, below = place_notes(self._notes(), NOTE_COLUMNS)
        parts, below = place_total(roots, below, NOTE_COLUMNS)
        lines = [
            (channel, [(m.energy_j[channel], m.seconds) for m in measured], behind.get(channel, ""))
            for channel in self._channels()
        ]
        if len(roots) > 1:
            total = [(m.total_j, m.seconds) for m in measured]
            lines.append(("total", total, parts))
        rows = [["", "mean joules", "std dev", "", "mean watts", ""]]
        for name, values, note in lines:
            joules = [energy_j for energy_j, _ in values]
            mean_j, deviation_j = statistics.fmean(joules), statistics.stdev(joules)
            rows.append(
                [
                    name,
                    f"{format_joules(mean_j)} J",
                    f"± {format_joules(deviation_j)} J",
                    f"({100 * deviation_j / mean_j if mean_j else 0:.2f} %)",
                    f"{statistics.fmean(energy_j / s for energy_j, s in values):.2f} W",
                    note,
                ]
            )
        return [*output.table(rows, "<>>>><"), *_below(below)]

    def _channels(self) -> list[str]:
        return list(self.runs[0].measurement.energy_j) if self.runs else []

    def _notes(self) -> dict[str, list[str]]:
        """Collect the notes of the runs that count, each once."""
        notes: dict[str, dict[str, None]] = {}
        for one in self.counted:
            for channel, said in one.measurement.notes.items():
                notes.setdefault(channel, {}).update(dict.fromkeys(said))
        return {channel: list(said) for channel, said in notes.items()}


def _below(notes: list[str]) -> list[str]:
    return ["", *wrapped(notes, COLUMNS - 1)] if notes else []
