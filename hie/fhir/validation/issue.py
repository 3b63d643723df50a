"""What validation finds: https://hl7.org/fhir/R4/operationoutcome.html"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hie.fhir.validation.scope import Scope

Severity = Literal["fatal", "error", "warning", "information"]

MOST_ISSUES = 100
"""More issues of one resource help nobody, and a hostile body could make millions."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding; `code` is of the value set issue-type, `expression` a FHIRPath of the place."""

    severity: Severity
    code: str
    diagnostics: str
    expression: str


Problem = tuple[str, Severity, str, str]
"""A finding on its way up: path below the value checked, severity, code, text. Only failures cost a path."""

Check = Callable[[Any, Any, Scope], "list[Problem] | None"]
"""Looks at a value, given what holds it; None (or nothing in the list) where all is well."""


def error(code: str, text: str, path: str = "") -> list[Problem]:
    """Make the usual answer of a check that found one thing."""
    return [(path, "error", code, text)]


def below(segment: str, problems: Iterable[Problem]) -> list[Problem]:
    """Move problems one step up: their paths now start with `segment`."""
    return [(segment + path, severity, code, text) for path, severity, code, text in problems]


def has_errors(problems: Iterable[Problem]) -> bool:
    """Tell problems that refuse a resource from mere warnings."""
    return any(severity == "error" for _, severity, _, _ in problems)


def too_many(problems: list[Problem]) -> bool:
    """Tell when looking further is of no use; warnings are never too many, or they would hide errors behind them."""
    if len(problems) <= MOST_ISSUES or problems[-1][1] != "error":
        return False
    return sum(one[1] == "error" for one in problems) > MOST_ISSUES


def issues(root: str, problems: list[Problem]) -> list[Issue]:
    """Give the final list: errors first, at most MOST_ISSUES, then a word about the rest."""
    ordered = sorted(problems, key=lambda one: one[1] != "error")
    result = [Issue(severity, code, text, root + path) for path, severity, code, text in ordered[:MOST_ISSUES]]
    if len(ordered) > MOST_ISSUES:
        result.append(Issue("information", "too-long", f"Only the first {MOST_ISSUES} issues are listed.", root))
    return result
