"""What the formats share: copying, comparing and tidying JSON values, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hie.errors import Unprocessable
from hie.fhir.json_format import DEFAULT_MAX_DEPTH
from hie.fhir.patching import bounds


class Copier:
    """Copies values for one patch, which may not copy without end."""

    def __init__(self) -> None:
        self._left = bounds.MOST_VALUES
        self.done = 0  # values, and lengths of texts

    def copied(self, value: Any, depth: int = 0) -> Any:
        """Return an independent copy that will stand at `depth`; Unprocessable where it is too deep or too much."""
        self._left -= 1
        self.done += 1 + (len(value) // bounds.CHARACTERS if isinstance(value, str) else 0)
        if self._left < 0:
            raise Unprocessable(f"The patch copies more than {bounds.MOST_VALUES} values.")
        if isinstance(value, dict):
            _check_depth(depth)
            return {name: self.copied(one, depth + 1) for name, one in value.items()}
        if isinstance(value, list):
            _check_depth(depth)
            return [self.copied(one, depth + 1) for one in value]
        return value


def _check_depth(depth: int) -> None:
    if depth >= DEFAULT_MAX_DEPTH:
        raise Unprocessable(f"The patched resource is nested deeper than {DEFAULT_MAX_DEPTH} levels.")


def containers(value: dict[str, Any] | list[Any]) -> Iterator[dict[str, Any] | list[Any]]:
    """Yield every object and array in a value, itself first."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += [part for part in (one.values() if isinstance(one, dict) else one) if isinstance(part, dict | list)]


def is_equal(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal: RFC 6902 section 4.6; numbers by their value, 1.0 is 1.00."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return Decimal(one) == Decimal(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_equal, one, other))
    return bool(one == other)


def tidied(value: Any, depth: int = 0) -> Any:
    """Return the value without objects and arrays that a patch left empty: FHIR's JSON has none, json.html#null

    Of an array of primitive values and its counterpart (`given`, `_given`) both or none have their nulls. An array of
    nothing but nulls was sent so, and stays for the validator to refuse: it is no wish to take something away.
    """
    if isinstance(value, dict):
        _check_depth(depth)
        kept = {}
        for name, one in value.items():
            is_sent_so = _is_of_nulls(one) and name[:1] != "_" and f"_{name}" not in value
            new = one if is_sent_so else tidied(one, depth + 1)
            if not (isinstance(new, dict | list) and not new):
                kept[name] = new
        return kept
    if isinstance(value, list):
        _check_depth(depth)
        items = [tidied(one, depth + 1) for one in value]
        if any(one is not None and not isinstance(one, dict | list) for one in value):
            return items  # primitive values
        if any(one is None for one in value):  # counterparts: an object that became empty says nothing
            items = [None if one == {} else one for one in items]
            return items if any(one is not None for one in items) else []
        return [one for one in items if one not in ({}, [])]
    return value


def _is_of_nulls(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(one is None for one in value)
