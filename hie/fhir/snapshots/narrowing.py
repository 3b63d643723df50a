"""What a differential may say of an element: less than its base allows, never more.

https://hl7.org/fhir/R4/profiling.html#5.1.0.1
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.fhir import facts

Json = dict[str, Any]

_FHIRPATH = "http://hl7.org/fhirpath/"
_RESOURCES, _ANYTHING = frozenset({"Resource", "DomainResource"}), frozenset({"Element", "*"})
_VALUES = ("fixed", "pattern")
#: What is written as these is an amount, and as those a text.
_ALIKE = (frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity"}),
          frozenset({"string", "code", "id", "markdown"}),
          frozenset({"uri", "url", "canonical", "oid", "uuid"}),
          frozenset({"integer", "positiveInt", "unsignedInt"}))  # fmt: skip


def misfits(before: Json, said: Json, *, is_slice: bool) -> Iterator[str]:
    """Say what of it the base does not allow."""
    yield from _cardinality(before, said, is_slice)
    yield from _constraints(before, said)
    if said.get("mustSupport") is False and before.get("mustSupport") is True and not is_slice:
        yield "mustSupport is false, and the base's true; it stays."
    yield from _types(before, said)
    yield from _values(before, said)


def _cardinality(before: Json, said: Json, is_slice: bool) -> Iterator[str]:
    most = number(said["max"]) if "max" in said else 0
    if most is None:
        yield f"max is {said['max']!r:.80}; it has to be a number or *."
    elif most > (number(before.get("max", "*")) or 0):
        yield f"max is {said['max']}, more than the base's {before.get('max')}."
    if not is_slice and said.get("min", before.get("min", 0)) < before.get("min", 0):
        yield f"min is {said['min']}, less than the base's {before.get('min')}."
    least = int(said.get("min", 0 if is_slice else before.get("min", 0)) or 0)
    top = str(said.get("max", before.get("max", "*")))
    highest = number(top)
    if highest is not None and least > highest and ("min" in said or "max" in said):
        yield f"min is {least}, more than max, {top}."


def _constraints(before: Json, said: Json) -> Iterator[str]:
    """Refuse an invariant under the key of another one of the base, which alone would be there."""
    known = {one.get("key"): one for one in before.get("constraint", [])}
    for one in said.get("constraint", []):
        other = known.get(one.get("key"))
        if other is not None and all(one.get(name) != other.get(name) for name in ("expression", "human")):
            yield (f"the constraint {str(one.get('key'))[:64]} is the base's, of which it says: "
                   f"{str(other.get('human'))[:200]} Another one needs a key of its own.")


def _types(before: Json, said: Json) -> Iterator[str]:
    allowed = {str(one.get("code")) for one in before.get("type", [])}
    if not allowed or any(one.startswith(_FHIRPATH) for one in allowed):
        return  # R4's own profiles write the type of Extension.url, a string of FHIRPath, as uri
    for code in (str(one.get("code")) for one in said.get("type", [])):
        is_resource = code in facts.RESOURCE_TYPES or code in _RESOURCES
        if code in allowed or (is_resource and allowed & _RESOURCES) or (not is_resource and allowed & _ANYTHING):
            continue
        yield f"the type {code[:80]} is none of the base's."


def _values(before: Json, said: Json) -> Iterator[str]:
    """Refuse a value of a type that the element cannot have."""
    codes = {str(one.get("code")) for one in said.get("type") or before.get("type", [])}
    if not codes or codes & _ANYTHING or any(one.startswith(_FHIRPATH) for one in codes):
        return
    for name in said:
        kind = next((one for one in _VALUES if name.startswith(one)), "")
        given = name.removeprefix(kind)
        if not kind or not given[:1].isupper():
            continue
        meant = {given, given[:1].lower() + given[1:]}
        if not meant & codes and not any(meant & alike and codes & alike for alike in _ALIKE):
            yield f"{name[:80]} is none of its types ({', '.join(sorted(codes))[:200]})."


def number(most: str) -> float | None:
    """Read a max; None where it is none."""
    if most == "*":
        return float("inf")
    return int(most) if most.isascii() and most.isdecimal() and len(most) < 10 else None
