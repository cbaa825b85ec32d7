"""torch, cupy and numba as far as a load uses them: GPUs that count their products."""

from __future__ import annotations

import threading
import time
from types import ModuleType, SimpleNamespace
from typing import Any

UUIDS = [f"fa4e0000-0000-4000-8000-00000000000{i}" for i in (1, 0)]  # CUDA's order is another
PRODUCT_S = 2e-4  # at 512 rows


class FakeGpus:
    """Two GPUs. What is launched runs when it is synchronised, each product as long as it takes."""

    def __init__(self) -> None:
        self.products = [0, 0]
        self.selected: list[int] = []
        self.threads: set[str] = set()
        self.rows: set[int] = set()
        self.failing = ""
        self._queued: list[tuple[int, int]] = []

    def select(self, position: int) -> None:
        self.threads.add(threading.current_thread().name)
        self.selected.append(position)

    def launch(self, rows: int) -> None:
        if self.failing:
            raise RuntimeError(self.failing)
        self.threads.add(threading.current_thread().name)
        self.rows.add(rows)
        self._queued.append((self.selected[-1], rows))

    def synchronize(self) -> None:
        for position, rows in self._queued:
            time.sleep(PRODUCT_S * (rows / 512) ** 3)
            self.products[position] += 1
        self._queued.clear()


def torch(gpus: FakeGpus, available: bool = True, named: bool = True) -> ModuleType:
    """PyTorch; `named`: its properties have the UUID, as from 2.4 on."""
    module: Any = ModuleType("torch")
    properties = [SimpleNamespace(uuid=uuid) if named else SimpleNamespace() for uuid in UUIDS]
    module.cuda = SimpleNamespace(
        is_available=lambda: available,
        device_count=lambda: 2,
        get_device_properties=lambda i: properties[i],
        set_device=lambda device: gpus.select(device.index),
        synchronize=lambda device: gpus.synchronize(),
    )
    module.device = lambda kind, index: SimpleNamespace(type=kind, index=index)
    module.rand = lambda shape, device: SimpleNamespace(shape=shape)
    module.empty_like = lambda a: SimpleNamespace(shape=a.shape)
    module.mm = lambda a, b, out: gpus.launch(a.shape[0])
    found: ModuleType = module
    return found


def cupy(
    gpus: FakeGpus, available: bool = True, cut: int = 16, first: str = UUIDS[0]
) -> ModuleType:
    """CuPy, whose properties have the UUID's bytes, 16 or beyond them; cut 0: up to a zero."""
    module: Any = ModuleType("cupy")

    class Device:
        def __init__(self, position: int) -> None:
            self._position = position

        def use(self) -> None:
            gpus.select(self._position)

    raw = [bytes.fromhex(uuid.replace("-", "")) + b"\1\2" for uuid in (first, UUIDS[1])]
    shown = [b[:cut] if cut else b.partition(b"\0")[0] for b in raw]
    module.cuda = SimpleNamespace(
        is_available=lambda: available,
        Device=Device,
        get_current_stream=lambda: SimpleNamespace(synchronize=gpus.synchronize),
        runtime=SimpleNamespace(
            getDeviceCount=lambda: 2, getDeviceProperties=lambda i: {"uuid": shown[i]}
        ),
    )
    module.float32 = "f4"
    module.ones = lambda shape, dtype: SimpleNamespace(shape=shape)
    module.empty_like = lambda a: a
    module.matmul = lambda a, b, out: gpus.launch(a.shape[0])
    found: ModuleType = module
    return found


def numba(gpus: FakeGpus, available: bool = True) -> dict[str, ModuleType]:
    """Numba and its module cuda, by their names."""
    top, cuda = ModuleType("numba"), ModuleType("numba.cuda")
    module: Any = cuda

    class Kernel:
        def __getitem__(self, grid: Any) -> Any:
            (blocks, _), (threads, _) = grid
            return lambda a, b, c: gpus.launch(blocks * threads)

    module.is_available = lambda: available
    module.list_devices = lambda: [SimpleNamespace(uuid=f"GPU-{uuid}") for uuid in UUIDS]
    module.select_device = gpus.select
    module.jit = lambda function: Kernel()
    module.to_device = lambda array: array
    module.synchronize = gpus.synchronize
    return {"numba": top, "numba.cuda": cuda}
