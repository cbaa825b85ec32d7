"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.busy import BOOT
from fakes.machine import FakeMachine
from fakes.nvml import FakeNvml, compile_nvml
from fakes.perf import FakePerf, compile_perf

if TYPE_CHECKING:
    from collections.abc import Iterator

# Background jobs ignore signals, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# What the caller measures with is none of the tests' business.
for name in [n for n in os.environ if n.startswith(("WATTRING_", "CUDA_"))]:
    del os.environ[name]
# Nor are the GPUs of the machine that they run on.
os.environ["WATTRING_NVML_LIBRARY"] = "libnvidia-ml-of-nobody.so.1"
os.environ["WATTRING_CALIBRATION"] = "/nonexistent/sensors"


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


@pytest.fixture
def busy_machine(tmp_path: Path) -> FakeMachine:
    """Two packages, after a boot in which the CPUs have done much."""
    machine = FakeMachine(tmp_path, packages=2)
    machine.set_cpu_time(**BOOT)
    return machine


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def perf_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_perf(tmp_path_factory.mktemp("fake_perf"))


@pytest.fixture
def perf(perf_library: Path) -> Iterator[FakePerf]:
    """Perf events of this test's own."""
    fake = FakePerf(perf_library)
    fake.configure()
    yield fake
    fake.forget()


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_nvml(tmp_path_factory.mktemp("fake_nvml"))


@pytest.fixture
def nvml(nvml_library: Path) -> Iterator[FakeNvml]:
    """GPUs of this test's own."""
    fake = FakeNvml(nvml_library)
    # Whoever initialises the library second finds the first one's GPUs.
    assert fake.users == 0, "a session of another test is still in use, maybe of one that failed"
    yield fake
    fake.forget()


@pytest.fixture
def n(nvml: FakeNvml) -> Iterator[Any]:
    """Module pynvml, for a test that has said which GPUs there are to initialise and witness."""
    pynvml = importlib.import_module("pynvml")

    assert nvml.users == 0, "another test's GPUs are still in use"
    yield pynvml
    while nvml.users > 0:
        pynvml.nvmlShutdown()
