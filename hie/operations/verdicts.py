"""What $validate-code answers of a code: whether it is valid, and what else is to be known of it.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html; `issues`, and which coding of a concept is valid, as
https://hl7.org/fhir/R5/valueset-operation-validate-code.html has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hie.errors import FhirError, NotFound, Unprocessable
from hie.fhir import json_format
from hie.fhir.http import FhirResponse
from hie.fhir.parameters import parameters, value
from hie.operations.terminology_inputs import Coding

Json = dict[str, Any]

#: Kinds of issues that terminology servers tell apart: https://build.fhir.org/ig/HL7/fhir-tools-ig/CodeSystem-tx-issue-type.html
_KINDS = "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"
#: Severity and R4's type of each kind.
_OF_KIND = {
    "not-in-vs": ("error", "code-invalid"),
    "invalid-code": ("error", "code-invalid"),
    "invalid-data": ("error", "invalid"),
    "invalid-display": ("error", "invalid"),
    "version-error": ("error", "invalid"),
    "cannot-infer": ("error", "not-found"),
    "code-rule": ("error", "business-rule"),
    "code-comment": ("warning", "business-rule"),
}


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to be known of a code; `element` is the one of a Coding that it is about, "" all of it."""

    kind: str
    text: str
    element: str = "code"
    place: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a code is valid, and if not why; `display` is how it should be shown, `system` what was inferred."""

    is_valid: bool
    remarks: tuple[Remark, ...] = ()
    display: str | None = None
    system: str | None = None
    found_in: tuple[str, str | None] | None = None
    """The code system that has the code, and its version, where they are known."""


def refusal(kind: str, text: str, display: str | None = None, *, element: str = "code") -> Verdict:
    """Return the verdict that a code is not valid."""
    return Verdict(False, (Remark(kind, text, element),), display)


def answer(asked: list[Coding], judge: Callable[[Coding], Verdict]) -> FhirResponse:
    """Answer for the first code that is valid, or else for all of them."""
    refusals: list[Verdict] = []
    undecided: FhirError | None = None
    for one in asked:
        try:
            verdict = judge(one)
        except (NotFound, Unprocessable) as error:  # of another coding more may be known
            undecided = undecided or error
            continue
        verdict = replace(verdict, remarks=tuple(replace(each, place=one.place) for each in verdict.remarks))
        if verdict.is_valid:
            return told(verdict, one if one.is_of_concept else None)
        refusals.append(verdict)
    if undecided is not None:
        raise undecided
    return told(Verdict(False, tuple(each for one in refusals for each in one.remarks), refusals[0].display))


def told(verdict: Verdict, valid: Coding | None = None) -> FhirResponse:
    """Answer a verdict; `valid` is the coding of a concept that is valid, which one it is has to be told."""
    rows: list[Json] = [value("result", "Boolean", verdict.is_valid)]
    if verdict.remarks:
        rows.append(value("message", "String", " ".join(one.text for one in verdict.remarks)))
    if verdict.display is not None:
        rows.append(value("display", "String", verdict.display))
    system, version = verdict.system, None
    if valid is not None:
        rows.append(value("code", "Code", valid.code))
        system, version = verdict.found_in or (valid.system, valid.version)
    if system is not None:
        rows.append(value("system", "Uri", system))
    if version is not None:
        rows.append(value("version", "String", version))
    if verdict.remarks:
        outcome = {"resourceType": "OperationOutcome", "issue": [_issue(one) for one in verdict.remarks]}
        rows.append({"name": "issues", "resource": outcome})
    return FhirResponse(200, json_format.dump(parameters(rows)))


def _issue(remark: Remark) -> Json:
    severity, code = _OF_KIND[remark.kind]
    where = ".".join(part for part in (remark.place, remark.element) if part)
    issue: Json = {"severity": severity, "code": code,
                   "details": {"coding": [{"system": _KINDS, "code": remark.kind}], "text": remark.text}}
    return issue | ({"expression": [where]} if where else {})
