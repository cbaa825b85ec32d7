"""The errors that wattring raises; each names the cause, and the remedy where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn


class WattringError(Exception):
    """Base of all: `reason` says what is wrong, `remedy` what to do (may be empty)."""

    code = "error"

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.reason} - {self.remedy}" if self.remedy else self.reason


class InvalidError(WattringError, ValueError):
    """Something was asked for that cannot be."""

    code = "invalid"


class AbsentError(WattringError):
    """No such sensor, driver or file on this machine."""

    code = "absent"


class DeniedError(WattringError, PermissionError):
    """The sensor is there, and this user may not read it."""

    code = "denied"


class UnsupportedError(WattringError):
    """The sensor is there, and nothing can be measured with it."""

    code = "unsupported"


class IoError(WattringError, OSError):
    """The operating system failed in an unexpected way."""

    code = "io"


class StateError(WattringError, RuntimeError):
    """The session is not started, stopped, or belongs to another process."""

    code = "state"


by_code: dict[str, type[WattringError]] = {
    error.code: error
    for error in (
        InvalidError,
        AbsentError,
        DeniedError,
        UnsupportedError,
        IoError,
        StateError,
    )
}


def refuse_pickle(thing: object) -> NoReturn:
    """Raise TypeError, as pickle's own errors are, from the `__reduce__` of a session's parts."""
    raise TypeError(
        f"a {type(thing).__name__} cannot be pickled or copied: its samplers run in this process"
        " - open a Session in the process that measures, and send its measurements"
    )
