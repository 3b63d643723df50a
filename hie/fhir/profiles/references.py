"""Whether a reference points at what a profile allows: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.type.targetProfile"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
