"""What a resource is found by, for the tests of each kind of value."""

from __future__ import annotations

from typing import Any

from hie.fhir.datatypes import parse_date
from hie.fhir.search_parameters import extract


def values(resource: dict[str, Any], kind: str, parameter: str) -> list[tuple[Any, ...]]:
    """Give a parameter's values of one kind, without its name."""
    return [value[1:] for value in getattr(extract(resource), kind) if value[0] == parameter]


def resource(type_name: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": type_name, **elements}


def bounds(text: str) -> tuple[int, int]:
    return parse_date(text)[:2]
