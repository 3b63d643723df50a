"""Read what clients send to the administration API; each refusal names the parameter and what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hie.errors import InvalidRequest
from hie.fhir.datatypes import InvalidDate, parse_date

MOST = 1_000
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


def body_object(body: Any, known: frozenset[str], required: frozenset[str]) -> dict[str, Any]:
    """Return a JSON object that has nothing but the known members, and all the required ones."""
    if not isinstance(body, dict):
        raise InvalidRequest(f"The body must be a JSON object with {', '.join(sorted(known))}.")
    if strangers := sorted(body.keys() - known):
        raise InvalidRequest(
            f"{strangers[0][:80]!r} is not known here; known: {', '.join(sorted(known))}.", expression=strangers[0][:80]
        )
    if missing := sorted(required - body.keys()):
        raise InvalidRequest(f"{missing[0]!r} is missing.", expression=missing[0])
    return body


def text(body: Mapping[str, Any], name: str, longest: int) -> str:
    """Return a member that is text of 1 to `longest` printable characters, without blanks around it."""
    value = body[name]
    if not isinstance(value, str) or not value.strip() or len(value) > longest or not value.isprintable():
        raise InvalidRequest(f"{name!r} must be 1 to {longest} printable characters.", expression=name)
    return value.strip()


def number(body: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """Return a member that is a number above `low` and not above `high`."""
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not low < value <= high:
        raise InvalidRequest(f"{name!r} must be a number above {low:g} and not above {high:g}.", expression=name)
    return float(value)


def count(query: Mapping[str, str], default: int = 50) -> int:
    """Return how many rows a page holds."""
    value = query.get("count")
    if value is None:
        return default
    if not _DIGITS.fullmatch(value) or not 1 <= int(value) <= MOST:
        raise InvalidRequest(f"count is {value[:40]!r}; it must be a number from 1 to {MOST}.", expression="count")
    return int(value)


def row_number(value: str, name: str) -> int:
    """Return a positive whole number that a 64-bit column can hold."""
    if not _DIGITS.fullmatch(value):
        raise InvalidRequest(f"{name} is {value[:40]!r}; it must be a whole number.", expression=name)
    return int(value)


def one_of(query: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    """Return a parameter that is one of a few words; None where it is absent."""
    value = query.get(name)
    if value is not None and value not in known:
        raise InvalidRequest(f"{name} is {value[:40]!r}; it must be one of {', '.join(known)}.", expression=name)
    return value


def start_of(query: Mapping[str, str], name: str) -> int | None:
    """Return the beginning of a FHIR date or dateTime in microseconds since 1970; None where it is absent."""
    value = query.get(name)
    if value is None:
        return None
    try:
        return parse_date(value.replace(" ", "+"))[0]  # a bare + in a URL means a space
    except InvalidDate as error:
        raise InvalidRequest(
            f"{name} is {value[:40]!r}; it must be a date or time such as 2026-01-31T12:00:00Z.", expression=name
        ) from error


def reference(query: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Return type and id of a parameter written Type/id; None where it is absent."""
    from hie.fhir.facts import RESOURCE_TYPES
    from hie.fhir.routes import checked_id

    value = query.get(name)
    if value is None:
        return None
    type_name, _, id_ = value.partition("/")
    if type_name not in RESOURCE_TYPES:
        raise InvalidRequest(f"{name} is {value[:80]!r}; it must read [type]/[id].", expression=name)
    return type_name, checked_id(id_, type_name)
