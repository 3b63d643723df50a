"""Which compartments a resource belongs to: https://hl7.org/fhir/R4/compartmentdefinition.html"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from hie.fhir import facts
from hie.fhir.fhirpath.paths import routes
from hie.fhir.search_parameters import answering, extract, for_type
from hie.fhir.search_values import IndexValues, emitter
from hie.fhir.search_walk import Node, Walk

# Parameters that say whose record a resource is, where the definition of the Patient compartment names others beside
# them: performers, payees, authors. https://hl7.org/fhir/R4/compartmentdefinition-patient.html
_OWNERS = ("patient", "subject", "beneficiary", "individual")


def compartment_values(resource: dict[str, Any], base_url: str = "") -> list[tuple[str, str]]:
    """Give every (compartment, id) the resource belongs to: its own, and those its references put it in.

    An absolute reference counts where it lies below `base_url`, this server's own; else it is another server's.
    """
    type_name = resource.get("resourceType")
    if not isinstance(type_name, str) or type_name not in facts.RESOURCE_TYPES:
        return []
    found: list[tuple[str, str]] = []
    id_ = resource.get("id")
    if type_name in facts.COMPARTMENTS and isinstance(id_, str):
        found.append((type_name, id_))
    values = IndexValues(resource)
    _walk(type_name)(resource, values)
    for compartment, target, id_, url, *_ in values.references:
        if target == compartment and id_ is not None and _is_here(url, base_url, target, id_):
            found.append((compartment, id_))
    return list(dict.fromkeys(found))


def _is_here(url: str | None, base_url: str, type_name: str, id_: str) -> bool:
    if url is None:
        return True
    here = f"{base_url}/{type_name}/{id_}"
    return bool(base_url) and (url == here or url.startswith(f"{here}/_history/"))


def patient_of(resource: dict[str, Any], base_url: str = "") -> list[str]:
    """Give the ids of the patients in whose compartments the resource is."""
    return [id_ for compartment, id_ in compartment_values(resource, base_url) if compartment == "Patient"]


def single_patient(resource: dict[str, Any], base_url: str = "") -> str | None:
    """Give the one patient whose record this is; None for a resource of no patient or of several.

    A Patient's own id, else what `patient`, `subject` or the like says. Only where no such parameter exists do the
    others of the Patient compartment decide, so that a patient who paid or performed for another does not own it.
    """
    return single_patient_of(extract(resource), base_url)


def single_patient_of(values: IndexValues, base_url: str = "") -> str | None:
    """Give the same from what a resource is found by."""
    type_name = values.root.get("resourceType")
    if type_name == "Patient":
        id_ = values.root.get("id")
        return id_ if isinstance(id_, str) else None
    if not isinstance(type_name, str) or type_name not in facts.RESOURCE_TYPES:
        return None
    owners = _owners(type_name)
    found = {
        id_ for code, target, id_, url, *_ in values.references
        if target == "Patient" and code in owners and id_ is not None and _is_here(url, base_url, target, id_)
    }  # fmt: skip
    return found.pop() if len(found) == 1 else None


@cache
def members(compartment: str) -> dict[str, tuple[str, ...]]:
    """Give the resource types of a compartment with the parameters that put a resource in it."""
    rows = facts.COMPARTMENTS[compartment]
    return {name: tuple(code for code in codes if code in for_type(name)) for name, codes in rows.items()}


@cache
def _walk(type_name: str) -> Walk:
    root = Node()
    for compartment in facts.COMPARTMENTS:
        for code in members(compartment).get(type_name, ()):
            _add(root, type_name, code, compartment)
    return root.compiled()


@cache
def _owners(type_name: str) -> frozenset[str]:
    """Give the indexed parameters whose references say whose record a resource of the type is."""
    codes = members("Patient").get(type_name, ())
    parameters = for_type(type_name)
    wanted = tuple(code for code in codes if code in _OWNERS) or codes
    return frozenset(base for code in wanted for base in answering(parameters, code))


def _add(root: Node, type_name: str, code: str, name: str) -> None:
    emit: Callable[[Any, IndexValues], None] | None = emitter("reference", "Reference", name)
    expression = for_type(type_name)[code].expression
    if emit is None or expression is None:
        return
    for route in routes(expression, type_name) or ():
        if route.type == "Reference":
            root.add(route.hops, emit)
