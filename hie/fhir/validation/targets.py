"""Where a Reference may point: https://hl7.org/fhir/R4/references.html#literal"""

from __future__ import annotations

import re
from typing import Any

from hie.fhir import facts
from hie.fhir.primitives import primitive, shown
from hie.fhir.validation.issue import Check, Problem, below, error
from hie.fhir.validation.scope import Scope

_ID = r"[A-Za-z0-9\-.]{1,64}"
_is_id = re.compile(_ID).fullmatch
_is_uuid = primitive("uuid").test
_RELATIVE = re.compile(rf"([A-Za-z]+)/{_ID}(?:/_history/{_ID})?")
_CONDITIONAL = re.compile(r"([A-Za-z]+)\?.+")
_REST_URL = re.compile(rf"https?://\S+/([A-Za-z]+)/{_ID}(?:/_history/{_ID})?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")


def reference_check(structure: Check, targets: tuple[str, ...]) -> Check:
    """Add to the check of a Reference's structure that it points at one of the types allowed here."""
    allowed = frozenset() if "Resource" in targets else frozenset(targets)
    likely = allowed or facts.RESOURCE_TYPES
    is_string = primitive("string").test

    def check(value: Any, parent: Any, scope: Scope) -> list[Problem] | None:
        # Most references are nothing but Type/id or urn:uuid:…, some with a display: these need no further look.
        if type(value) is dict and type(text := value.get("reference")) is str:
            others = len(value) - 1
            if others == 0 or (others == 1 and type(display := value.get("display")) is str and is_string(display)):
                type_name, _, id_ = text.partition("/")
                if type_name in likely and _is_id(id_):
                    return None
                if _is_uuid(text) and (scope.bundle is None or scope.bundle.type_of(text) in likely):
                    return None
        found = structure(value, parent, scope)
        if found:
            return found
        return _problem(value, value.get("reference"), allowed, scope)

    return check


def _problem(value: dict[str, Any], text: str | None, allowed: frozenset[str], scope: Scope) -> list[Problem] | None:
    target = None
    if text is not None:
        target, wrong = _target(text, scope)
        if wrong is not None:
            return below(".reference", wrong)
    declared = value.get("type", "").removeprefix("http://hl7.org/fhir/StructureDefinition/")
    if declared and declared not in facts.RESOURCE_TYPES:
        declared = ""  # a logical model's URL: https://hl7.org/fhir/R4/references-definitions.html#Reference.type
    if target and declared and target != declared:
        return error("value", f"type says {declared}, the reference points at {target}.", ".type")
    pointed = target or declared
    if allowed and pointed and pointed not in allowed:
        names = ", ".join(sorted(allowed))
        return error("value", f"points at {pointed}; allowed here: {names}.", ".reference" if target else ".type")
    return None


def _target(text: str, scope: Scope) -> tuple[str | None, list[Problem] | None]:
    """Say the type a literal reference points at, as far as it can be known, or what is wrong with the reference."""
    if text.startswith("urn:") and _ABSOLUTE.fullmatch(text):
        return (scope.bundle.type_of(text) if scope.bundle else None), None
    if text.startswith("#"):
        return _local(text, scope)
    if match := _RELATIVE.fullmatch(text) or _CONDITIONAL.fullmatch(text):
        if match[1] not in facts.RESOURCE_TYPES:
            return None, error("value", f"{match[1][:64]} is not a resource type of FHIR R4.")
        return match[1], None
    if match := _REST_URL.fullmatch(text):
        in_bundle = scope.bundle.type_of(text) if scope.bundle else None
        return in_bundle or (match[1] if match[1] in facts.RESOURCE_TYPES else None), None
    if _ABSOLUTE.fullmatch(text):
        return (scope.bundle.type_of(text) if scope.bundle else None), None
    return None, error("value", f"{shown(text)} is no reference: Type/id, an absolute URL, urn:…, #id or "
                          "Type?criteria is expected.")


def _local(text: str, scope: Scope) -> tuple[str | None, list[Problem] | None]:
    scope.local.add(text)
    if text == "#":
        return scope.root.get("resourceType"), None
    type_name = scope.contained_type(text[1:])
    if type_name is None and scope.invariants and scope.is_whole:
        return None, error("not-found", f"{shown(text)} names no contained resource of this resource (ref-1).")
    return type_name or None, None
