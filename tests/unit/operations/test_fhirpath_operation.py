"""$fhirpath as a function: the form of its answers, its refusals, its bounds."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from hie.errors import FhirError
from hie.fhir.http import FhirRequest
from hie.operations.fhirpath import fhirpath
from tests.builders import patient

ANNA = patient(id="a", _birthDate={"extension": [{"url": "http://example.org/t", "valueString": "noon"}]})
NUMBERS = tuple(("variables", [{"name": "a", "valueInteger": number}]) for number in range(100))


def evaluated(expression: str, arguments: Any = ()) -> list[Any]:
    request = FhirRequest(
        "operation", parameters=(("expression", expression),), resource=ANNA, arguments=tuple(arguments)
    )
    ctx: Any = SimpleNamespace(allowance=None)  # outside of a transaction; nothing else is asked of it
    found = json.loads(fhirpath(request, ctx).content or b"{}")["parameter"]
    return list(found[1]["part"])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("name.given", [{"name": "string", "valueString": "Anna"}]),
        ("gender", [{"name": "code", "valueCode": "female"}]),
        ("name", [{"name": "HumanName", "valueHumanName": {"family": "Smith", "given": ["Anna"]}}]),
        ("birthDate", [{"name": "date", "valueDate": "1970-05-01", "_valueDate": ANNA["_birthDate"]}]),
        ("1 + 1", [{"name": "integer", "valueInteger": 2}]),
        ("1.50 * 1", [{"name": "decimal", "valueDecimal": 1.5}]),
        ("name.exists()", [{"name": "boolean", "valueBoolean": True}]),
        ("@2020-01", [{"name": "date", "valueDate": "2020-01"}]),
        ("4 'mg'", [{"name": "Quantity", "valueQuantity": {
            "value": 4, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}}]),
        ("$this.where(false)", [{"name": "empty", "valueString": "true"}]),
        ("'' & ''", [{"name": "string", "extension": [
            {"url": "http://fhir.forms-lab.com/StructureDefinition/json-value", "valueString": '""'}]}]),
        ("name.given.trace('g').count()", [
            {"name": "integer", "valueInteger": 1},
            {"name": "trace", "valueString": "g", "part": [{"name": "string", "valueString": "Anna"}]}]),
    ],
)  # fmt: skip
def test_items_are_answered_with_their_types(expression: str, expected: Any) -> None:
    assert evaluated(expression) == expected


@pytest.mark.parametrize(
    ("expression", "status", "code"),
    [("name.", 400, "invalid"), ("nothing()", 400, "not-supported"), ("name.given + 1", 422, "processing"),
     ("%x", 422, "processing"), ("'a'.matches('(?:a{99}){999}')", 422, "processing"),
     ("a" * 10_001, 400, "invalid"), ("(" * 300, 400, "invalid")],
)  # fmt: skip
def test_an_expression_that_has_no_result_is_refused(expression: str, status: int, code: str) -> None:
    with pytest.raises(FhirError) as caught:
        evaluated(expression)
    assert (caught.value.status, caught.value.issues[0].code) == (status, code)
    assert caught.value.issues[0].expression == "expression"


@pytest.mark.parametrize(
    "expression",
    [
        "(" + " | ".join(str(n) for n in range(90)) + ").select(%a).select(%a).select(%a).select(%a)",
        "%a.repeat($this + 1)", "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.matches('^(a|a)*$')",
        "%a.aggregate($total.combine($total), 1)", "%a.aggregate($total & $total, 'abc')",
        "%a.select(%a).select(%a).select($this)",
    ],
)  # fmt: skip
def test_a_hostile_expression_is_ended(expression: str) -> None:
    started = time.monotonic()
    with pytest.raises(FhirError) as caught:
        evaluated(expression, NUMBERS)
    assert caught.value.status == 422
    assert time.monotonic() - started < 60, "it has 2 s"
