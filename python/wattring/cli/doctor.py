"""`wattring doctor`: may this user read the sensors, what to do if not, and what sampling costs."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wattring.cli import common
from wattring.discovery import sources
from wattring.session import Session

if TYPE_CHECKING:
    import argparse

    from wattring.discovery import SourceInfo

EXAMPLES = """examples:
  wattring doctor          which interface is readable, the smallest fix for each that is not
  wattring doctor --json

exit status: 0 if some real sensor can be read, 1 if none.
"""

WHY_ROOT = "RAPL is for root alone by default because it can leak secrets (CVE-2020-8694)."

# The least privilege first. Each command can be pasted as it stands.
FIXES = {
    "rapl_perf": """\
for everybody, until reboot:
  sudo sysctl kernel.perf_event_paranoid=0
for everybody, for good:
  echo kernel.perf_event_paranoid=0 | sudo tee /etc/sysctl.d/60-wattring.conf
for this interpreter alone (and every script that it runs):
  sudo setcap cap_perfmon=ep {python}""",
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
""",
    "rapl_msr": """\
better use rapl_perf: the msr device needs CAP_SYS_RAWIO, which is as good as root:
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
    sampling = measure_sampling("auto" if readable else "simulated")
    document = {
        "machine": common.machine(),
        "virtual_machine": is_virtual(),
        "sources": [
            {
                "name": s.name,
                "status": s.status,
                "reason": s.reason,
                "channels": [c.name for c in s.channels],
                "fix": fix(s),
            }
            for s in found
        ],
        "sampling": sampling,
    }
    if options.json:
        print(common.dump(document))
    else:
        print_report(document)
    return 0 if readable else 1


def is_virtual() -> bool:
    """Whether the processor says that it runs under a hypervisor."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and " hypervisor" in cpuinfo.read_text()


def fix(source: SourceInfo) -> str:
    """Say what to do about a source; empty if it is readable or beyond help."""
    if source.status == "denied":
        python = os.path.realpath(sys.executable)
        user = os.environ.get("USER", "$USER")
        return FIXES[source.name].format(python=python, user=user).rstrip()
    if source.status == "absent":
        return MODULES[source.name]
    return source.remedy


def measure_sampling(name: str) -> dict[str, Any]:
    """One second at 1 kHz: lateness, read time, cost."""
    with Session("1ms", name) as session:
        before = {source: stats["cpu_s"] for source, stats in session.stats.items()}
        began = time.monotonic()
        time.sleep(1)
        seconds = time.monotonic() - began
        return {
            source: {
                "samples": stats["samples"],
                "missed": stats["missed"],
                "lateness_ns": stats["lateness_ns"],
                "read_ns": stats["read_ns"],
                "cpu_share": (stats["cpu_s"] - before[source]) / seconds,
            }
            for source, stats in session.stats.items()
        }


def print_report(document: dict[str, Any]) -> None:
    """Print what was found for people."""
    print(f"{document['machine']['cpu']}, Linux {document['machine']['kernel']}")
    if document["virtual_machine"]:
        print("This is a virtual machine; most have no energy sensors, whatever is done inside.")
    for source in document["sources"]:
        channels = ", ".join(source["channels"])
        print(f"\n{source['name']}: {source['status']}{': ' + channels if channels else ''}")
        if source["reason"]:
            print(f"  why: {source['reason']}")
        if source["fix"]:
            print(textwrap.indent(source["fix"], "  fix: " if "\n" not in source["fix"] else "  "))
    if any(source["status"] == "denied" for source in document["sources"]):
        print(f"\n{WHY_ROOT}")
    print("\nsampling at 1 kHz for 1 s:")
    for name, s in document["sampling"].items():
        late, read = s["lateness_ns"], s["read_ns"]
        label = " (SIMULATED: no sensor can be read)" if name == "simulated" else ""
        print(
            f"  {name}{label}: late {late['p50'] / 1e3:.0f} µs (p50), {late['p99'] / 1e3:.0f} µs "
            f"(p99), {late['max'] / 1e3:.0f} µs (max), {s['missed']} deadlines missed; "
            f"a read takes {read['p50'] / 1e3:.1f} µs; {100 * s['cpu_share']:.2f} % of one CPU"
        )
