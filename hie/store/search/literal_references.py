"""The texts of a resource's references, wherever in it they stand: https://hl7.org/fhir/R4/references.html#literal"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hie.store.search import reference

#: References inside these mean their own entries: https://hl7.org/fhir/R4/bundle.html#references
SELF_CONTAINED = frozenset({"Bundle", "Parameters"})
_DUMPED = b'"reference":"'


def literal_references(
    resource: dict[str, Any], dumped: bytes, said: set[str] | None, base_url: str
) -> frozenset[str]:
    """Return the distinct texts of what is named `reference` below the root: of References, and of two rare uris."""
    if resource["resourceType"] in SELF_CONTAINED:
        return frozenset()
    found: set[str] | None = None
    if "reference" not in resource:
        found = said if said is not None else _dumped_references(dumped)
    if found is None:
        found = _walked_references(resource)
    return frozenset(reference.relative(text, base_url) for text in found) if base_url else frozenset(found)


def _dumped_references(dumped: bytes) -> set[str] | None:
    """Find them in what was dumped; None where only the resource itself can tell.

    Inside of a string a quotation mark has a backslash before it: what is found is a property, and its text goes on to
    the next mark. Where there are backslashes after all, in a name or a text, somebody else must look.
    """
    _, *found = dumped.split(_DUMPED)
    texts = {part[: part.index(b'"')] for part in found}
    if b"\\" in dumped and (b"\\" + _DUMPED in dumped or any(b"\\" in text for text in texts)):
        return None
    return {text.decode() for text in texts} if dumped else None


def _walked_references(resource: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    stack: list[Iterable[Any]] = [resource.values()]
    while stack:
        for value in stack.pop():
            kind = type(value)
            if kind is dict:
                text = value.get("reference")
                if type(text) is str:
                    found.add(text)
                stack.append(value.values())
            elif kind is list:
                stack.append(value)
    return found
