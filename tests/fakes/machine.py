"""A machine as the operating system shows it: files that sources read, and that tests change."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import wattring as wr

if TYPE_CHECKING:
    from pathlib import Path

UNIT_J = 2.0**-14
UNIT_NJ = 61035
RANGE_UJ = 262143328850  # floor((2^32 - 1) * 61035 / 1000), as the kernel computes it
REGISTERS = {"package": 0x611, "core": 0x639, "dram": 0x619}
EVENTS = {"package": "energy-pkg", "core": "energy-cores", "dram": "energy-ram"}


class FakeMachine:
    """Packages with package, core and dram counters, through msr, powercap and perf."""

    def __init__(self, root: Path, packages: int = 1, model: int = 0x5E) -> None:
        self.root = root
        self.packages = packages
        self.counts: dict[tuple[int, str], int] = {}
        self._write("proc/cpuinfo", _cpuinfo("GenuineIntel", model))
        cpu = "sys/devices/system/cpu"
        self._write(f"{cpu}/online", f"0-{2 * packages - 1}")
        for number in range(2 * packages):
            self._write(f"{cpu}/cpu{number}/topology/physical_package_id", str(number // 2))
            self._write(f"{cpu}/cpu{number}/topology/die_id", "0")
            self._write(f"{cpu}/cpu{number}/topology/core_id", str(number % 2))
        for package in range(packages):
            path = root / f"dev/cpu/{2 * package}/msr"
            path.parent.mkdir(parents=True)
            path.touch()
            self._write_register(package, 0x606, 0xA0E03)
            self._make_zones(package)
            for domain in REGISTERS:
                self.set_count(package, domain, 1000)

    def _make_zones(self, package: int) -> None:
        # Registered in the reverse order, so that numbers in directory names mean nothing.
        top = f"intel-rapl:{self.packages - 1 - package}"
        self.zone_names = getattr(self, "zone_names", {})
        for domain, directory, name in (
            ("package", top, f"package-{package}"),
            ("core", f"{top}:0", "core"),
            ("dram", f"{top}:1", "dram"),
        ):
            self.zone_names[package, domain] = directory
            self.add_zone(directory, name)

    def add_zone(self, directory: str, name: str, range_uj: int | None = RANGE_UJ) -> Path:
        base = f"sys/class/powercap/{directory}"
        self._write(f"{base}/name", name)
        self._write(f"{base}/energy_uj", "61035")
        if range_uj is not None:
            self._write(f"{base}/max_energy_range_uj", str(range_uj))
        return self.root / base

    def add_perf(self, cpumask: str = "0", domains: tuple[str, ...] = ("package", "dram")) -> None:
        pmu = "sys/bus/event_source/devices/power"
        self._write(f"{pmu}/type", "23")
        self._write(f"{pmu}/cpumask", cpumask)
        codes = {"core": 1, "package": 2, "dram": 3}
        for domain in domains:
            self._write(f"{pmu}/events/{EVENTS[domain]}", f"event=0x0{codes[domain]}")
            self._write(f"{pmu}/events/{EVENTS[domain]}.unit", "Joules")
            scale = "2.3283064365386962890625e-10"
            self._write(f"{pmu}/events/{EVENTS[domain]}.scale", scale)

    def set_count(self, package: int, domain: str, count: int) -> None:
        """Set the 32-bit register, and with it what powercap shows, as the kernel computes it."""
        raw = count % 2**32
        self.counts[package, domain] = count
        self._write_register(package, REGISTERS[domain], raw)
        # In place: a reader keeps the file open, as it keeps a sysfs attribute open.
        text = f"{raw * UNIT_NJ // 1000}\n".ljust(24)
        path = self.root / f"sys/class/powercap/{self.zone_names[package, domain]}/energy_uj"
        with path.open("r+") as file:
            file.write(text[:24].replace(" ", "\n"))

    def add_energy(self, package: int, domain: str, joules: float) -> None:
        self.set_count(package, domain, self.counts[package, domain] + round(joules / UNIT_J))

    def _write_register(self, package: int, address: int, value: int) -> None:
        descriptor = os.open(self.root / f"dev/cpu/{2 * package}/msr", os.O_RDWR)
        os.pwrite(descriptor, value.to_bytes(8, "little"), address)
        os.close(descriptor)

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    def remove(self, name: str) -> None:
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            os.truncate(path, 0)
            path.unlink()

    def environment(self) -> wr.Environment:
        env = wr.Environment.from_variables()
        env.sys = str(self.root / "sys")
        env.dev = str(self.root / "dev")
        env.proc = str(self.root / "proc")
        return env

    def variables(self) -> dict[str, str]:
        return {
            "WATTRING_SYSFS": str(self.root / "sys"),
            "WATTRING_DEV": str(self.root / "dev"),
            "WATTRING_PROC": str(self.root / "proc"),
        }


def _cpuinfo(vendor: str, model: int) -> str:
    return (
        f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: 6\nmodel\t\t: {model}\n"
        "model name\t: Fake CPU\n"
    )
