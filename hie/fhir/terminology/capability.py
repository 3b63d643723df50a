"""The TerminologyCapabilities: https://hl7.org/fhir/R4/terminologycapabilities.html

It is public, so it names the code systems of the specification and of installed packages; what is stored only a token
may know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hie.fhir import facts
from hie.fhir.instants import instant
from hie.fhir.terminology import shipped
from hie.fhir.terminology.grammars import GRAMMARS

#: Inputs of $expand that are refused, and those of R5 that it takes.
_REFUSED, _MORE = frozenset({"date"}), ("property", "useSupplement")


def terminology_capabilities(
    *, base_url: str, version: str, at: int, installed: Iterable[tuple[str, str | None]] = ()
) -> dict[str, Any]:
    """Build the statement of this server at `base_url`; `installed`: URL and version of code systems of packages."""
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
        "description": "CodeSystem, ValueSet and ConceptMap resources that are stored, those of installed packages, "
                       "and those of FHIR R4. Stored code systems are not listed here: they are found by a search.",
        "kind": "instance",
        "software": {"name": "hie", "version": version},
        "implementation": {"description": "FHIR R4 health information exchange", "url": base_url},
        "lockedDate": False,
        "codeSystem": [*_listed(installed), *({"uri": url} for url in GRAMMARS)],
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": name} for name in (
                *(row["name"] for row in rows if row["use"] == "in" and row["name"] not in _REFUSED), *_MORE)],
            "textFilter": "Every word has to occur in the code, its display or a designation, in any case. First come "
                          "codes that are called so, then those whose code or display begins so, then those with words "
                          "that do.",
        },
        "codeSearch": "explicit",
        "validateCode": {"translations": False},
        "translation": {"needsMap": False},
        "closure": {"translation": False},
    }  # fmt: skip


def _listed(installed: Iterable[tuple[str, str | None]]) -> Iterable[dict[str, Any]]:
    """List the code systems that have codes here; of several versions the first is meant where none is named."""
    versions: dict[str, list[str | None]] = {}
    for url, version in (*installed, *_shipped()):
        known = versions.setdefault(url, [])
        if version not in known:
            known.append(version)
    for url, known in versions.items():
        named = [one for one in known if one is not None]
        rows = [{"code": one, "isDefault": one == known[0]} for one in named] if named else [{"isDefault": True}]
        yield {"uri": url, "version": rows, "subsumption": True}


def _shipped() -> Iterable[tuple[str, str | None]]:
    """Name the code systems of the specification that have codes here."""
    for url, entry in shipped.index("CodeSystem").items():
        if entry.facts["content"] not in ("not-present", "supplement"):
            yield url, entry.version
