"""Which GPUs the fake library has, and how it fails, seen by NVIDIA's own Python binding."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from fakes.nvml import ENERGY, compile_nvml
from fakes.nvml_witness import field, refused

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.nvml import FakeNvml

UUID = "GPU-fa4e0000-0000-4000-8000-00000000000"


def test_it_is_the_drivers_library(nvml: FakeNvml, n: Any) -> None:
    """Once it is loaded, whoever asks for the driver's library by name gets this one."""
    nvml.configure("set,const:300,square:50:700:0.5")
    n.nvmlInit()
    assert nvml.users == 1
    assert n.nvmlSystemGetDriverVersion() == "550.54.15"
    assert n.nvmlSystemGetNVMLVersion() == "12.550.54.15"
    assert n.nvmlDeviceGetCount() == 3
    nvml.set(0, 9007199254740993)
    assert n.nvmlDeviceGetTotalEnergyConsumption(n.nvmlDeviceGetHandleByIndex(0)) == (
        9007199254740993
    )
    n.nvmlShutdown()
    assert refused(n, n.nvmlDeviceGetCount) == n.NVML_ERROR_UNINITIALIZED


def test_who_the_gpus_are(nvml: FakeNvml, n: Any) -> None:
    nvml.configure("const:1,const:2,const:3", arch="7;5", name="NVIDIA A;NVIDIA B", driver="535.1")
    n.nvmlInit()
    assert n.nvmlSystemGetDriverVersion() == "535.1"
    for index, (name, architecture) in enumerate((("A", 7), ("B", 5), ("B", 5))):
        gpu = n.nvmlDeviceGetHandleByIndex(index)
        pci = n.nvmlDeviceGetPciInfo(gpu)
        bus = 0x17 + index
        assert (pci.busId, pci.busIdLegacy) == (f"00000000:{bus:02X}:00.0", f"0000:{bus:02X}:00.0")
        assert (pci.domain, pci.bus, pci.device) == (0, bus, 0)
        assert (pci.pciDeviceId, pci.pciSubSystemId) == (0x233010DE, 0x16C110DE)
        assert n.nvmlDeviceGetUUID(gpu) == f"{UUID}{index}"
        assert n.nvmlDeviceGetName(gpu) == f"NVIDIA {name}"
        assert n.nvmlDeviceGetArchitecture(gpu) == architecture
        assert n.nvmlDeviceGetIndex(gpu) == n.nvmlDeviceGetMinorNumber(gpu) == index
        for found in (
            n.nvmlDeviceGetHandleByUUID(f"{UUID}{index}"),
            n.nvmlDeviceGetHandleByPciBusId(pci.busId),
            n.nvmlDeviceGetHandleByPciBusId(pci.busIdLegacy),
        ):
            assert n.nvmlDeviceGetIndex(found) == index
    assert refused(n, n.nvmlDeviceGetHandleByIndex, 3) == n.NVML_ERROR_INVALID_ARGUMENT
    assert refused(n, n.nvmlDeviceGetHandleByUUID, f"{UUID}3") == n.NVML_ERROR_NOT_FOUND
    assert refused(n, n.nvmlDeviceGetHandleByPciBusId, "0000:01:00.0") == n.NVML_ERROR_NOT_FOUND


def test_slices_of_mig(nvml: FakeNvml, n: Any) -> None:
    """Power and energy are the whole GPU's; a slice leads to it."""
    nvml.configure("const:100,const:200", mig="1:2")
    n.nvmlInit()
    plain, sliced = (n.nvmlDeviceGetHandleByIndex(i) for i in range(2))
    assert n.nvmlDeviceGetMigMode(plain) == [0, 0]
    assert n.nvmlDeviceGetMaxMigDeviceCount(plain) == 0
    assert n.nvmlDeviceGetMigMode(sliced) == [1, 1]
    assert n.nvmlDeviceGetMaxMigDeviceCount(sliced) == 7
    found = {}
    for index in range(7):
        try:
            found[index] = n.nvmlDeviceGetMigDeviceHandleByIndex(sliced, index)
        except n.NVMLError_NotFound:
            continue
    assert list(found) == [0, 2]
    uuids = {n.nvmlDeviceGetUUID(s) for s in found.values()}
    assert len(uuids) == 2
    assert all(uuid.startswith("MIG-") for uuid in uuids)
    for index, part in found.items():
        assert n.nvmlDeviceIsMigDeviceHandle(part)
        assert n.nvmlDeviceGetIndex(part) == index
        again = n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(part))
        parent = n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(again)
        assert n.nvmlDeviceGetIndex(parent) == 1
        assert not n.nvmlDeviceIsMigDeviceHandle(parent)
        for call in (
            n.nvmlDeviceGetPowerUsage,
            n.nvmlDeviceGetTotalEnergyConsumption,
            n.nvmlDeviceGetUtilizationRates,
        ):
            assert refused(n, call, part) == n.NVML_ERROR_NOT_SUPPORTED
        assert refused(n, field, n, part, 186) == n.NVML_ERROR_NOT_SUPPORTED
    assert n.nvmlDeviceGetPowerUsage(sliced) == 200_000
    assert refused(n, n.nvmlDeviceGetUtilizationRates, sliced) == n.NVML_ERROR_NOT_SUPPORTED
    n.nvmlDeviceGetUtilizationRates(plain)
    n.nvmlShutdown()
    nvml.configure("const:1", arch=5, mig="")
    n.nvmlInit()
    old = n.nvmlDeviceGetHandleByIndex(0)
    assert refused(n, n.nvmlDeviceGetMigMode, old) == n.NVML_ERROR_NOT_SUPPORTED
    assert n.nvmlDeviceGetMaxMigDeviceCount(old) == 0


def test_failures_are_those_of_the_function_and_gpu_named(nvml: FakeNvml, n: Any) -> None:
    nvml.configure("const:1,const:2", "nvmlInitWithFlags=9")
    assert refused(n, n.nvmlInit) == 9
    nvml.configure("const:1,const:2")
    n.nvmlInit()
    gpus = [n.nvmlDeviceGetHandleByIndex(i) for i in range(2)]
    nvml.fail("*@1=15,nvmlDeviceGetFieldValues@0=4")
    assert refused(n, n.nvmlDeviceGetTotalEnergyConsumption, gpus[1]) == 15
    assert refused(n, field, n, gpus[0], 186) == 4
    n.nvmlDeviceGetTotalEnergyConsumption(gpus[0])
    nvml.fail("")
    n.nvmlDeviceGetTotalEnergyConsumption(gpus[1])


def test_calls_and_their_time_are_counted(nvml: FakeNvml, n: Any) -> None:
    nvml.configure("const:1", delay_ns=5_000_000)
    n.nvmlInit()
    gpu = n.nvmlDeviceGetHandleByIndex(0)
    assert (nvml.energy_calls, nvml.busy_ns) == (0, 0)
    t0_ns = time.monotonic_ns()
    for _ in range(3):
        n.nvmlDeviceGetTotalEnergyConsumption(gpu)
    n.nvmlDeviceGetPowerUsage(gpu)
    assert 20_000_000 <= nvml.busy_ns <= time.monotonic_ns() - t0_ns
    assert nvml.calls(ENERGY) == nvml.energy_calls == 3
    assert nvml.calls("nvmlDeviceGetPowerUsage") == nvml.calls("nvmlInitWithFlags") == 1
    assert nvml.calls("nvmlDeviceGetFieldValues") == 0


def test_older_libraries_lack_functions(tmp_path: Path) -> None:
    """By the SONAME too: pynvml, in a process of its own, takes what was opened by its path."""
    program = (
        "import ctypes, sys, pynvml as n; own = ctypes.CDLL(sys.argv[1]); n.nvmlInit();"
        "h = n.nvmlDeviceGetHandleByIndex(0); getattr(n, sys.argv[2])(h, *eval(sys.argv[3]))"
    )
    for variant, function, arguments in (
        ("FAKE_NVML_NO_FIELDS", "nvmlDeviceGetFieldValues", "[[186]]"),
        ("FAKE_NVML_NO_ENERGY", ENERGY, "[]"),
    ):
        folder = tmp_path / variant
        folder.mkdir()
        for built, expected in ((variant, "Function Not Found"), ("", "")):
            done = subprocess.run(
                [sys.executable, "-c", program, compile_nvml(folder, built), function, arguments],
                env=os.environ | {"FAKE_NVML": "const:1"},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert expected in done.stderr
            assert (done.returncode == 0) == (not built), done.stderr
