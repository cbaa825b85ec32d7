"""Loads that keep a GPU busy from one moment to another, as `wattring calibrate` needs them.

A load is a plug-in: `--load torch`, `cupy`, `numba`, or `module:attribute` for one's own, where the
attribute, called without arguments, gives an object like `Load`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from wattring.errors import AbsentError, InvalidError
from wattring.loads.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from wattring.gpus import Gpu

OWN = "name a load of your own: --load module:attribute"


class Load(Protocol):
    """What can keep a GPU busy.

    Attributes:
        name: for messages.

    """

    name: str

    def start(self, gpu: Gpu) -> None:
        """Prepare on this GPU: allocate, compile, warm up; then leave it idle.

        Raises:
            WattringError: this GPU can't be used.

        """

    def on(self) -> None:
        """Keep the GPU busy from now on; return at once."""

    def off(self) -> None:
        """Leave the GPU idle; return when it is, within about a millisecond."""

    def close(self) -> None:
        """Give back what start() took; also when start() failed."""


def choose(name: str | None) -> Callable[[], Load]:
    """Find what makes loads: of a framework, of one's own, or (None) of the first that works.

    Raises:
        AbsentError: it isn't installed, or sees no GPU; for None: none of them.
        InvalidError: no such name.

    """
    if name is not None and ":" in name:
        return _own(name)
    if name is not None:
        if name not in FRAMEWORKS:
            known = ", ".join(FRAMEWORKS)
            raise InvalidError(f"no load {name!r}", f"there is: {known}, or {OWN}")
        _try(name)
        return FRAMEWORKS[name]
    refused = []
    for framework, load in FRAMEWORKS.items():
        try:
            _try(framework)
        except AbsentError as error:
            refused.append(error.reason)
        else:
            return load
    raise AbsentError(
        f"nothing can keep a GPU busy: {'; '.join(refused)}",
        f"install torch, cupy or numba for your CUDA, or {OWN}",
    )


def _try(framework: str) -> None:
    """Raise AbsentError unless a framework can use a GPU."""
    remedy = f"install it for your CUDA, or {OWN}"
    try:
        usable = FRAMEWORKS[framework]().usable()
    except ModuleNotFoundError as error:
        lacks = error.name or framework
        reason = "is not installed" if framework == lacks.partition(".")[0] else f"lacks {lacks}"
        raise AbsentError(f"{framework} {reason}", remedy) from None
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise AbsentError(f"{framework} does not work: {said}", remedy) from None
    if not usable:
        raise AbsentError(f"{framework} sees no GPU", remedy)


def _own(name: str) -> Callable[[], Load]:
    module_name, _, path = name.partition(":")
    # A program run by its name has no module of the current folder, unlike `python -m`.
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise AbsentError(f"no load {name!r}: {error}", "name it as module:attribute") from None
    if not callable(found):
        raise InvalidError(f"{name} is no function or class", "it must give a load when called")
    make: Callable[[], Load] = found
    return make
