"""Every route that /openapi.json describes, with bodies and parameters of its own kind: no 5xx, on both databases.

test_wire_fuzz.py attacks what is known by name; a route that is added is attacked here without anybody thinking of it.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hie.registry import Operation, built_in
from hie.web.openapi import document
from tests.property.caught import Target, target
from tests.property.thrown import EXAMPLES, JSON, RESOURCES, TEXTS, TYPES, anything, mutated
from tests.property.thrown_requests import searches

__all__ = ["target"]

DOCUMENT: dict[str, dict[str, Any]] = document(built_in())["paths"]
ROUTES = [(path, method.upper()) for path, methods in DOCUMENT.items() for method in methods]
OPERATIONS: dict[str, list[Operation]] = {}
for _one in built_in().operations:
    OPERATIONS.setdefault(_one.code, []).append(_one)
#: What stands in the store, and what does not.
IDS = st.one_of(st.sampled_from(["a", "p", "m", "nobody"]), TEXTS)
TERMS = st.one_of(
    TEXTS, st.integers(-2, 10**12).map(str),
    st.sampled_from([
        "http://hl7.org/fhir/ValueSet/observation-status", "http://hl7.org/fhir/observation-status", "final", "true",
        "Patient/a", "Patient.name", "{ Patient(id: a) { id } }", "{ PatientList { name { family } } }", "2024-01-01",
        "P1D", "average,maximum", "http://loinc.org|8867-4", "Observation?code=x",
    ]),
)  # fmt: skip
PATCHES = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace", "remove", "move", "copy", "test", "x"]),
         "path": st.one_of(st.sampled_from(["/name/0/family", "/name/-", "/active", "/id", "/meta/tag", ""]), TEXTS)},
        optional={"value": JSON, "from": TEXTS},
    ),
    max_size=3,
)  # fmt: skip
CHANGES = st.lists(
    st.fixed_dictionaries({
        "type": st.sampled_from(["add", "insert", "delete", "replace", "move", "x"]), "name": TEXTS,
        "path": st.one_of(st.sampled_from(["Patient", "Patient.name", "Patient.active", ""]), TEXTS),
        "index": st.integers(-1, 3), "value": JSON,
    }),
    max_size=3,
)  # fmt: skip


def _as_described(path: str, address: str) -> bool:
    """Tell whether an address is what its route describes, with no tricks in its parts."""
    return re.fullmatch(re.sub(r"\\{\w+\\}", "[A-Za-z0-9-]{1,64}", re.escape(path)), address) is not None


def _parameters(operation: Operation, draw: st.DrawFn) -> list[tuple[str, str]]:
    names = [one.name for one in operation.parameters] or ["code", "_count", "subject"]
    return draw(st.lists(st.tuples(st.sampled_from([*names, "x"]), TERMS), max_size=4))


def _fhir_patch(changes: list[dict[str, Any]]) -> dict[str, Any]:
    """Write FHIRPath Patch operations, each part with a value of some type."""
    rows = []
    for change in changes:
        parts: list[dict[str, Any]] = [{"name": name, "valueString": change[name]} for name in ("path", "name")]
        parts += [{"name": "type", "valueCode": change["type"]}, {"name": "index", "valueInteger": change["index"]},
                  {"name": "value", "valueString": change["value"]}]  # fmt: skip
        rows.append({"name": "operation", "part": parts})
    return {"resourceType": "Parameters", "parameter": rows}


@st.composite
def requests(draw: st.DrawFn, path: str, method: str) -> tuple[str, str, dict[str, str], bytes]:
    """A request of one route: address, query, headers, body."""
    described = DOCUMENT[path][method.lower()]
    type_name = draw(st.sampled_from(["Patient", "Observation", "ValueSet", *TYPES]))
    address = path.replace("{type}", type_name).replace("{compartment}", draw(st.sampled_from(["Patient", "Device"])))
    while "{" in address:
        before, _, after = address.partition("{")
        address = before + (draw(IDS) or "a").replace("{", "") + after.partition("}")[2]
    code = address.partition("$")[2]
    operation = draw(st.sampled_from(OPERATIONS[code])) if code in OPERATIONS else None
    pairs = _parameters(operation, draw) if operation else []
    query = draw(searches(type_name)) if draw(st.booleans()) and not operation else urlencode(pairs, errors="replace")
    content_types = [*described.get("requestBody", {}).get("content", {"application/fhir+json": {}})]
    content_type = draw(st.sampled_from(content_types))
    headers = {"Content-Type": content_type, "Accept": draw(st.sampled_from(["*/*", "application/fhir+xml"]))}
    if draw(st.integers(0, 5)) == 0:
        headers["Prefer"] = draw(st.sampled_from(["respond-async", "return=OperationOutcome", "handling=lenient"]))
    if method == "GET":
        return address, query, headers, b""
    body = draw(_body(content_type, method, operation, pairs))
    return address, draw(st.sampled_from(["", query])), headers, body


@st.composite
def _body(draw: st.DrawFn, content_type: str, method: str, operation: Operation | None, pairs: Any) -> bytes:
    if content_type == "application/x-www-form-urlencoded":
        return draw(searches("Patient")).encode("utf-8", "replace")
    resource = mutated(draw, draw(st.sampled_from(RESOURCES)))
    if "json-patch" in content_type:
        return json.dumps(draw(PATCHES)).encode()
    if method == "PATCH" and draw(st.booleans()):
        return json.dumps(_fhir_patch(draw(CHANGES))).encode()
    if operation and draw(st.integers(0, 3)):
        kind = st.sampled_from(["valueString", "valueCode", "valueUri", "valueInteger", "valueDate", "valueCoding"])
        rows = [{"name": name, draw(kind): draw(st.one_of(st.just(value), JSON))} for name, value in pairs]
        rows += [{"name": draw(st.sampled_from(["resource", "meta", "valueSet"])), "resource": resource}]
        return json.dumps({"resourceType": "Parameters", "parameter": rows}).encode()
    return json.dumps(draw(st.one_of(st.just(resource), JSON))).encode()


def test_every_route_of_the_document(target: Target) -> None:
    @examples(anything, max_examples=max(3, EXAMPLES // 50))
    @given(st.data())
    def attack(path: str, method: str, data: st.DataObject) -> None:
        address, query, headers, body = data.draw(requests(path, method))
        answer = target(method, address, query, headers, body)
        if _as_described(path, address) and "Prefer" not in headers:
            assert str(answer.status_code) in DOCUMENT[path][method.lower()]["responses"], (path, method, answer.data)

    for path, method in ROUTES:
        attack(path, method)
