"""Loads of GPUs; the frameworks are fakes of the same names, since none is installed here."""

from __future__ import annotations

import sys
import textwrap
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from fakes import frameworks
from fakes.driving import wait_until
from wattring.errors import AbsentError, InvalidError, WattringError
from wattring.gpus import Gpu
from wattring.loads import choose
from wattring.loads.matrices import PIECE_S, PRODUCT_S

if TYPE_CHECKING:
    from pathlib import Path

    from wattring.loads.matrices import MatrixLoad

UUID = "GPU-fa4e0000-0000-4000-8000-000000000000"
# CUDA's number of it is 1.
GPU = Gpu(0, UUID, "NVIDIA Fake H100", "00000000:17:00.0", "550.54.15", {})


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> frameworks.FakeGpus:
    """No framework is installed, whatever this machine has."""
    for name in ("torch", "cupy", "numba", "numba.cuda"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return frameworks.FakeGpus()


@pytest.fixture(params=["torch", "cupy", "numba"])
def framework(
    request: pytest.FixtureRequest, gpus: frameworks.FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> str:
    """One framework alone is installed."""
    name: str = request.param
    modules = {
        "torch": lambda: {"torch": frameworks.torch(gpus)},
        "cupy": lambda: {"cupy": frameworks.cupy(gpus)},
        "numba": lambda: frameworks.numba(gpus),
    }
    for module_name, module in modules[name]().items():
        monkeypatch.setitem(sys.modules, module_name, module)
    return name


def more_than(gpus: frameworks.FakeGpus, products: int) -> bool:
    return gpus.products[1] > products


def threads_of_loads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("wattring-load")]


def test_busy_from_on_to_off(framework: str, gpus: frameworks.FakeGpus) -> None:
    load = choose(None)()
    assert load.name == framework
    load.start(GPU)
    try:
        started = gpus.products[1]
        assert started > 0, "it is warm"
        assert gpus.products[0] == 0
        assert set(gpus.selected) == {1}
        for _ in range(3):
            wanted = gpus.products[1] + 20
            load.on()
            wait_until(partial(more_than, gpus, wanted), "20 more products")
            load.off()
            after = gpus.products[1]
            time.sleep(0.01)
            assert gpus.products[1] == after, "idle when off() returns"
        load.off()  # twice does no harm
    finally:
        load.close()
    assert gpus.threads == {f"wattring-load-{framework}"}, "a context belongs to one thread"
    assert not threads_of_loads()
    load.close()


def test_on_and_off_at_once_always_ends(framework: str, gpus: frameworks.FakeGpus) -> None:
    load = choose(framework)()
    load.start(GPU)
    try:
        for _ in range(500):
            load.on()
            load.off()
    finally:
        load.close()


def test_pieces_are_short_and_matrices_large_enough(
    gpus: frameworks.FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small matrices would be all launching; the fake's time grows with the third power."""
    monkeypatch.setattr(frameworks, "PRODUCT_S", 2e-5)
    monkeypatch.setitem(sys.modules, "torch", frameworks.torch(gpus))
    load: MatrixLoad = choose("torch")()  # type: ignore[assignment]
    load.start(GPU)
    load.close()
    # A sleep takes longer than it is asked to, on a loaded machine much longer.
    assert 512 in gpus.rows
    assert max(gpus.rows) <= 2048
    assert 1 <= load._products <= PIECE_S / PRODUCT_S * 2


@pytest.mark.parametrize("cut", [16, 18, 0])
def test_cupy_cuts_the_uuid_anywhere(
    cut: int, gpus: frameworks.FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its 16 bytes, or more than that, or those before the first zero."""
    other = "1" + frameworks.UUIDS[0][1:]
    monkeypatch.setitem(sys.modules, "cupy", frameworks.cupy(gpus, cut=cut, first=other))
    load = choose("cupy")()
    load.start(GPU)
    load.close()
    assert set(gpus.selected) == {1}


def test_two_gpus_that_cannot_be_told_apart(
    gpus: frameworks.FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", frameworks.cupy(gpus, cut=0))
    load = choose("cupy")()
    with pytest.raises(AbsentError, match="does not say which GPU is gpu-0"):
        load.start(GPU)
    load.close()
    assert not gpus.selected


def test_a_framework_that_does_not_see_the_gpu(framework: str, gpus: frameworks.FakeGpus) -> None:
    other = Gpu(3, "GPU-fa4e0000-0000-4000-8000-000000000003", "", "", "", {})
    load = choose(framework)()
    try:
        with pytest.raises(AbsentError, match=f"{framework} does not see gpu-3") as error:
            load.start(other)
        assert "CUDA_VISIBLE_DEVICES" in error.value.remedy
    finally:
        load.close()
    assert gpus.products == [0, 0]


def test_an_old_torch_names_no_gpu(
    gpus: frameworks.FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", frameworks.torch(gpus, named=False))
    load = choose("torch")()
    with pytest.raises(AbsentError, match="does not say which GPU is gpu-0") as error:
        load.start(GPU)
    load.close()
    assert f"CUDA_VISIBLE_DEVICES={UUID}" in error.value.remedy
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"GPU-abc,{UUID[:12]}")
    load = choose("torch")()
    load.start(GPU)
    load.close()
    assert gpus.selected[-1] == 1


def test_a_framework_that_fails(framework: str, gpus: frameworks.FakeGpus) -> None:
    """While it prepares, and later: where the load is used, in one line."""
    gpus.failing = "CUDA out of memory.\nTried to allocate"
    load = choose(framework)()
    with pytest.raises(WattringError, match=f"load {framework} failed: CUDA out of memory. Tried"):
        load.start(GPU)
    load.close()
    gpus.failing = ""
    load = choose(framework)()
    load.start(GPU)
    load.on()
    gpus.failing = "an illegal memory access"
    wait_until(lambda: not threads_of_loads(), "the thread has ended")
    with pytest.raises(WattringError, match="illegal memory access"):
        load.off()
    with pytest.raises(WattringError, match="illegal memory access"):
        load.on()
    load.close()


def test_nothing_is_installed(gpus: frameworks.FakeGpus) -> None:
    with pytest.raises(AbsentError) as error:
        choose(None)
    for name in ("torch", "cupy", "numba"):
        assert f"{name} is not installed" in error.value.reason
        assert name in error.value.remedy
    assert "--load module:attribute" in error.value.remedy
    with pytest.raises(AbsentError, match="numba is not installed"):
        choose("numba")
    with pytest.raises(InvalidError, match="no load 'jax'") as unknown:
        choose("jax")
    assert "torch, cupy, numba" in unknown.value.remedy


def test_what_does_not_work_is_passed_over(
    gpus: frameworks.FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch without CUDA, a CuPy whose CUDA is missing: the next one is taken, or each said."""
    monkeypatch.setitem(sys.modules, "torch", frameworks.torch(gpus, available=False))
    broken = frameworks.cupy(gpus)

    def fail() -> bool:
        raise OSError("libcudart.so.12: cannot open\nshared object file")

    monkeypatch.setattr(broken.cuda, "is_available", fail)
    monkeypatch.setitem(sys.modules, "cupy", broken)
    with pytest.raises(AbsentError) as error:
        choose(None)
    assert "torch sees no GPU; cupy does not work: libcudart.so.12: cannot open shared object" in (
        error.value.reason
    )
    for name, module in frameworks.numba(gpus).items():
        monkeypatch.setitem(sys.modules, name, module)
    assert choose(None)().name == "numba"


def test_a_load_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = """
        class Busy:
            name = "mine"

        class Nested:
            made = Busy

        number = 3
    """
    (tmp_path / "wattring_test_load.py").write_text(textwrap.dedent(module))
    (tmp_path / "wattring_test_broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert choose("wattring_test_load:Busy")().name == "mine"
    assert choose("wattring_test_load:Nested.made")().name == "mine"
    for name, cause in [
        ("wattring_test_load:Idle", "has no attribute 'Idle'"),
        ("wattring_test_nowhere:Busy", "No module named 'wattring_test_nowhere'"),
        ("wattring_test_broken:Busy", "No module named 'nothing_of_this_name'"),
        (":Busy", ""),
        ("wattring_test_load:", ""),
    ]:
        with pytest.raises(AbsentError, match=f"no load '{name}'") as error:
            choose(name)
        assert cause in error.value.reason
    with pytest.raises(InvalidError, match="no function or class"):
        choose("wattring_test_load:number")
