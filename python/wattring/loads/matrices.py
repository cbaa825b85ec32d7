"""Matrix products in short pieces: what the loads of all frameworks have in common."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from wattring.errors import AbsentError, WattringError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wattring.gpus import Gpu

# A piece of work between two looks at whether to go on, and the product that it is made of: short
# enough that off() takes effect within a millisecond, long enough that launching it costs little.
PIECE_S = 0.5e-3
PRODUCT_S = 0.25e-3
SMALLEST, LARGEST = 512, 8192  # rows of the matrices
PATIENCE_S = 10.0


class MatrixLoad:
    """Matrix products in short pieces on a thread of its own, which a framework computes.

    A framework adds `usable`, `_open`, `_prepare`, `_multiply` and `_synchronize`; all but the
    first are called by that thread alone, for contexts belong to threads.
    """

    name = ""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted = self._closing = False
        self._idle = False
        self._failure: Exception | None = None
        self._products = 1
        self._thread: threading.Thread | None = None

    def usable(self) -> bool:
        """Whether the framework sees any GPU."""
        raise NotImplementedError

    def _open(self, gpu: Gpu) -> None:
        raise NotImplementedError

    def _prepare(self, rows: int) -> None:
        raise NotImplementedError

    def _multiply(self) -> None:
        raise NotImplementedError

    def _synchronize(self) -> None:
        raise NotImplementedError

    def start(self, gpu: Gpu) -> None:
        """Prepare on this GPU; returns when the thread is ready."""
        self._thread = threading.Thread(
            target=self._work, args=(gpu,), name=f"wattring-load-{self.name}", daemon=True
        )
        self._thread.start()
        self._wait_idle()

    def on(self) -> None:
        """Wake the thread."""
        with self._changed:
            self._raise_failure()
            self._wanted, self._idle = True, False
            self._changed.notify_all()

    def off(self) -> None:
        """Let the thread finish its piece."""
        with self._changed:
            self._wanted = False
        self._wait_idle()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._wanted, self._closing = False, True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)  # a framework may hang with its GPU

    def _wait_idle(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._idle)
            self._raise_failure()

    def _raise_failure(self) -> None:
        if isinstance(self._failure, WattringError):
            raise self._failure
        if self._failure is not None:
            said = " ".join(str(self._failure).split()) or type(self._failure).__name__
            raise WattringError(f"the load {self.name} failed: {said}", "try another --load")

    def _work(self, gpu: Gpu) -> None:
        try:
            self._open(gpu)
            self._fit_piece()
            while self._next():
                while self._wanted:
                    self._piece()
        except Exception as error:  # whatever a framework raises is told where the load is used
            self._failure = error
        finally:
            with self._changed:
                self._idle = True
                self._changed.notify_all()

    def _next(self) -> bool:
        """Wait until the load is wanted again; False: never."""
        with self._changed:
            while not (self._wanted or self._closing):
                self._idle = True
                self._changed.notify_all()
                self._changed.wait()
            return not self._closing

    def _piece(self) -> None:
        for _ in range(self._products):
            self._multiply()
        self._synchronize()

    def _fit_piece(self) -> None:
        """Find matrices that fill the GPU for a moment, and how many products make a piece."""
        rows = SMALLEST
        while True:
            self._prepare(rows)
            self._products = 1
            self._piece()  # the first one compiles
            begin_ns = time.perf_counter_ns()
            for _ in range(5):
                self._piece()
            product_s = (time.perf_counter_ns() - begin_ns) * 1e-9 / 5
            if product_s >= PRODUCT_S or rows >= LARGEST:
                break
            rows *= 2
        self._products = max(1, round(PIECE_S / product_s))


def bare(uuid: str) -> str:
    """Reduce a UUID to its digits, in whichever form a framework gives it."""
    return uuid.removeprefix("GPU-").replace("-", "").lower()


def position_of(gpu: Gpu, uuids: Sequence[str], framework: str) -> int:
    """Find a GPU among those that a framework sees: its numbers are CUDA's, not the driver's.

    Args:
        gpu: which one.
        uuids: those of the framework's GPUs in its order; empty texts where it gives none.
        framework: for messages.

    Raises:
        AbsentError: the framework does not see it, or does not say which GPU is which.

    """
    same = [i for i, uuid in enumerate(uuids) if bare(uuid) == bare(gpu.uuid)]
    if len(same) == 1:
        return same[0]
    if any(uuids) and not same:
        raise AbsentError(
            f"{framework} does not see {gpu.name} ({gpu.uuid})",
            "CUDA_VISIBLE_DEVICES may hide it; name another with --gpu",
        )
    visible = [v.strip() for v in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    for position, name in enumerate(visible):
        if name.startswith("GPU-") and gpu.uuid.startswith(name):
            return position
    raise AbsentError(
        f"{framework} does not say which GPU is {gpu.name}",
        f"set CUDA_VISIBLE_DEVICES={gpu.uuid}, or take a later version",
    )
