"""`wattring doctor`: may this user read the sensors, what to do if not, and what sampling costs."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

from wattring.calibration import file
from wattring.cli import common, output
from wattring.discovery import sources
from wattring.errors import WattringError
from wattring.gpus import from_channels
from wattring.provenance import cpuinfo, machine
from wattring.self_report import describe_cost
from wattring.session import Session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from wattring.calibration.file import Entry
    from wattring.discovery import SourceInfo
    from wattring.gpus import Gpu
    from wattring.refresh import Refresh
    from wattring.self_report import SourceStats

EXAMPLES = """examples:
  wattring doctor          which interface is readable, the smallest fix for each that is not
  wattring doctor --json

exit status: 0 if some real sensor can be read, 1 if none; 130 after Ctrl-C, which cuts the
sampling short: what there is by then is printed.
"""

WHY_ROOT = """\
RAPL is for root alone by default, because fine-grained power can leak secrets of other programs
(PLATYPUS, CVE-2020-8694). Open it where you trust the machine's users."""

# The least privilege first. Each command can be pasted as it stands.
FIXES = {
    "rapl_perf": """\
for everybody, until reboot:
  sudo sysctl kernel.perf_event_paranoid=0
for everybody, for good:
  echo kernel.perf_event_paranoid=0 | sudo tee /etc/sysctl.d/60-wattring.conf
  sudo sysctl --system
for this interpreter alone (and every script that anybody runs with it):
  sudo setcap cap_perfmon=ep {python}
the same with an interpreter of its own, which is better (install wattring there):
  python3 -m venv --copies ~/wattring-venv
  sudo setcap cap_perfmon=ep ~/wattring-venv/bin/python3""",
    "rapl_powercap": """\
for one group, until reboot (log in again afterwards):
  sudo groupadd -f power && sudo usermod -aG power {user}
  sudo chgrp power /sys/class/powercap/*/energy_uj
  sudo chmod g+r /sys/class/powercap/*/energy_uj
for everybody, until reboot:
  sudo sh -c 'chmod a+r /sys/class/powercap/*/energy_uj'
for that group at every boot, as /etc/udev/rules.d/60-wattring.rules:
  SUBSYSTEM=="powercap", ACTION=="add", \\
    RUN+="/bin/chgrp power /sys%p/energy_uj", RUN+="/bin/chmod g+r /sys%p/energy_uj"
or, where the driver is loaded early, as /etc/tmpfiles.d/wattring.conf:
  z /sys/class/powercap/*/energy_uj 0440 root power""",
    "rapl_msr": """\
better use rapl_perf or rapl_powercap: the msr device needs CAP_SYS_RAWIO, which is as good as root:
  sudo chmod o+r /dev/cpu/*/msr
  sudo setcap cap_sys_rawio=ep {python}""",
}
MODULES = {
    "rapl_perf": "sudo modprobe rapl",
    "rapl_msr": "sudo modprobe msr",
    "rapl_powercap": "sudo modprobe intel_rapl_msr",
}


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = common.add_parser(
        verbs,
        "doctor",
        "say which sensor can be read, how to fix the rest, what it costs",
        EXAMPLES,
    )
    common.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Examine, print, and return 0 if a real sensor can be read."""
    found = [source for source in sources() if source.automatic]
    readable = [source for source in found if source.status == "readable"]
    sampling, refresh, averaging_ns, interrupted = measure("all" if readable else "simulated")
    gpus = [g for s in readable if s.name == "nvml" for g in from_channels(s.channels)]
    document = {
        "machine": machine(),
        # Said by the processor: a hypervisor runs below this kernel.
        "virtual_machine": " hypervisor" in cpuinfo(),
        "sources": [
            {
                "name": s.name,
                "status": s.status,
                "reason": s.reason,
                "channels": [c.name for c in s.channels if c.kind != "variance"],
                "fix": fix(s),
            }
            for s in found
        ],
        "calibration": calibration(gpus),
        "sampling": sampling,
        "refresh": {
            source: {channel: found.to_dict() for channel, found in of_source.items()}
            for source, of_source in refresh.items()
        },
        "averaging_ns": averaging_ns,
    }
    output.emit(common.dump(document) if options.json else "\n".join(as_lines(document, refresh)))
    if interrupted:
        raise KeyboardInterrupt
    return 0 if readable else 1


def fix(source: SourceInfo) -> str:
    """Say what to do about a source; empty if it is readable or beyond help."""
    if source.status == "denied" and source.name in FIXES:
        python = os.path.realpath(sys.executable)
        user = os.environ.get("USER") or "$(id -un)"
        return FIXES[source.name].format(python=python, user=user)
    if source.status == "absent" and source.name in MODULES:
        return MODULES[source.name]
    return source.remedy


def calibration(gpus: list[Gpu]) -> dict[str, str]:
    """Say of each GPU what the file of calibrations has of its sensors."""
    if not gpus:
        return {}
    try:
        entries = file.read(file.default_path())
    except WattringError as error:
        return dict.fromkeys([gpu.name for gpu in gpus], str(error))
    return {
        gpu.name: calibration_of(gpu, [e for e in entries if e.uuid == gpu.uuid]) for gpu in gpus
    }


def calibration_of(gpu: Gpu, entries: list[Entry]) -> str:
    """Describe one GPU's calibration, or say how to get one."""
    how = f"`wattring calibrate --gpu {gpu.index}`"
    if not entries:
        return f"not calibrated; {how} measures how its sensors behave"
    drivers = {entry.driver for entry in entries}
    if drivers != {gpu.driver}:
        under = ", ".join(sorted(drivers))
        return f"calibrated under driver {under}, and this is {gpu.driver}; repeat {how}"
    return "calibrated: " + "; ".join(
        f"{e.sensor} every {milliseconds(e.refresh_ns)}"
        + (f", the mean of {milliseconds(e.averaging_ns)}" if e.averaging_ns else "")
        for e in entries
    )


def milliseconds(ns: int) -> str:
    """Format a time that may be unknown."""
    return f"{ns / 1e6:.4g} ms" if ns else "unknown time"


def measure(
    name: str,
) -> tuple[dict[str, SourceStats], dict[str, dict[str, Refresh]], dict[str, int], bool]:
    """Sample at 1 kHz: lateness, read time, cost; the sensors' refresh, and what they average.

    For one second, or as long as the slowest sensor needs to show its pace, or until Ctrl-C; the
    last value says whether it came.
    """
    interrupted = False
    with Session("1ms", name) as session:
        slowest_ns = max(c.refresh_ns for of in session.channels.values() for c in of)
        try:
            time.sleep(max(1, 25e-9 * slowest_ns))
        except KeyboardInterrupt:
            interrupted = True
        stats = session.stats  # first: what follows costs a CPU's time
        refresh = session.refresh()
        by_source = {
            source: {c.name: refresh[c.name] for c in channels if c.name in refresh}
            for source, channels in session.channels.items()
        }
        averaging_ns = {
            c.name: c.averaging_ns
            for channels in session.channels.values()
            for c in channels
            if c.kind == "gauge" and c.averaging_ns > 0
        }
        return stats, by_source, averaging_ns, interrupted


def as_lines(document: dict[str, Any], refresh: dict[str, dict[str, Refresh]]) -> Iterator[str]:
    """Format for people."""
    yield f"{document['machine']['cpu']}, Linux {document['machine']['kernel']}"
    if document["virtual_machine"]:
        yield "This is a virtual machine; most have no energy sensors, whatever is done inside."
    for source in document["sources"]:
        channels = ", ".join(source["channels"])
        yield f"\n{source['name']}: {source['status']}{': ' + channels if channels else ''}"
        if source["reason"]:
            yield f"  why: {source['reason']}"
        if source["fix"]:
            one_line = "\n" not in source["fix"]
            yield textwrap.indent(source["fix"], "  fix: " if one_line else "  ")
    if any(source["status"] == "denied" for source in document["sources"]):
        yield f"\n{WHY_ROOT}"
    for gpu, said in document["calibration"].items():
        yield f"\nsensors of {gpu}: {said}"
    yield "\nsampling at 1 kHz, or as often as the source allows:"
    for name, s in document["sampling"].items():
        label = " (SIMULATED: no sensor can be read)" if name == "simulated" else ""
        yield f"  {name}{label}"
        if s["gone"]:
            yield f"    {common.VANISHED}"
        yield f"    lateness   {microseconds(s['lateness_ns'])}"
        yield f"    one read   {microseconds(s['read_ns'])}"
        yield f"    achieved   {s['rate_hz']:.1f} Hz, {s['missed']} deadlines missed"
        yield f"    costs      {100 * s['cpu_share']:.2f} % of one CPU"
        yield f"    joules     {describe_cost(s['cost'])}"
        for channel, found in refresh[name].items():
            averaging_ns = document["averaging_ns"].get(channel, 0)
            mean = f"; each the mean of {averaging_ns / 1e6:g} ms" if averaging_ns else ""
            yield f"    refresh of {channel}: {found}{mean}"


def microseconds(quantiles: dict[str, float]) -> str:
    """Format quantiles that are in ns."""
    return ", ".join(f"{ns / 1e3:.1f} µs ({name})" for name, ns in quantiles.items())
