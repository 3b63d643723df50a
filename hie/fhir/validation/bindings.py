"""Required bindings: https://hl7.org/fhir/R4/terminologies.html#required"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from hie.fhir import facts
from hie.fhir.primitives import shown
from hie.fhir.validation.issue import Problem, error

CURRENCIES = "http://hl7.org/fhir/ValueSet/currencies|4.0.1"
_ISO_4217 = re.compile("[A-Z]{3}")
_SHOWN_CODES = 12


def codes(value_set: str | None) -> frozenset[str] | None:
    """Give the codes of a required value set without their systems; None where anything may stand."""
    systems = None if value_set is None else facts.required_codes(value_set)
    return None if systems is None else frozenset(code for codes_ in systems.values() for code in codes_)


def code_problem(value: str, value_set: str) -> list[Problem] | None:
    """Check a code against the value set that binds it; the message names codes that would do."""
    systems = facts.required_codes(value_set)
    if systems is None:
        if value_set == CURRENCIES and not _ISO_4217.fullmatch(value):
            return error("code-invalid", f"{shown(value)} is no ISO 4217 currency such as EUR.")
        return None
    known = [code for codes_ in systems.values() for code in codes_]
    if value in known:
        return None
    return error("code-invalid", f"found {shown(value)}; {suggestion(value, known)}.")


def concept_problem(concept: dict[str, Any], value_set: str) -> list[Problem] | None:
    """Check that a CodeableConcept has a coding of the value set that binds it."""
    systems = facts.required_codes(value_set)
    if systems is None:
        return None
    coding = concept.get("coding", [])
    for one in coding:
        if one.get("code") in systems.get(one.get("system", ""), ()):
            return None
    if not coding and "text" not in concept:
        return None  # only an extension, which may say why there is no code
    known = [f"{system}|{code}" for system, codes_ in systems.items() for code in codes_]
    found = f"found {_first_coding(coding)}" if coding else "found only text"
    return error("code-invalid", f"{found}; {suggestion(_first_coding(coding), known)}.", ".coding" if coding else "")


def suggestion(value: str, known: Iterable[str]) -> str:
    """Name what would be right: the nearest first where the list is long."""
    known = list(known)
    if len(known) <= _SHOWN_CODES:
        return "one of " + ", ".join(known)
    near = difflib.get_close_matches(value[:80], known, n=3, cutoff=0.5)
    shown_codes = near or known[:_SHOWN_CODES]
    return f"{'nearest' if near else 'one of'} {', '.join(shown_codes)} (of {len(known)})"


def _first_coding(coding: list[dict[str, Any]]) -> str:
    return f"{coding[0].get('system', '')}|{coding[0].get('code', '')}"[:200] if coding else ""
