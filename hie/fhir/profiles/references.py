"""Whether a reference points at what a profile allows: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.type.targetProfile"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .library import Definition
from .place import Place
from .resolving import pointed_type, resolved

if TYPE_CHECKING:
    from .checking import Check


def check(check: Check, place: Place, profiles: list[str], owner: Definition) -> None:
    """Check the type of a reference's target, and the target itself where it lies at hand."""
    pointed = pointed_type(place)
    if not profiles or pointed is None:
        return
    wanted = {one: check.type_behind(one, owner) for one in profiles}
    if None in wanted.values():
        return  # a profile that is not installed: its type is not known
    if pointed not in wanted.values() and not {"Resource", "DomainResource"} & set(wanted.values()):
        names = ", ".join(sorted({str(one) for one in wanted.values()}))
        check.tell("error", "value", f"It points at {pointed}; allowed here: {names}.", place.path)
        return
    target = resolved(place)
    if target is not None and check.has_profile(target, profiles, owner) is False:
        check.tell("error", "value", f"{target.path} conforms to none of {', '.join(profiles)}.", place.path)


def check_kind(check: Check, place: Place, types: list[dict[str, Any]]) -> None:
    """Check that a reference is contained, bundled or neither, and of a version or not, as a profile allows.

    https://hl7.org/fhir/R4/valueset-resource-aggregation-mode.html
    """
    value = place.value
    text = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(text, str):
        return
    allowed = [set(row["aggregation"]) for row in types if isinstance(row.get("aggregation"), list)]
    kinds, found = _kinds(text, place)
    if len(allowed) == len(types) and not any(kinds & one for one in allowed):
        names = ", ".join(sorted(set().union(*allowed)))
        check.tell("error", "value", f"It points at {found}; allowed here: {names}.", place.path)
    versioned = {row.get("versioning", "either") for row in types}
    if text.startswith("#") or len(versioned) != 1:
        return
    if versioned == {"specific"} and "/_history/" not in text:
        check.tell("error", "value", "The reference has to name a version of its target.", place.path)
    elif versioned == {"independent"} and "/_history/" in text:
        check.tell("error", "value", "The reference must not name a version of its target.", place.path)


def _kinds(text: str, place: Place) -> tuple[set[str], str]:
    """Tell how a reference may lead to its target, as codes and in words."""
    if text.startswith("#"):
        return {"contained"}, "what is contained"
    if resolved(place) is not None:
        return {"bundled", "referenced"}, "what is in the same Bundle"
    if place.around.entries is not None:
        return {"referenced"}, "what is not in the Bundle"
    return {"bundled", "referenced"}, "what is not contained"
