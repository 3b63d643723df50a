"""The objects of a resource, each with its type and its place: https://hl7.org/fhir/R4/datatypes.html"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from hie.fhir.facts import NAMES_KEPT
from hie.fhir.fhirpath import model

Json = dict[str, Any]


class Found(NamedTuple):
    """An object: an element that is no primitive, what stands beside a primitive (`Element`), or a resource."""

    type: str
    value: Json
    path: str
    resource: str
    """The path of the resource that it is of."""
    root: str
    """The path of that resource, or of the one that contains it."""


def objects(resource: Json) -> Iterator[Found]:
    """Give every object of a valid resource in the order in which they stand, those of contained resources, of a
    Bundle's entries and of parameters too.
    """
    name = str(resource["resourceType"])
    waiting = [Found(name, resource, name, name, name)]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(list(_below(one)))


def _below(one: Found) -> Iterator[Found]:
    forms = _forms(one.type)
    for key, value in one.value.items():
        form = forms.get(key)
        if form is None:
            continue
        kind, segment = form
        if type(value) is list:
            for index, item in enumerate(value):
                if type(item) is dict:
                    yield _found(one, kind, item, f"{one.path}.{segment}[{index}]", segment)
        elif type(value) is dict:
            yield _found(one, kind, value, f"{one.path}.{segment}", segment)


def _found(one: Found, kind: str, value: Json, path: str, segment: str) -> Found:
    if not model.is_resource(kind):
        return Found(kind, value, path, one.resource, one.root)
    return Found(str(value.get("resourceType")), value, path, path, one.root if segment == "contained" else path)


@lru_cache(maxsize=NAMES_KEPT)
def _forms(type_name: str) -> dict[str, tuple[str, str]]:
    """Give type and element of each JSON property of a type that may hold objects."""
    forms: dict[str, tuple[str, str]] = {}
    for child in model.children(type_name).values():
        for property_, kind in child.forms:
            if model.is_primitive(kind):
                forms["_" + property_] = ("Element", child.name)
            else:
                forms[property_] = (kind, child.name)
    return forms
