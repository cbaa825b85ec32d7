"""JSON documents in and out: exact floats, infinite bounds, and a clear no to what is damaged."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from wattring.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REMEDY = "give what to_json() or to_dict() wrote"


def finite(value: float) -> float | None:
    """Return a number that JSON has, None in place of an infinity or of no number."""
    return value if math.isfinite(value) else None


def bounds_out(bounds: Mapping[str, tuple[float, float]]) -> dict[str, list[float | None]]:
    """Write bounds per channel; where there is none stands None."""
    return {channel: [finite(low), finite(high)] for channel, (low, high) in bounds.items()}


def dump(document: dict[str, Any]) -> str:
    """JSON text; floats read back as they were."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def parse(text: str) -> object:
    """Read JSON as the standard has it, without NaN and Infinity.

    Raises:
        InvalidError: no JSON.

    """
    if not isinstance(text, str):
        raise InvalidError(f"JSON text was expected, not {type(text).__name__}", REMEDY)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"damaged JSON: {error}", REMEDY) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class Document:
    """A JSON object of one format, read field by field; whatever does not fit is an InvalidError.

    Unknown fields are left alone: a later version, or a tool around it, may have added them.
    """

    def __init__(self, document: object, form: str) -> None:
        self._form = form
        if not isinstance(document, dict):
            raise InvalidError(f"this is no {form}: no JSON object", REMEDY)
        found = document.get("format")
        if found != form:
            what = "it has no format" if found is None else f"its format is {found!r}"
            raise InvalidError(f"this is no {form}: {what}", REMEDY)
        self._fields: dict[str, Any] = document

    def refuse(self, reason: str) -> InvalidError:
        """Build the error for a field that can't be."""
        return InvalidError(f"damaged {self._form}: {reason}", REMEDY)

    def field(self, name: str) -> Any:
        """Any field."""
        if name not in self._fields:
            raise self.refuse(f"{name} is missing")
        return self._fields[name]

    def integer(self, name: str) -> int:
        """Read an integer."""
        return self._integer(name, self.field(name))

    def by_name(self, name: str, keys: Iterable[str] | None = None) -> dict[str, Any]:
        """Read an object; `keys` are the ones that it must have, in any order."""
        value = self.field(name)
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.refuse(f"{name} is no object")
        if keys is None:
            return value
        ordered = list(keys)
        if value.keys() != set(ordered):
            raise self.refuse(f"{name} is not about {', '.join(ordered) or 'nothing'}")
        return {key: value[key] for key in ordered}

    def numbers(self, name: str, keys: Iterable[str] | None = None) -> dict[str, float]:
        """Read finite numbers by name."""
        fields = self.by_name(name, keys)
        return {key: self._number(f"{name} of {key}", v) for key, v in fields.items()}

    def counts(self, name: str, keys: Iterable[str] | None = None) -> dict[str, int]:
        """Read integers by name, none below zero."""
        found = self.by_name(name, keys)
        counts = {key: self._integer(f"{name} of {key}", v) for key, v in found.items()}
        if any(count < 0 for count in counts.values()):
            raise self.refuse(f"{name} has a count below zero")
        return counts

    def texts(self, name: str, keys: Iterable[str]) -> dict[str, str]:
        """Read strings by name."""
        found = self.by_name(name, keys)
        if not all(isinstance(text, str) for text in found.values()):
            raise self.refuse(f"{name} has something else than text")
        return found

    def names(self, name: str, value: object, among: Iterable[str] | None = None) -> list[str]:
        """Check a list of strings, each of them one of `among`."""
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.refuse(f"{name} is no list of text")
        if among is not None and not set(value) <= set(among):
            raise self.refuse(f"{name} names what is not there")
        return list(value)

    def bounds(self, name: str, around: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """Read (lower, upper) around each of the values."""
        bounds = {}
        for key, pair in self.by_name(name, around).items():
            if not isinstance(pair, list) or len(pair) != 2:
                raise self.refuse(f"{name} of {key} is no pair")
            low, high = pair
            lower = -math.inf if low is None else self._number(f"{name} of {key}", low)
            upper = math.inf if high is None else self._number(f"{name} of {key}", high)
            if not lower <= around[key] <= upper:
                raise self.refuse(f"{name} of {key} leave its value out")
            bounds[key] = (lower, upper)
        return bounds

    def spans(self, name: str) -> list[tuple[int, int]]:
        """Read time spans in order, none over another."""
        value = self.field(name)
        spans: list[tuple[int, int]] = []
        if not isinstance(value, list) or not value:
            raise self.refuse(f"{name} has no span")
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2:
                raise self.refuse(f"{name} has something else than pairs")
            begin, end = (self._integer(name, t) for t in pair)
            if end < begin or (spans and begin < spans[-1][1]):
                raise self.refuse(f"{name} are not in order")
            spans.append((begin, end))
        return spans

    def _integer(self, name: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.refuse(f"{name} is no integer")
        return value

    def _number(self, name: str, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
        raise self.refuse(f"{name} is no finite number")
