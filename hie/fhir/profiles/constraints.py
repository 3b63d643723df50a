"""The invariants that profiles add: https://hl7.org/fhir/R4/conformance-rules.html#constraints"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hie.fhir import facts, fhirpath
from hie.fhir.fhirpath.errors import FhirPathLimit
from hie.fhir.validation.issue import Severity

from .library import Definition
from .place import Place
from .tree import Node

if TYPE_CHECKING:
    from .checking import Check

Json = dict[str, Any]

_R4 = "http://hl7.org/fhir/StructureDefinition/"


def check(check: Check, node: Node, place: Place, owner: Definition, but: Node | None = None) -> None:
    """Evaluate the invariants of an element, `but` for those of another one; R4's own have been asked already."""
    rows: list[Json] = node.kept("constraints", _of)
    if but is not None:
        known: list[Json] = but.kept("constraints", _of)
        rows = [one for one in rows if one not in known]
    if not rows or (place.value is None and not place.item.extra):
        return
    focus = place.value if type(place.value) is dict else place.item
    for row in rows:
        check.count()
        holds = _holds(check, node, row, focus, place, owner)
        if holds is False:
            severity: Severity = "error" if row.get("severity") == "error" else "warning"
            text = f"{str(row.get('human', row['key'])).rstrip('.')} ({row['key']})."
            check.tell(severity, "invariant", text, place.path)


def _holds(check: Check, node: Node, row: Json, focus: Any, place: Place, owner: Definition) -> bool | None:
    watch = check.watch if owner.is_stored else None
    try:
        return node.compiled(str(row["expression"]), place.type).holds(
            focus, resource=place.around.resource, root_resource=place.around.root, watch=watch,
            conforms=lambda item, canonical: check.conforms_to(item, canonical, place.around),
            members=lambda url, system, code: check.in_value_set(url, system, code, owner))
    except fhirpath.FhirPathError as error:
        check.is_cut |= isinstance(error, FhirPathLimit)
        check.tell("information", "informational", f"{row['key']} could not be evaluated: {error}", place.path)
        return None


def _of(node: Node) -> list[Json]:
    rows = node.definition.get("constraint", ())
    return [one for one in rows if isinstance(one, dict) and "expression" in one and _is_added(one)]


def _is_added(row: Json) -> bool:
    """Tell a profile's own invariant from R4's; one that has the key of R4's by chance names another source."""
    return str(row.get("key")) not in _of_r4() or not str(row.get("source", _R4)).startswith(_R4)


@cache
def _of_r4() -> frozenset[str]:
    return frozenset(key for rows in facts.load()["invariants"].values() for key in rows)
