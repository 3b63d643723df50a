"""The encounters that a resource says to be associated with by R4's extension.

https://hl7.org/fhir/R4/extension-encounter-associatedencounter.html
"""

from __future__ import annotations

from typing import Any

from hie.store.search import reference

ASSOCIATED_ENCOUNTER = "http://hl7.org/fhir/StructureDefinition/encounter-associatedEncounter"


def encounters(resource: dict[str, Any], base_url: str) -> frozenset[str]:
    """Return the texts of these references, those to this server relative."""
    if "extension" not in resource:
        return frozenset()
    values = [one.get("valueReference") for one in resource["extension"] if one.get("url") == ASSOCIATED_ENCOUNTER]
    texts = [text for value in values if value is not None and isinstance(text := value.get("reference"), str)]
    return frozenset(reference.relative(text, base_url) if base_url else text for text in texts)
