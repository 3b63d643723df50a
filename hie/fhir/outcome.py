"""OperationOutcome, the body of every refusal: https://hl7.org/fhir/R4/operationoutcome.html"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hie.errors import FhirError, OutcomeIssue
from hie.fhir import json_format

#: More issues of one resource help nobody, and a hostile body could make millions.
MOST_ISSUES = 200


def outcome(issues: Iterable[OutcomeIssue]) -> dict[str, Any]:
    """Build an OperationOutcome; without any issue it says that all is well."""
    rows = [_issue(issue) for issue in issues]
    if len(rows) > MOST_ISSUES:
        rest = len(rows) - MOST_ISSUES
        rows = [*rows[:MOST_ISSUES], _issue(OutcomeIssue("too-long", f"{rest} more issues are not listed.",
                                                         severity="information"))]
    return {"resourceType": "OperationOutcome", "issue": rows or [_issue(ALL_OK)]}


def information(diagnostics: str, code: str = "informational", expression: str | None = None) -> OutcomeIssue:
    """Build an issue that refuses nothing."""
    return OutcomeIssue(code, diagnostics, expression, severity="information")


def of_error(error: FhirError) -> dict[str, Any]:
    """Build the OperationOutcome of a refusal."""
    return outcome(error.issues)


def dump(issues: Iterable[OutcomeIssue], *, pretty: bool = False) -> bytes:
    """Write an OperationOutcome as FHIR JSON."""
    return json_format.dump(outcome(issues), pretty=pretty)


ALL_OK = information("All OK.")


#: What a client sent stands in many texts, and a FHIR string has no control characters:
#: https://hl7.org/fhir/R4/datatypes.html#string
_NOT_IN_STRINGS = {code: "\N{REPLACEMENT CHARACTER}" for code in range(32) if chr(code) not in "\t\r\n"}


def _issue(issue: OutcomeIssue) -> dict[str, Any]:
    row: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "diagnostics": _text(issue.diagnostics)}
    if issue.expression and not issue.expression.isspace():
        row["expression"] = [_text(issue.expression)]
    return row


def _text(text: str) -> str:
    return text if text.isprintable() else text.translate(_NOT_IN_STRINGS)
