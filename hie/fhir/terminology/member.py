"""One code of a value set, and those that a value set carries: https://hl7.org/fhir/R4/valueset.html#expansion"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hie.fhir.terminology import carried_extensions
from hie.fhir.terminology.code_system import told

Json = dict[str, Any]

#: Parameters of an expansion that leave codes out: https://hl7.org/fhir/R4/valueset-operation-expand.html
_NARROWING = frozenset({"filter", "activeOnly", "excludeNotForUI", "excludePostCoordinated", "exclude-system", "count",
                        "limitedExpansion"})
#: Extensions that say that an expansion has not all codes.
_OPEN = frozenset(f"http://hl7.org/fhir/StructureDefinition/valueset-{one}" for one in ("unclosed", "toocostly"))


@dataclass(frozen=True, slots=True)
class Member:
    """One code of a value set."""

    system: str
    code: str
    version: str | None = None
    display: str | None = None
    designations: tuple[Json, ...] = ()
    is_abstract: bool = False
    is_inactive: bool = False
    language: str | None = None
    """The language of `display`, where the code system tells it, or the value set whose display it is."""
    extensions: tuple[Json, ...] = ()
    is_deprecated: bool = False
    """Whether the value set says that it is not to be used there any more."""

    @property
    def key(self) -> tuple[str, str]:
        """Return what makes two members the same."""
        return self.system, self.code


def carried(resource: Json) -> dict[tuple[str, str], Member] | None:
    """Return the codes of the expansion that a value set carries; None where there is none, or only a part of it."""
    expansion = resource.get("expansion")
    if expansion is None or _is_narrowed(expansion):
        return None
    found: dict[tuple[str, str], Member] = {}
    waiting = list(reversed(expansion.get("contains", [])))
    while waiting:
        row = waiting.pop()
        if "code" in row and "system" in row:
            designations = tuple(told(row.get("designation", []), "value"))
            member = Member(row["system"], row["code"], row.get("version"), row.get("display"), designations,
                            row.get("abstract") is True, row.get("inactive") is True, resource.get("language"),
                            carried_extensions.of_value_set(row))
            found.setdefault(member.key, member)
        waiting += reversed(row.get("contains", []))
    return None if expansion.get("offset", 0) or expansion.get("total", 0) > len(found) else found


def _is_narrowed(expansion: Json) -> bool:
    """Tell whether codes of the value set were left out when it was expanded."""
    if any(one.get("url") in _OPEN and one.get("valueBoolean") is not False for one in expansion.get("extension", ())):
        return True
    narrowing = _NARROWING - {"count"} if "total" in expansion else _NARROWING  # which says whether it is all
    return any(one.get("name") in narrowing and one.get("valueBoolean") is not False
               for one in expansion.get("parameter", ()))
