"""Value sets that a URL alone defines: https://hl7.org/fhir/R4/snomedct.html#implicit, https://hl7.org/fhir/R4/loinc.html#implicit"""

from __future__ import annotations

from typing import Any

from hie.fhir.terminology import shipped

Json = dict[str, Any]

_SNOMED, _LOINC = "http://snomed.info/sct", "http://loinc.org"


def implicit(url: str) -> Json | None:
    """Return the value set; None where the URL defines none."""
    system = shipped.systems_of_value_sets().get(url)
    filters: list[Json] = []
    if url.startswith(_SNOMED) and "?fhir_vs" in url:
        system, _, wanted = url.partition("?fhir_vs")
        if wanted.startswith("=isa/"):
            filters = [{"property": "concept", "op": "is-a", "value": wanted.removeprefix("=isa/")}]
        elif wanted:
            return None
    elif url == f"{_LOINC}/vs":
        system = _LOINC
    if system is None:
        return None
    include = {"system": system} | ({"filter": filters} if filters else {})
    return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": {"include": [include]}}
