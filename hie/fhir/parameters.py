"""Parameters resources that operations answer: https://hl7.org/fhir/R4/parameters.html"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def parameters(rows: list[Json]) -> Json:
    """Return a Parameters resource."""
    return {"resourceType": "Parameters", "parameter": rows}


def value(name: str, type_name: str, content: Any) -> Json:
    """Return one parameter with a value of a type, as in value("result", "Boolean", True)."""
    return {"name": name, f"value{type_name}": content}


def parts(name: str, rows: list[Json]) -> Json:
    """Return one parameter that has parts."""
    return {"name": name, "part": rows}
