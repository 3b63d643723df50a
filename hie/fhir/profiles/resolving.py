"""What a reference points at, as far as it lies at hand: https://hl7.org/fhir/R4/references.html#literal"""

from __future__ import annotations

from hie.fhir.references import target_type

from .place import Around, Place, around, of_resource


def resolved(place: Place) -> Place | None:
    """Find the resource that a Reference (or canonical) names: contained, or an entry of the Bundle; else None."""
    value = place.value
    text = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(text, str):
        return None
    if text.startswith("#"):
        return _contained(text, place.around)
    entries = place.around.entries
    found = entries.find(text.partition("/_history/")[0], place.around.root) if entries is not None else None
    if entries is None or found is None:
        return None
    index, resource = found
    return of_resource(resource, around(resource, entries), f"Bundle.entry[{index}].resource")


def pointed_type(place: Place) -> str | None:
    """Tell the type a Reference points at; None where it does not say."""
    target = resolved(place)
    if target is not None:
        return target.type
    value = place.value
    return target_type(value) if isinstance(value, dict) else None


def _contained(text: str, inside: Around) -> Place | None:
    root = inside.root
    if not isinstance(root, dict):
        return None
    if text == "#":
        return of_resource(root, inside._replace(resource=root))
    found = inside.contained.find(text[1:])
    if found is None:
        return None
    index, resource = found
    path = f"{root.get('resourceType')}.contained[{index}]"
    return of_resource(resource, inside._replace(resource=resource), path)
