"""Which GPUs a program sees: what CUDA_VISIBLE_DEVICES names, looked up in the driver's NVML.

NVML numbers all GPUs of the machine and ignores the variable. How CUDA reads it is in the CUDA
programming guide, 5.2.1: the list ends at the first invalid entry, prefixes of UUIDs will do, a
slice may be MIG-GPU-…/gi/ci. What it leaves open is not guessed: all are measured, and it is said.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shlex
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from wattring import _core

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wattring._core import Environment, Skipped

VARIABLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
MIG_NOTE = "the GPU is in MIG mode: the energy is the whole GPU's, not that of a slice"
KINDS = ("GPU-", "MIG-")

# By whose word, and the note on each visible GPU by its UUID; None: all GPUs.
VisibleGpus: TypeAlias = "tuple[str, dict[str, str]] | None"


@dataclass(frozen=True)
class Gpu:
    """What NVML says of one of its GPUs; `uuid` is empty where it says nothing."""

    uuid: str = ""
    name: str = ""
    in_mig_mode: bool = False
    slices: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What is to be known of this GPU's energy alone."""
        return MIG_NOTE if self.in_mig_mode else ""


class _UnknownError(Exception):
    """Which GPUs are visible cannot be told."""

    def __init__(self, reason: str, remedy: str, code: str = "ambiguous") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.code = code


@contextlib.contextmanager
def seen(
    environment: Environment, sources: Sequence[str]
) -> Iterator[tuple[VisibleGpus, list[Skipped]]]:
    """Give the GPUs that "auto" is about, and what is to be said where that cannot be told.

    While this is open the driver's library stays initialised, so that whoever opens it inside does
    not wait once more until the GPUs are awake.
    """
    text = os.environ.get(VARIABLE)
    if text is None or list(sources) != ["auto"]:
        yield None, []
        return
    said = f"{VARIABLE}={shlex.quote(text)}"
    entries = possible_entries(text)
    if not entries:
        yield (said, {}), []
        return
    gpus: list[Gpu] = []
    with contextlib.ExitStack() as library:
        try:
            gpus = library.enter_context(_gpus_of(environment.nvml))
            notes = choose(entries, gpus, by_bus=os.environ.get(ORDER) == "PCI_BUS_ID")
            result: tuple[VisibleGpus, list[Skipped]] = (said, notes), []
        except _UnknownError as error:
            told = _core.Skipped(
                source="nvml",
                channel="",
                code=error.code,
                reason=f"{said} {error.reason}: all GPUs are measured",
                remedy=error.remedy,
            )
            notes = {gpu.uuid: gpu.note for gpu in gpus}
            result = (said, notes) if notes and all(notes) else None, [told]
        yield result


def possible_entries(text: str) -> list[str]:
    """Split the variable up to the first entry that is invalid whatever GPUs there are."""
    entries = []
    for entry in map(str.strip, text.split(",")):
        if not entry.startswith(KINDS) and _index(entry) < 0:
            break
        entries.append(entry)
    return entries


def choose(entries: Sequence[str], gpus: Sequence[Gpu], *, by_bus: bool) -> dict[str, str]:
    """Return the notes on the GPUs that these entries name, by UUID."""
    named: dict[str, Gpu] = {}
    kinds = set()
    for entry in entries:
        found = _find(entry, gpus)
        if len(found) != 1:
            if silent := _silent(gpus):
                raise _UnknownError(
                    f"has {entry}, which may be {silent}", "`wattring list` asks it"
                )
            break
        ((identity, gpu),) = found
        if identity in named:
            raise _UnknownError(f"has {entry} twice", "name each GPU once")
        named[identity] = gpu
        kinds.add(entry[:4] if entry.startswith(KINDS) else "index")
    if len(kinds) > 1:
        raise _UnknownError("mixes kinds of entries", "use UUIDs alone")
    if "index" in kinds and len(named) < len(gpus):
        _require_one_order(gpus, by_bus=by_bus)
    return {gpu.uuid: gpu.note for gpu in named.values()}


def _index(entry: str) -> int:
    """Read an index as strtoul(3) does ("1x" is 1), as PyTorch's torch.cuda says that CUDA does."""
    number = re.match(r"[+-]?[0-9]{1,18}", entry)
    return int(number[0]) if number else -1


def _find(entry: str, gpus: Sequence[Gpu]) -> list[tuple[str, Gpu]]:
    """Return what an entry may stand for (a GPU or a slice), and the GPU that this is or is in."""
    if entry.startswith("GPU-"):
        return [(gpu.uuid, gpu) for gpu in gpus if gpu.uuid.startswith(entry)]
    if entry.startswith("MIG-"):
        slices = [(s, gpu) for gpu in gpus for s in gpu.slices if s.startswith(entry)]
        # How drivers before 470 name a slice: its GPU, GPU instance and compute instance.
        old = re.fullmatch(r"MIG-(GPU-[^/]+)/[0-9]+/[0-9]+", entry)
        if slices or old is None:
            return slices
        return [(entry, gpu) for gpu in gpus if gpu.in_mig_mode and gpu.uuid.startswith(old[1])]
    index = _index(entry)
    return [(gpus[index].uuid, gpus[index])] if index < len(gpus) else []


def _silent(gpus: Sequence[Gpu]) -> str:
    """Name the GPUs that do not answer."""
    return ", ".join(f"gpu-{i}" for i, gpu in enumerate(gpus) if not gpu.uuid)


def _require_one_order(gpus: Sequence[Gpu], *, by_bus: bool) -> None:
    """Raise where CUDA may number the GPUs otherwise than NVML."""
    if silent := _silent(gpus):
        raise _UnknownError(f"has indices, and CUDA may not count {silent}", "use UUIDs")
    names = sorted({gpu.name for gpu in gpus})
    if len(names) > 1 and not by_bus:
        raise _UnknownError(
            f"has indices, which count the fastest first of {', '.join(names)}",
            f"set {ORDER}=PCI_BUS_ID, or use UUIDs",
        )
    # CUDA was seen to count GPUs in MIG mode after the others (Datadog's agent, pkg/gpu/cuda).
    if len({gpu.in_mig_mode for gpu in gpus}) > 1:
        raise _UnknownError("has indices, and some GPUs are in MIG mode", "use UUIDs")


# Held over a fork, so that in the child no lock of pynvml's or of its import stays taken for ever.
_using_pynvml = threading.RLock()
os.register_at_fork(
    before=_using_pynvml.acquire,
    after_in_parent=_using_pynvml.release,
    after_in_child=_using_pynvml.release,
)


@contextlib.contextmanager
def _gpus_of(path: str) -> Iterator[list[Gpu]]:
    """Initialise NVML, give its GPUs, and take this one initialisation back."""
    with _using_pynvml:
        pynvml = _initialised(path)
    try:
        with _using_pynvml:
            try:
                gpus = [_describe(pynvml, i) for i in range(pynvml.nvmlDeviceGetCount())]
            except pynvml.NVMLError as error:
                raise _unanswered(error) from None
        yield gpus
    finally:
        with _using_pynvml, contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _initialised(path: str) -> Any:
    """Return pynvml, talking to the library that the native source will open."""
    try:
        library = ctypes.CDLL(path)
        import pynvml
    except OSError as error:
        raise _unanswered(error) from None
    except ImportError as error:
        raise _unanswered(error, "pip install nvidia-ml-py") from None
    try:
        pynvml.nvmlInit()  # loads by the library's name, and so finds what is loaded already
    except pynvml.NVMLError as error:
        raise _unanswered(error) from None
    if pynvml.nvmlLib._handle != library._handle:
        pynvml.nvmlShutdown()
        raise _unanswered(f"pynvml has another library than {path}", "unset WATTRING_NVML_LIBRARY")
    return pynvml


def _unanswered(why: object, remedy: str = "`nvidia-smi` shows if the driver answers") -> Exception:
    return _UnknownError(f"cannot be looked up ({why})", remedy, "unresolved")


def _describe(pynvml: Any, index: int) -> Gpu:
    try:
        device = pynvml.nvmlDeviceGetHandleByIndex(index)
        in_mig_mode = _is_in_mig_mode(pynvml, device)
        return Gpu(
            pynvml.nvmlDeviceGetUUID(device),
            pynvml.nvmlDeviceGetName(device),
            in_mig_mode,
            tuple(_slices(pynvml, device)) if in_mig_mode else (),
        )
    except pynvml.NVMLError:
        return Gpu()  # not for this user, or lost: the source says so when it is opened


def _is_in_mig_mode(pynvml: Any, device: Any) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(device)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return False
    return bool(current)


def _slices(pynvml: Any, device: Any) -> Iterator[str]:
    for i in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(device)):
        with contextlib.suppress(pynvml.NVMLError_NotFound):  # there are holes
            yield pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(device, i))
