"""NVIDIA's own Python binding as a witness: pynvml, handed in, because not all tests need it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def refused(n: Any, call: Callable[..., object], *arguments: object) -> int:
    """Code of a call that must fail."""
    with pytest.raises(n.NVMLError) as error:
        call(*arguments)
    return int(error.value.value)


def field(n: Any, gpu: Any, number: int, scope: int = 0) -> int:
    """Read one field value, or raise as the other functions do."""
    (value,) = n.nvmlDeviceGetFieldValues(gpu, [(number, scope)])
    if value.nvmlReturn != 0:
        raise n.NVMLError(value.nvmlReturn)
    assert abs(time.time() - value.timestamp * 1e-6) < 60
    if value.valueType == n.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG:
        return int(value.value.ullVal)
    assert value.valueType == n.NVML_VALUE_TYPE_UNSIGNED_INT
    return int(value.value.uiVal)
