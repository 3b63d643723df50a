"""The TerminologyCapabilities: https://hl7.org/fhir/R4/terminologycapabilities.html

It is public, so it names the code systems of the specification; what is stored only a token may know.
"""

from __future__ import annotations

from typing import Any

from hie.fhir import facts
from hie.fhir.instants import instant
from hie.fhir.terminology import shipped
from hie.fhir.terminology.grammars import GRAMMARS

#: Inputs of $expand that are refused.
_REFUSED = frozenset({"date"})


def terminology_capabilities(*, base_url: str, version: str, at: int) -> dict[str, Any]:
    """Build the statement of this server at `base_url`."""
    rows = facts.OPERATIONS["expand@ValueSet"]["parameter"]
    return {
        "resourceType": "TerminologyCapabilities",
        "id": "hie-terminology",
        "url": f"{base_url}/metadata?mode=terminology",
        "version": version,
        "name": "HealthInformationExchangeTerminology",
        "title": "Terminology of the FHIR R4 health information exchange",
        "status": "active",
        "date": instant(at),
        "description": "CodeSystem, ValueSet and ConceptMap resources that are stored, and those of FHIR R4. Stored "
                       "code systems are not listed here: they are found by a search.",
        "kind": "instance",
        "software": {"name": "hie", "version": version},
        "implementation": {"description": "FHIR R4 health information exchange", "url": base_url},
        "lockedDate": False,
        "codeSystem": [*_shipped(), *({"uri": url} for url in GRAMMARS)],
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": row["name"]} for row in rows if row["use"] == "in" and row["name"] not in _REFUSED],
            "textFilter": "Every word has to occur in the code, its display or a designation, in any case.",
        },
        "codeSearch": "all",
        "validateCode": {"translations": False},
        "translation": {"needsMap": True},
        "closure": {"translation": False},
    }  # fmt: skip


def _shipped() -> list[dict[str, Any]]:
    """List the code systems of the specification that have codes here."""
    found = []
    for url, entry in shipped.index("CodeSystem").items():
        if entry.facts["content"] not in ("not-present", "supplement"):
            row: dict[str, Any] = {"isDefault": True}
            if entry.version is not None:
                row = {"code": entry.version, "isDefault": True}
            found.append({"uri": url, "version": [row], "subsumption": True})
    return found
