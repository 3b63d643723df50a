"""The errors a client may see; each becomes an OperationOutcome with the class's HTTP status and issue code.

    FhirError 500 exception
    ├── InvalidRequest 400 invalid ── InvalidJson 400 structure, InvalidXml 400 structure
    │   ├── InvalidResource 400 invalid          content breaks the base rules of FHIR
    │   ├── InvalidSearch 400 invalid            unknown parameter, unreadable value ── Expired 400 expired
    │   ├── NotSupported 400 not-supported       FHIR knows it, this server does not (yet)
    │   └── BrokenReference 400 not-found        a literal reference to nothing
    ├── Unauthenticated 401 login
    ├── Forbidden 403 forbidden
    ├── NotFound 404 not-found ── NotOffered 404 not-supported, UnknownType 404 not-supported
    ├── MethodNotAllowed 405 not-supported
    ├── NotAcceptable 406 not-supported
    ├── Conflict 409 conflict ── Referenced 409 conflict
    ├── Gone 410 deleted
    ├── PreconditionFailed 412 conflict ── MultipleMatches 412 multiple-matches
    ├── TooLarge 413 too-long
    ├── UnsupportedMediaType 415 not-supported
    ├── Unprocessable 422 processing ── TooCostly 422 too-costly
    ├── TooManyRequests 429 throttled
    ├── IntegrityFailure 500 security            a stored row does not open; raises an alarm
    └── Busy 503 transient ── Outdated 503 transient   a newer version has upgraded the database

Issue codes: https://hl7.org/fhir/R4/valueset-issue-type.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class OutcomeIssue:
    """One OperationOutcome.issue. It is about the resource `source` (Type/id), if that is said; of a broken reference,
    which points at `target`. Both are not shown.
    """

    code: str
    diagnostics: str
    expression: str | None = None
    severity: str = "error"
    source: str | None = None
    target: str | None = None


class FhirError(Exception):
    """An interaction that ends with an OperationOutcome."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"

    def __init__(
        self, diagnostics: str, *, expression: str | None = None, issues: Sequence[OutcomeIssue] | None = None
    ) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics
        self.issues: tuple[OutcomeIssue, ...] = (
            tuple(issues) if issues else (OutcomeIssue(self.code, diagnostics, expression),)
        )
        self.headers: dict[str, str] = {}

    def without_frames(self) -> Self:
        """Return it to be kept and raised later, without the calls that it came through and all that these knew."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self

    def within(self, prefix: str) -> FhirError:
        """Return the same error with every expression placed below `prefix`, for example Bundle.entry[3]."""
        moved = [replace(issue, expression=_below(prefix, issue.expression)) for issue in self.issues]
        other = type(self)(self.diagnostics, issues=moved)
        other.headers = self.headers
        return other


def _below(prefix: str, expression: str | None) -> str:
    if not expression:
        return prefix
    if expression.startswith("Bundle.entry["):
        return expression
    if expression.startswith("http."):  # http.If-None-Exist stands in a Bundle as request.ifNoneExist
        name = expression.removeprefix("http.").replace("-", "")
        return f"{prefix}.request.{name[:1].lower()}{name[1:]}"
    return f"{prefix}.resource.{expression.partition('.')[2]}" if "." in expression else f"{prefix}.resource"


class InvalidRequest(FhirError):
    status, code = 400, "invalid"


class InvalidJson(InvalidRequest):
    code = "structure"


class InvalidXml(InvalidRequest):
    code = "structure"


class InvalidResource(InvalidRequest):
    """The resource breaks the base rules of FHIR (http.html#create: 400)."""


class InvalidSearch(InvalidRequest):
    pass


class Expired(InvalidSearch):
    code = "expired"


class NotSupported(InvalidRequest):
    code = "not-supported"


class BrokenReference(InvalidRequest):
    code = "not-found"


class Unauthenticated(FhirError):
    status, code = 401, "login"


class Forbidden(FhirError):
    status, code = 403, "forbidden"


class NotFound(FhirError):
    status, code = 404, "not-found"


class NotOffered(NotFound):
    """R4 has it, and it is not here."""

    code = "not-supported"


class UnknownType(NotFound):
    code = "not-supported"


class MethodNotAllowed(FhirError):
    status, code = 405, "not-supported"


class NotAcceptable(FhirError):
    status, code = 406, "not-supported"


class Conflict(FhirError):
    status, code = 409, "conflict"


class Referenced(Conflict):
    """A resource that others still point at cannot be deleted."""

    place: tuple[str, str] = ("", "")
    """Its type and id, while nobody was told."""
    by: tuple[tuple[str, str], ...] = ()
    """Those that point at it, each once, in order."""

    @classmethod
    def of(cls, place: tuple[str, str], by: Sequence[tuple[str, str]], named: tuple[str, str] | None) -> Referenced:
        """Return the error that names one of them; None: none that may be named."""
        source = None if named is None else "/".join(named)
        told = (f"{'/'.join(place)} cannot be deleted: {source or 'a resource that the token may not read'} refers to "
                "it; delete or change that first, or both in one transaction, or ask for _cascade=delete.")
        error = cls(told, issues=[OutcomeIssue(cls.code, told, place[0], source=source)])
        error.place, error.by = place, tuple(by)
        return error


class Gone(FhirError):
    status, code = 410, "deleted"


class PreconditionFailed(FhirError):
    status, code = 412, "conflict"


class MultipleMatches(PreconditionFailed):
    code = "multiple-matches"


class TooLarge(FhirError):
    status, code = 413, "too-long"


class UnsupportedMediaType(FhirError):
    status, code = 415, "not-supported"


class Unprocessable(FhirError):
    status, code = 422, "processing"


class TooCostly(Unprocessable):
    """What is asked for is too large to be computed at once."""

    code = "too-costly"


class TooManyRequests(FhirError):
    status, code = 429, "throttled"


class IntegrityFailure(FhirError):
    """A stored row does not open under its own key and place: damage or tampering."""

    code = "security"


class Busy(FhirError):
    """What cannot be done now may be done in a moment: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"""

    status, code = 503, "transient"

    def __init__(
        self, diagnostics: str, *, expression: str | None = None, issues: Sequence[OutcomeIssue] | None = None
    ) -> None:
        super().__init__(diagnostics, expression=expression, issues=issues)
        self.headers["Retry-After"] = "1"


class Outdated(Busy):
    """This process is of an earlier version than the one that upgraded the database: it does nothing any more."""
