"""What makes Bundles, Parameters and definitions mean something else than they say; nobody may act by it unknown.

What is stored keeps its modifiers: who reads it has to know them. https://hl7.org/fhir/R4/extensibility.html#modifierExtension
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from hie.errors import InvalidResource, OutcomeIssue, Unprocessable
from hie.fhir.primitives import shown

#: The elements below each that are carried out: no resources and no values.
_BELOW: dict[str, tuple[str, ...]] = {
    "Bundle": ("link", "entry"), "entry": ("link", "search", "request", "response"),
    "Parameters": ("parameter",), "parameter": ("part",), "part": ("part",),
    "SearchParameter": ("component",), "GraphDefinition": ("link",), "link": ("target",),
    "target": ("compartment", "link"), "Group": ("member", "characteristic"),
}  # fmt: skip


_MODIFIER = "modifierExtension"


def has(row: dict[str, Any]) -> bool:
    """Tell whether a resource, or an element, has rules or modifiers of its own."""
    return _MODIFIER in row or "implicitRules" in row


def refuse(resource: dict[str, Any]) -> None:
    """Refuse to carry out a Bundle or Parameters by rules, or with modifiers, that are not known here: all are."""
    issues = list(islice(_issues(resource), 100))
    if issues:
        raise InvalidResource(issues[0].diagnostics, issues=issues)


def refuse_definition(resource: dict[str, Any]) -> None:
    """Refuse to act by a definition that has such."""
    for one in _issues(resource):
        raise Unprocessable(one.diagnostics, expression=one.expression)


def _issues(resource: dict[str, Any]) -> Iterator[OutcomeIssue]:
    type_ = str(resource["resourceType"])
    if "implicitRules" in resource:
        text = (f"What it means by the rules {shown(resource['implicitRules'])} is not known here; "
                "send it without implicitRules if it means what it says.")
        yield OutcomeIssue("not-supported", text, f"{type_}.implicitRules")
    yield from _modifiers(resource, type_, type_)


def of_value_set(resource: dict[str, Any]) -> bool:
    """Tell whether rules or modifiers may change what codes a valid ValueSet has."""
    compose = resource.get("compose", {})
    parts = [*compose.get("include", ()), *compose.get("exclude", ())]
    rows = (resource, compose, resource.get("expansion", {}), *parts)
    if "implicitRules" in resource or any(_MODIFIER in one for one in rows):
        return True
    return any(_MODIFIER in row for part in parts for name in ("concept", "filter") for row in part.get(name, ()))


def _modifiers(value: Any, name: str, path: str) -> Iterator[OutcomeIssue]:
    if not isinstance(value, dict):
        return
    if _MODIFIER in value:
        text = (f"What the modifier extension {shown(_url(value[_MODIFIER]))} makes of it is not known here, "
                "so it is not carried out.")
        yield OutcomeIssue("extension", text, f"{path}.{_MODIFIER}")
    for below in _BELOW.get(name, ()):
        found = value.get(below)
        if isinstance(found, list):
            for index, one in enumerate(found):
                yield from _modifiers(one, below, f"{path}.{below}[{index}]")
        elif found is not None:
            yield from _modifiers(found, below, f"{path}.{below}")


def _url(extensions: Any) -> str:
    first = extensions[0] if isinstance(extensions, list) and extensions else None
    return str(first.get("url", "")) if isinstance(first, dict) else ""
