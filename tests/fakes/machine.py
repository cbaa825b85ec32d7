"""A machine as the operating system shows it: files that sources read, and that tests change."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import wattring as wr

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.perf import FakePerf

UNIT_J = 2.0**-14
UNIT_NJ = 61035
RANGE_UJ = 262143328850  # floor((2^32 - 1) * 61035 / 1000), as the kernel computes it
REGISTERS = {"package": 0x611, "core": 0x639, "dram": 0x619, "psys": 0x64D}
AMD_REGISTERS = {"package": 0xC001029B, "core": 0xC001029A}
EVENTS = {
    "core": (1, "energy-cores"),
    "package": (2, "energy-pkg"),
    "dram": (3, "energy-ram"),
    "psys": (5, "energy-psys"),
}
FIXED_DRAM_MODELS = (0x3F, 0x4F, 0x55, 0x6A)
CPU_STATES = (
    *("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"),
    *("guest", "guest_nice"),
)
POWERCAP = "sys/class/powercap"
PMU = "sys/bus/event_source/devices/power"


class FakeMachine:
    """Places (a package, or a die of one) that count package, core and dram energy.

    Each place has two CPUs. Its counters show through the msr device of the first one, through
    powercap zones, and, after `add_perf()`, through perf events.
    """

    def __init__(
        self,
        root: Path,
        packages: int = 1,
        model: int = 0x5E,
        *,
        dies: int = 1,
        mirrored: bool = False,
        vendor: str = "GenuineIntel",
        domains: tuple[str, ...] = ("package", "core", "dram"),
    ) -> None:
        self.root = root
        self.packages = packages
        self.dies = dies
        self.mirrored = mirrored
        self.domains = domains
        self.amd = vendor == "AuthenticAMD"
        self.dram_is_fixed = model in FIXED_DRAM_MODELS and not self.amd
        self.counts: dict[tuple[int, str], int] = {}
        self.zones: dict[tuple[int, str], list[str]] = {}
        self.perf: FakePerf | None = None
        self._places = packages * dies
        self.write("proc/cpuinfo", _cpuinfo(vendor, 25 if self.amd else 6, model))
        self._make_cpus()
        for place in range(self._places):
            self._make_msr(place)
            self._make_zones(place)
        for place in range(1 if mirrored else self._places):
            for domain in domains:
                # Far from one another: equal counters would look like mirrors of one.
                self.set_count(place, domain, 1000 + 50_000_000 * place)

    # What the tests change while something measures.

    def unit_j(self, domain: str) -> float:
        """Joules that one count of the register stands for."""
        return 2.0**-16 if domain == "dram" and self.dram_is_fixed else UNIT_J

    def set_count(self, place: int, domain: str, count: int) -> None:
        """Set the register to the low 32 bits of `count`, and whatever else shows it."""
        raw = count % 2**32
        self.counts[place, domain] = count
        shown_at = range(self._places) if self.mirrored else (place,)
        for at in shown_at:
            cpu = 2 * at
            if self.amd:
                # Newer parts count on above bit 31; older ones leave zeros there.
                self.write_register(cpu, AMD_REGISTERS[domain], count)
            else:
                self.write_register(cpu, REGISTERS[domain], raw)
            if self.perf is not None:
                self.perf.set(cpu, EVENTS[domain][0], raw)
            # As the kernel computes it.
            energy_uj = raw * self._unit_nj(domain) // 1000
            for zone in self.zones.get((at, domain), []):
                self.set_energy_file(zone, f"{energy_uj}\n")

    def add_energy(self, place: int, domain: str, joules: float) -> None:
        """Let the counter run on, at once: at most 5 J between two rows, or it is a reset."""
        counts = round(joules / self.unit_j(domain))
        self.set_count(place, domain, self.counts[place, domain] + counts)

    def set_energy_file(self, zone: str, text: str) -> None:
        """Change what a zone says, in place: a reader keeps the file open, as it does sysfs's."""
        path = self.root / POWERCAP / zone / "energy_uj"
        descriptor = os.open(path, os.O_WRONLY)
        # Line feeds behind, to cover what was there; one write, so that no reader sees a part.
        os.pwrite(descriptor, text.ljust(24, "\n").encode(), 0)
        os.close(descriptor)

    def write_register(self, cpu: int, address: int, value: int) -> None:
        """Set a register of a CPU; the msr device is a sparse file."""
        descriptor = os.open(self.root / f"dev/cpu/{cpu}/msr", os.O_WRONLY)
        os.pwrite(descriptor, value.to_bytes(8, "little"), address)
        os.close(descriptor)

    def cut_registers(self, cpu: int, address: int) -> None:
        """From this address on, reads of the msr device fail until the registers are set again."""
        os.truncate(self.root / f"dev/cpu/{cpu}/msr", address)

    def set_cpu_time(self, **ticks: int) -> None:
        """Let all CPUs together have spent so many hundredths of a second in each state."""
        times = [str(ticks.pop(state, 0)) for state in CPU_STATES]
        assert not ticks, "no such states"
        self.write("proc/stat.new", f"cpu  {' '.join(times)}\ncpu0 7")
        (self.root / "proc/stat.new").rename(self.root / "proc/stat")

    def remove(self, name: str) -> None:
        """Take a file or a folder away, under the feet of whoever has it open."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            os.truncate(path, 0)
            path.unlink()

    # What the machine is made of.

    def add_zone(self, directory: str, name: str, range_uj: int | None = RANGE_UJ) -> Path:
        base = f"{POWERCAP}/{directory}"
        self.write(f"{base}/name", name)
        self.write(f"{base}/energy_uj", "61035")
        if range_uj is not None:
            self.write(f"{base}/max_energy_range_uj", str(range_uj))
        return self.root / base

    def add_twin(self, directory: str, name: str, place: int, domain: str) -> None:
        """Add one more zone that shows a counter which another one shows already."""
        self.add_zone(directory, name)
        self.zones[place, domain].append(directory)
        self.set_count(place, domain, self.counts[place, domain])

    def nest_zones(self) -> None:
        """Show each zone inside its parent and its control type as well, as the kernel does."""
        powercap = self.root / POWERCAP
        (powercap / "intel-rapl").mkdir()
        (powercap / "intel-rapl/subsystem").symlink_to("..")
        for zone in sorted(powercap.glob("intel-rapl:*")):
            parent = zone.name.rpartition(":")[0]
            (powercap / parent / zone.name).symlink_to(f"../{zone.name}")

    def add_perf(
        self,
        cpumask: str = "0",
        domains: tuple[str, ...] = ("package", "dram"),
        *,
        perf: FakePerf | None = None,
        tpmi: bool = False,
    ) -> None:
        """Add the power PMU; `perf` answers its events with this machine's counters."""
        self.write(f"{PMU}/type", "23")
        self.write(f"{PMU}/cpumask", cpumask)
        for domain in domains:
            code, name = EVENTS[domain]
            self.write(f"{PMU}/events/{name}", f"event=0x0{code}")
            self.write(f"{PMU}/events/{name}.unit", "Joules")
            self.write(f"{PMU}/events/{name}.scale", "2.3283064365386962890625e-10")
        self.perf = perf
        if perf is not None:
            perf.configure(tpmi=tpmi, ram_esu=16 if self.dram_is_fixed else 14)
            for (place, domain), count in list(self.counts.items()):
                self.set_count(place, domain, count)

    def write(self, name: str, text: str) -> None:
        """Write a small file, one line."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

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

    def _make_cpus(self) -> None:
        cpus = "sys/devices/system/cpu"
        self.write(f"{cpus}/online", f"0-{2 * self._places - 1}")
        for cpu in range(2 * self._places):
            topology = f"{cpus}/cpu{cpu}/topology"
            self.write(f"{topology}/physical_package_id", str(cpu // 2 // self.dies))
            self.write(f"{topology}/die_id", str(cpu // 2 % self.dies))
            self.write(f"{topology}/core_id", str(cpu % 2))

    def _make_msr(self, place: int) -> None:
        # Intel's registers are read on the first CPU alone, AMD's cores each on their own.
        for cpu in (2 * place, 2 * place + 1)[: 2 if self.amd else 1]:
            path = self.root / f"dev/cpu/{cpu}/msr"
            path.parent.mkdir(parents=True)
            path.touch()
            self.write_register(cpu, 0xC0010299 if self.amd else 0x606, 0xA0E03)

    def _make_zones(self, place: int) -> None:
        # Registered in the reverse order, so that numbers in directory names mean nothing.
        top = f"intel-rapl:{self._places - 1 - place}"
        package, die = divmod(place, self.dies)
        name = f"package-{package}-die-{die}" if self.dies > 1 else f"package-{package}"
        directories = {"package": top, "core": f"{top}:0", "dram": f"{top}:1"}
        for domain, directory in directories.items():
            if domain in self.domains:
                self.zones[place, domain] = [directory]
                range_uj = (2**32 - 1) * self._unit_nj(domain) // 1000
                self.add_zone(directory, name if domain == "package" else domain, range_uj)

    def _unit_nj(self, domain: str) -> int:
        return 15300 if domain == "dram" and self.dram_is_fixed else UNIT_NJ


def _cpuinfo(vendor: str, family: int, model: int) -> str:
    return (
        f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
        "model name\t: Fake CPU\n"
    )
