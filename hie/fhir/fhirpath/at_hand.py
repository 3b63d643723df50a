"""What references of a resource can mean without fetching anything: what it contains, and the entries of a Bundle.

https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

from typing import Any

from .parts import Frame

Json = dict[str, Any]


def found(text: str, frame: Frame) -> Json | None:
    """Return the resource that a reference means; None where it is not at hand."""
    root = frame.root_resource
    if type(root) is not dict:
        return None
    if text == "#":
        return root
    if frame.at_hand is None:
        frame.at_hand = _by_reference(root)
        if frame.watch is not None:
            frame.watch.spend(len(frame.at_hand))
    return frame.at_hand.get(text)


def _by_reference(root: Json) -> dict[str, Json]:
    """Return what is at hand by what references say; the first of several."""
    named: dict[str, Json] = {}
    for one in dicts(root.get("contained")):
        if isinstance(id_ := one.get("id"), str):
            named.setdefault(f"#{id_}", one)
    for entry in dicts(root.get("entry")):
        resource = entry.get("resource")
        if type(resource) is dict:
            for name in (entry.get("fullUrl"), f"{resource.get('resourceType')}/{resource.get('id')}"):
                if isinstance(name, str) and not name.startswith("#"):
                    named.setdefault(name, resource)
    return named


def dicts(value: Any) -> list[Json]:
    """Return the objects of a list."""
    return [one for one in value if type(one) is dict] if isinstance(value, list) else []
