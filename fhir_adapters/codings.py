"""Codings of a CodeableConcept, and which of several to go by: https://hl7.org/fhir/R4/datatypes.html#CodeableConcept"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ATC = "http://www.whocc.no/atc"
NDC = "http://hl7.org/fhir/sid/ndc"
CPT = "http://www.ama-assn.org/go/cpt"

OID_SYSTEMS = {  # https://hl7.org/fhir/R4/terminologies-systems.html
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.88": RXNORM,
    "urn:oid:2.16.840.1.113883.12.292": CVX,
    "urn:oid:2.16.840.1.113883.6.90": ICD10_CM,
    "urn:oid:2.16.840.1.113883.6.3": ICD10,
    "urn:oid:2.16.840.1.113883.6.73": ATC,
    "urn:oid:2.16.840.1.113883.6.69": NDC,
    "urn:oid:2.16.840.1.113883.6.12": CPT,
}

Coding = tuple[str, str, str | None]
"""System, code and display."""


def preferred(concept: object, systems: Sequence[str]) -> Coding | None:
    """The coding to go by: the preferred system, then the lowest code, so that their order does not matter."""
    ranks = {system: rank for rank, system in enumerate(systems)}
    known = sorted(codings(concept), key=lambda each: (ranks.get(each[0], len(ranks)), each[0], each[1]))
    named = (each for each in known if each[0])
    return next(named, None)


def codings(concept: object) -> list[Coding]:
    """System (empty if missing), code and display of every coding that has a code."""
    if not isinstance(concept, Mapping):
        return []
    found = []
    listed = concept.get("coding")
    for coding in listed if isinstance(listed, list) else []:
        code = _text(coding.get("code")) if isinstance(coding, Mapping) else None
        if code:
            system = _text(coding.get("system")) or ""
            found.append((OID_SYSTEMS.get(system, system), code, _text(coding.get("display"))))
    return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
