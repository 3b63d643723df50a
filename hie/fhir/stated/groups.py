"""Whom a Group may have: https://hl7.org/fhir/R4/group-definitions.html#Group.type"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.fhir import references
from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Problem

_MEMBERS = {
    "person": frozenset({"Patient"}), "animal": frozenset({"Patient"}), "device": frozenset({"Device"}),
    "practitioner": frozenset({"Practitioner", "PractitionerRole"}), "medication": frozenset({"Medication"}),
    "substance": frozenset({"Substance"}),
}  # fmt: skip


def of(group: dict[str, Any]) -> Iterator[Problem]:
    """Give the members that are not of the group's type; what a group in it has is that one's to say."""
    allowed = _MEMBERS.get(str(group.get("type")))
    if allowed is None:
        return
    for index, member in enumerate(group.get("member", ())):
        reference = member.get("entity", {}).get("reference")
        named = references.parse(reference).type if isinstance(reference, str) else None
        if named is not None and named != "Group" and named not in allowed:
            text = f"A {named} is found; a group of the type {shown(group['type'])} has {' or '.join(sorted(allowed))}."
            yield f".member[{index}].entity", "error", "value", text
