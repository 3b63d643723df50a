"""R4's operations that are not offered here, each with the reason and with what does instead.

https://hl7.org/fhir/R4/operationslist.html; docs/api/operations.md tells the same.
"""

from __future__ import annotations

_NO_CQL = "that needs the Clinical Quality Language, which is not evaluated here"
_REASONS = {
    "apply": f"plans and definitions are not carried out here: {_NO_CQL}",
    "care-gaps": f"measures are not evaluated here: {_NO_CQL}",
    "collect-data": f"what belongs to a measure is not worked out here: {_NO_CQL}; searches, Patient/[id]/$everything "
                    "and Group/[id]/$everything give an engine the records",
    "conforms": "R4 calls it a matter of research; CapabilityStatement/$implements tells whether a server offers what "
                "a client asks for",
    "data-requirements": f"what data a definition needs is not worked out here: {_NO_CQL}",
    "evaluate-measure": f"measures are not evaluated here: {_NO_CQL}; searches, Patient/[id]/$everything and "
                        "Group/[id]/$everything give an engine the records",
    "everything@MedicinalProduct": "a product with all that refers to it is the search "
                                   "MedicinalProduct?_id=[id]&_include=*&_revinclude=*",
    "process-message": "what a message does is agreed between two sites and not known here; a transaction, POST "
                       "[base], stores the resources that one carries",
    "questionnaire": "forms are not made of profiles here",
    "submit": "claims and eligibility are decided by a payer; here both requests and responses are stored as they come",
    "submit-data": "a transaction, POST [base], stores the MeasureReport and its resources together",
    "transform": "structure maps are not carried out here; ConceptMap/$translate translates codes",
}  # fmt: skip


def reason(code: str, type_name: str | None) -> str | None:
    """Tell why one of R4's operations is not offered, and what does instead; None for any other."""
    return _REASONS.get(f"{code}@{type_name}") or _REASONS.get(code)


def codes() -> frozenset[str]:
    """Name the operations that are told of: by their code, or code@type where others of the code are offered."""
    return frozenset(_REASONS)
