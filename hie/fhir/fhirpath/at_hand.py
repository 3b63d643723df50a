"""What references of a resource can mean without fetching anything: what it contains, and the entries of a Bundle.

https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .parts import Frame

Json = dict[str, Any]


def found(text: str, frame: Frame, reference: Json | None = None) -> Json | None:
    """Return the resource that a reference means, of which the text is known alone or the whole; None where it is not
    at hand.
    """
    root = frame.root_resource
    if type(root) is not dict:
        return None
    if text.startswith("#") and "entry" in root and "contained" not in root:
        return _inside_an_entry(text, root, frame, reference)
    if text == "#":
        return root
    if frame.at_hand is None:
        frame.at_hand = _by_reference(root)
        if frame.watch is not None:
            frame.watch.spend(len(frame.at_hand))
    return frame.at_hand.get(text)


def _inside_an_entry(text: str, root: Json, frame: Frame, reference: Json | None) -> Json | None:
    """Return what `#id` means in the entry that has this very reference; of a text alone, in the first that has it."""
    if frame.holders is None:
        rows = [one for entry in dicts(root.get("entry")) if type(one := entry.get("resource")) is dict]
        frame.holders = {id(held): one for one in rows for held in _references(one)}
        frame.entries, frame.inside = rows, {}
        if frame.watch is not None:
            frame.watch.spend(len(frame.holders) + len(rows))
    holder = frame.holders.get(id(reference))
    if text == "#":
        return holder if holder is not None else next(iter(frame.entries), None)
    key = id(holder)  # of None for all of them: what is named first stands
    if key not in frame.inside:
        held = frame.entries if holder is None else (holder,)
        contained = [one for each in held for one in dicts(each.get("contained"))]
        frame.inside[key] = _by_reference({"contained": contained})
        if frame.watch is not None:
            frame.watch.spend(len(contained))
    return frame.inside[key].get(text)


def _references(value: Any) -> Iterator[Json]:
    """Give every object with a local reference."""
    if type(value) is dict:
        if type(text := value.get("reference")) is str and text.startswith("#"):
            yield value
        for one in value.values():
            yield from _references(one)
    elif type(value) is list:
        for one in value:
            yield from _references(one)


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
