"""Items of a result as parts of a Parameters resource: https://hl7.org/fhir/R4/parameters.html

As the engines behind fhirpath-lab answer: each part is named by its type; what Parameters has no value[x] for stands
in an extension with its JSON.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from hie.fhir import json_format
from hie.fhir.primitives import MAX_INTEGER, primitive

from . import model
from .values import Amount, Element, Moment

JSON_VALUE = "http://fhir.forms-lab.com/StructureDefinition/json-value"
_OF_THE_LANGUAGE = {
    "Boolean": "boolean",
    "Integer": "integer",
    "Decimal": "decimal",
    "String": "string",
    "Date": "date",
    "DateTime": "dateTime",
    "Time": "time",
    "Quantity": "Quantity",
}


def part(item: Element) -> dict[str, Any]:
    """Write one item of a result."""
    name = _OF_THE_LANGUAGE.get(item.type.removeprefix("System."), item.type)
    if item.type in _OF_THE_LANGUAGE:
        name = item.type
    value = _plain(item.value)
    if model.is_resource(name) and type(value) is dict:
        return {"name": name, "resource": value}
    if name not in _value_types() or not _fits(value, name):
        return {"name": name, "extension": [_json(value)]}
    key = "value" + name[0].upper() + name[1:]
    row: dict[str, Any] = {"name": name}
    if value is not None:
        row[key] = value
    if item.extra:
        row["_" + key] = item.extra
    return row


def _json(value: Any) -> dict[str, Any]:
    return {"url": JSON_VALUE, "valueString": json_format.dump(value).decode()}


def _plain(value: Any) -> Any:
    if isinstance(value, Moment):
        return value.text
    if isinstance(value, Amount):
        return {"value": value.value, "unit": value.unit, "system": "http://unitsofmeasure.org", "code": value.unit}
    return value


def _fits(value: Any, name: str) -> bool:
    """Tell whether FHIR allows the value: it knows no empty strings, nor times without minutes."""
    if value is None or not model.is_primitive(name):
        return True
    if name == "decimal":
        return isinstance(value, int | Decimal) and not isinstance(value, bool) and Decimal(value).is_finite()
    if name in ("integer", "unsignedInt", "positiveInt"):
        return isinstance(value, int) and abs(value) <= MAX_INTEGER
    return primitive(name).problem(value) is None


@cache
def _value_types() -> frozenset[str]:
    return frozenset(type_name for _, type_name in model.children("Parameters.parameter")["value"].forms)
