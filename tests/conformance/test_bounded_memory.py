"""Names that clients make up are not remembered without bound: a process would grow until it ends."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])


def unbounded() -> dict[str, int]:
    """How much each of the server's caches without a bound holds."""
    gc.unfreeze()  # what a server has when it begins, its collector is not to look at again
    kind = functools._lru_cache_wrapper
    found = [one for one in gc.get_objects() if isinstance(one, kind) and one.__module__.startswith("hie.")]
    caches = [one for one in found if one.cache_info().maxsize is None]
    sizes = {f"{one.__module__}.{one.__qualname__}": one.cache_info().currsize for one in caches}
    assert {"hie.fhir.facts.load", "hie.fhir.facts.elements", "hie.fhir.compartments.members"} <= sizes.keys()
    return sizes


def fhirpath(expression: str) -> tuple[str, str, dict[str, Any]]:
    resource = {"resourceType": "Patient", "contained": [{"resourceType": "Patient", "id": "a"}], "active": True}
    given = [{"name": "expression", "valueString": expression}, {"name": "resource", "resource": resource}]
    return "POST", "$fhirpath", {"resourceType": "Parameters", "parameter": given}


def requests(name: str) -> Iterator[tuple[str, str, Any]]:
    """What mentions a type, an element, a value set, a parameter, an operation and a route that do not exist."""
    for expression in (f"Patient.{name}", f"contained.{name}", f"descendants().{name}", f"Patient is {name}",
                       f"contained.ofType({name})", f"active.as(FHIR.{name})", f"active.{name}()",
                       f"active.memberOf('urn:{name}')",
                       f"conformsTo('http://hl7.org/fhir/StructureDefinition/{name}')"):  # fmt: skip
        yield fhirpath(expression)
    nonsense: dict[str, Any] = {"resourceType": name, "id": "a", name: [{name: 1}]}
    yield "POST", "Patient/$validate", nonsense
    yield "POST", "Patient/$validate", {
        "resourceType": "Patient", "contained": [nonsense], name: 1, "name": [{name: [{name: 1}]}],
        "extension": [{"url": name, f"value{name}": 1}], "meta": {"profile": [f"urn:{name}"]}, "birthDate": name,
    }  # fmt: skip
    yield "POST", "StructureDefinition/$validate", {
        "resourceType": "StructureDefinition", "url": f"urn:{name}", "name": name, "status": "draft", "abstract": False,
        "kind": "resource", "type": name, "baseDefinition": f"urn:{name}", "derivation": "constraint",
        "differential": {"element": [{"id": name, "path": name, "type": [{"code": name, "profile": [name]}],
                                      "binding": {"strength": "required", "valueSet": f"urn:{name}"}}]},
    }  # fmt: skip
    for query in (f"{name}=1", f"name:{name}=1", f"_has:{name}:patient:{name}=1", f"organization:{name}.{name}=1",
                  f"_include={name}:{name}", f"_sort={name}", f"_elements={name}", f"_filter={name}%20eq%20{name}",
                  f"gender:in=urn:{name}", f"_type={name}", f"identifier=urn:{name}%7C{name}"):  # fmt: skip
        yield "GET", f"Patient?{query}", None
    yield "GET", f"{name}/1", None
    yield "GET", f"Patient/1/{name}", None
    yield "POST", f"Patient/${name}", {"resourceType": "Parameters"}
    yield "GET", f"ValueSet/$expand?url=urn:{name}", None
    yield "GET", f"CodeSystem/$validate-code?url=urn:{name}&code={name}", None
    yield "GET", f"$graphql?query=%7B{name}List%7B{name}%7D%7D", None
    yield "GET", f"$graphql?query=%7BPatientList%7B{name}%7D%7D", None


def test_no_cache_without_bound_grows_by_names_that_clients_make_up(fhir: Any) -> None:
    def ask(number: int) -> None:
        for method, url, body in requests(f"Zz{number}q"):
            assert fhir(method, url, body).status < 500, url

    ask(0)
    before = unbounded()
    for number in range(1, 4):
        ask(number)
    grown = {name: size - before.get(name, 0) for name, size in unbounded().items() if size != before.get(name, 0)}
    assert grown == {}
