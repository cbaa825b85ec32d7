"""GPUs as the channels of the source nvml name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wattring.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wattring._core import Channel

# What each sensor's channel has behind the name of the GPU, and its kind: where there is no
# counter, an integral of the power has its name.
_SUFFIXES = {
    "counter": ("", "counter"),
    "instant": ("-power", "gauge"),
    "average": ("-power-average", "gauge"),
}
SENSORS = tuple(_SUFFIXES)
_CHANNEL = re.compile(r"gpu-(\d+)")
_DEVICE = re.compile(r"(?P<uuid>\S+), (?P<model>.*), PCI (?P<pci>\S+), driver (?P<driver>\S+)")


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        index: the driver's number of it, which is not CUDA's.
        uuid: "GPU-…", which is the same everywhere.
        model: what the maker calls it.
        pci: its address.
        driver: version of the driver.
        channels: its channels by sensor: "counter", "instant", "average"; those that it has.

    """

    index: int
    uuid: str
    model: str
    pci: str
    driver: str
    channels: dict[str, Channel]

    @property
    def name(self) -> str:
        """Name that channels begin with."""
        return f"gpu-{self.index}"


def from_channels(channels: Iterable[Channel]) -> list[Gpu]:
    """Find the GPUs that channels of nvml are about, in the order of their numbers."""
    by_name = {channel.name: channel for channel in channels}
    found = []
    for index in sorted({int(m[1]) for m in map(_CHANNEL.match, by_name) if m}):
        own = {
            sensor: channel
            for sensor, (suffix, kind) in _SUFFIXES.items()
            if (channel := by_name.get(f"gpu-{index}{suffix}")) and channel.kind == kind
        }
        device = _DEVICE.match(next(iter(own.values())).device) if own else None
        if device:
            found.append(Gpu(index, channels=own, **device.groupdict()))
    return found


def selected(found: list[Gpu], indices: Iterable[int]) -> list[Gpu]:
    """Keep those with these numbers, each once, in this order.

    Raises:
        InvalidError: there is no such GPU.

    """
    by_index = {gpu.index: gpu for gpu in found}
    wanted = dict.fromkeys(indices)
    for index in wanted:
        if index not in by_index:
            there = ", ".join(str(i) for i in by_index)
            raise InvalidError(f"no GPU {index} can be read", f"there is: {there}")
    return [by_index[index] for index in wanted]
