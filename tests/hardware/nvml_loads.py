"""Loads for a GPU: matrix products for so many seconds, by whichever library is installed."""

from __future__ import annotations

import importlib
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 4096
AT_ONCE = 8  # products between two looks at the clock


class NoLoadError(Exception):
    """Why nothing can load the GPU."""


class Load(NamedTuple):
    """run(seconds) keeps the GPU busy, returns when it rests again, with the products it made."""

    name: str
    run: Callable[[float], int]


def find_load(spec: str | None, uuid: str) -> Load:
    """Take "module:function", or the first library that works; raises NoLoadError."""
    if spec is not None:
        module, _, function = spec.partition(":")
        return Load(spec, getattr(importlib.import_module(module), function))
    # The very GPU that NVML calls by this name, whatever CUDA would number it.
    os.environ["CUDA_VISIBLE_DEVICES"] = uuid
    reasons = []
    for make in (_torch, _cupy, _numba):
        try:
            load = make()
            load.run(0.5)  # what is compiled or allocated once
        except Exception as error:
            reasons.append(f"{make.__name__.strip('_')}: {error or type(error).__name__}")
        else:
            return load
    raise NoLoadError("; ".join(reason.splitlines()[0] for reason in reasons))


def _until(seconds: float, product: Callable[[], object], wait: Callable[[], object]) -> int:
    end = time.monotonic() + seconds
    made = 0
    while time.monotonic() < end:
        for _ in range(AT_ONCE):
            product()
        wait()
        made += AT_ONCE
    return made


def _torch() -> Load:
    torch: Any = importlib.import_module("torch")
    a = torch.randn(SIZE, SIZE, device="cuda", dtype=torch.float16)
    into = torch.empty_like(a)
    return Load(
        f"torch {torch.__version__}, {SIZE}² float16",
        lambda s: _until(s, lambda: torch.matmul(a, a, out=into), torch.cuda.synchronize),
    )


def _cupy() -> Load:
    cupy: Any = importlib.import_module("cupy")
    a = cupy.random.standard_normal((SIZE, SIZE), dtype=cupy.float32)
    into = cupy.empty_like(a)
    wait = cupy.cuda.Device().synchronize
    return Load(
        f"cupy {cupy.__version__}, {SIZE}² float32",
        lambda s: _until(s, lambda: cupy.matmul(a, a, out=into), wait),
    )


def _numba() -> Load:
    numba: Any = importlib.import_module("numba")
    cuda: Any = importlib.import_module("numba.cuda")
    numpy: Any = importlib.import_module("numpy")
    size, block = SIZE // 4, 16

    @cuda.jit  # type: ignore[untyped-decorator]
    def multiply(a: Any, b: Any, into: Any) -> None:
        i, j = cuda.grid(2)
        total = numba.float32(0)
        for k in range(a.shape[0]):
            total += a[i, k] * b[k, j]
        into[i, j] = total

    a = cuda.to_device(numpy.random.default_rng(0).random((size, size), numpy.float32))
    into = cuda.device_array_like(a)
    grid = (size // block, size // block)
    return Load(
        f"numba {numba.__version__}, {size}² float32",
        lambda s: _until(s, lambda: multiply[grid, (block, block)](a, a, into), cuda.synchronize),
    )


class Restless:
    """A load that comes and goes at random while the body of a with statement runs."""

    def __init__(self, load: Load | None) -> None:
        self._load = load
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        chance = random.Random(1)
        while self._load is not None and not self._stop.is_set():
            self._load.run(chance.uniform(0.01, 0.08))
            time.sleep(chance.uniform(0.01, 0.08))
