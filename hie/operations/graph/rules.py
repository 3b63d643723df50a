"""Compartment rules of a GraphDefinition: https://hl7.org/fhir/R4/valueset-graph-compartment-rule.html

What is in no compartment of the kind is nobody else's: an Organization is consistent with any patient.
"""

from __future__ import annotations

from collections.abc import Iterable

from hie.fhir import compartments, references
from hie.fhir.graph_definitions import Rule
from hie.operations.graph.reading import Node, Reading
from hie.store.search.reference import relative


def broken(rules: Iterable[Rule], source: Node, node: Node, reading: Reading) -> Rule | None:
    """Return the first requirement that a relation breaks, where all conditions hold; None: it is as it has to be."""
    rows = list(rules)
    if not all(_holds(one, source, node, reading) for one in rows if one.use == "condition"):
        return None
    wanted = (one for one in rows if one.use == "requirement")
    return next((one for one in wanted if not _holds(one, source, node, reading)), None)


def _holds(rule: Rule, source: Node, node: Node, reading: Reading) -> bool:
    if rule.expression is not None:
        return reading.holds(rule.expression, source, node, f"{rule.place}.expression")
    theirs, own = _compartments(source, rule, reading), _compartments(node, rule, reading)
    if rule.kind == "different":
        return theirs.isdisjoint(own)
    if not theirs or not own or not theirs.isdisjoint(own):
        return True
    return rule.kind == "matching" and rule.compartment == "Patient" and _are_linked(theirs, own, reading)


def _compartments(node: Node, rule: Rule, reading: Reading) -> set[str]:
    """Return the ids of the compartments that a resource is in; a contained one is where its container is."""
    found = compartments.compartment_values(node.root, reading.ctx.store.base_url)
    return {id_ for kind, id_ in found if kind == rule.compartment}


def _are_linked(some: set[str], others: set[str], reading: Reading) -> bool:
    """Tell whether Patients are one person by what their link says, as far as the token sees them."""
    return any(
        (one in some and to in others) or (one in others and to in some)
        for patient in reading.visible(("Patient", id_) for id_ in sorted(some | others))
        for one in [str(patient.resource["id"])]
        for to in _linked(patient, reading)
    )


def _linked(patient: Node, reading: Reading) -> Iterable[str]:
    for row in patient.resource.get("link", ()):
        text = row.get("other", {}).get("reference")
        if isinstance(text, str):
            to = references.parse(relative(text, reading.ctx.store.base_url))
            if to.kind == "relative" and to.type == "Patient" and to.id is not None:
                yield to.id
