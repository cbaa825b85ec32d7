"""What keeps a GPU busy: PyTorch, CuPy or Numba, whichever is installed; imported when used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wattring.loads.matrices import MatrixLoad, bare, position_of

if TYPE_CHECKING:
    from wattring.gpus import Gpu


class TorchLoad(MatrixLoad):
    """Products by PyTorch."""

    name = "torch"

    def __init__(self) -> None:
        super().__init__()
        self._torch: Any = importlib.import_module("torch")

    def usable(self) -> bool:
        """Whether PyTorch is built with CUDA and sees a GPU."""
        return bool(self._torch.cuda.is_available())

    def _open(self, gpu: Gpu) -> None:
        cuda = self._torch.cuda
        # PyTorch gives the UUID without "GPU-", and before 2.4 none.
        uuids = [
            str(getattr(cuda.get_device_properties(i), "uuid", ""))
            for i in range(cuda.device_count())
        ]
        self._device = self._torch.device("cuda", position_of(gpu, uuids, self.name))
        cuda.set_device(self._device)

    def _prepare(self, rows: int) -> None:
        self._a, self._b = (self._torch.rand((rows, rows), device=self._device) for _ in range(2))
        self._c = self._torch.empty_like(self._a)

    def _multiply(self) -> None:
        self._torch.mm(self._a, self._b, out=self._c)

    def _synchronize(self) -> None:
        self._torch.cuda.synchronize(self._device)


class CupyLoad(MatrixLoad):
    """Products by CuPy."""

    name = "cupy"

    def __init__(self) -> None:
        super().__init__()
        self._cupy: Any = importlib.import_module("cupy")

    def usable(self) -> bool:
        """Whether CuPy sees a GPU."""
        return bool(self._cupy.cuda.is_available())

    def _open(self, gpu: Gpu) -> None:
        runtime = self._cupy.cuda.runtime
        raw = [
            bytes(runtime.getDeviceProperties(i).get("uuid", b""))
            for i in range(runtime.getDeviceCount())
        ]
        # CuPy takes the 16 bytes for a text of C: it may end at a zero, or after them.
        wanted = bytes.fromhex(bare(gpu.uuid))
        shown = {wanted, wanted.partition(b"\0")[0]} - {b""}
        uuids = [gpu.uuid if found[:16] in shown else found.hex() for found in raw]
        self._cupy.cuda.Device(position_of(gpu, uuids, self.name)).use()

    def _prepare(self, rows: int) -> None:
        self._a, self._b = (
            self._cupy.ones((rows, rows), dtype=self._cupy.float32) for _ in range(2)
        )
        self._c = self._cupy.empty_like(self._a)

    def _multiply(self) -> None:
        self._cupy.matmul(self._a, self._b, out=self._c)

    def _synchronize(self) -> None:
        self._cupy.cuda.get_current_stream().synchronize()


class NumbaLoad(MatrixLoad):
    """Products by a kernel that Numba compiles."""

    name = "numba"

    def __init__(self) -> None:
        super().__init__()
        self._cuda: Any = importlib.import_module("numba.cuda")

    def usable(self) -> bool:
        """Whether Numba finds CUDA and a GPU."""
        return bool(self._cuda.is_available())

    def _open(self, gpu: Gpu) -> None:
        uuids = [str(getattr(device, "uuid", "")) for device in self._cuda.list_devices()]
        self._cuda.select_device(position_of(gpu, uuids, self.name))
        cuda = self._cuda

        def multiply(a: Any, b: Any, c: Any) -> None:
            row, column = cuda.grid(2)
            total = c[row, column] * 0
            for k in range(a.shape[1]):
                total += a[row, k] * b[k, column]
            c[row, column] = total

        self._kernel = cuda.jit(multiply)

    def _prepare(self, rows: int) -> None:
        import numpy as np

        ones = np.ones((rows, rows), np.float32)
        self._a, self._b, self._c = (self._cuda.to_device(ones) for _ in range(3))
        self._launch = self._kernel[(rows // 16, rows // 16), (16, 16)]

    def _multiply(self) -> None:
        self._launch(self._a, self._b, self._c)

    def _synchronize(self) -> None:
        self._cuda.synchronize()


FRAMEWORKS: dict[str, type[MatrixLoad]] = {
    load.name: load for load in (TorchLoad, CupyLoad, NumbaLoad)
}
