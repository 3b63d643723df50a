"""A FHIR interaction as a value, free of any web framework: https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hie.errors import InvalidSearch, OutcomeIssue


@dataclass(frozen=True, slots=True)
class Preferences:
    """The Prefer header: https://hl7.org/fhir/R4/http.html#ops and search.html#errors."""

    return_: str = "representation"  # minimal | representation | OperationOutcome
    handling: str = "strict"  # strict | lenient
    respond_async: bool = False


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditional headers of a request, as the client wrote them."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_none_exist: str | None = None
    if_unmodified_since: str | None = None


@dataclass(frozen=True, slots=True)
class FhirRequest:
    """One interaction or operation on the FHIR API.

    `interaction` is a code of https://hl7.org/fhir/R4/valueset-restful-interaction.html, or "operation".
    `resource` is the parsed body (validated by the interaction that stores it); `body` the raw bytes where the
    content is not FHIR JSON (a Binary in its own format), with its `content_type`. `arguments` are an operation's input
    parameters that are no plain text: name and JSON of a data type or resource, or the list of a parameter's parts.
    """

    interaction: str
    type: str | None = None
    id: str | None = None
    vid: str | None = None
    operation: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    resource: Any = None
    body: bytes = b""
    content_type: str = ""
    conditions: Conditions = field(default_factory=Conditions)
    preferences: Preferences = field(default_factory=Preferences)
    method: str = "GET"
    arguments: tuple[tuple[str, Any], ...] = ()
    compartment: tuple[str, str] | None = None
    """Type and id of the compartment that a search is held to: http.html#search"""
    unread: tuple[OutcomeIssue, ...] = ()
    """What the body says that its resource does not, since it is no FHIR: of operations that tell of that."""
    file: str | None = None
    """The name of a bulk file, below the address of its request."""
    provenance: str | None = None
    """The header X-Provenance, as the client wrote it: https://hl7.org/fhir/R4/provenance.html#header"""

    @property
    def instance(self) -> tuple[str, str]:
        """Type and id of the one resource that the URL names; the route table sees to it that they are there."""
        return self.type or "", self.id or ""

    def parameter(self, name: str) -> str | None:
        """Return the last value of the URL parameter `name`, or None where it is absent."""
        for key, value in reversed(self.parameters):
            if key == name:
                return value
        return None

    def once(self, name: str) -> str | None:
        """Return the value of a URL parameter that may be given once, or None; two that differ contradict each other,
        unless one is empty.

        Repeats of a search's criteria are AND, of what says how to answer they mean nothing: search.html#combining
        """
        values = {value for key, value in self.parameters if key == name}
        if len(values) > 1:
            values.discard("")
        if len(values) > 1:
            raise InvalidSearch(f"{name} is given twice.", expression=name)
        return next(iter(values), None)

    def argument(self, name: str) -> Any:
        """Return the JSON of the input parameter `name`, or None where it is absent."""
        return next((value for key, value in self.arguments if key == name), None)


@dataclass(frozen=True, slots=True)
class FhirResponse:
    """What an interaction answers.

    `content` is FHIR JSON, UTF-8, exactly as it will be sent (a stored resource is never serialised again), or the
    raw bytes of `content_type` (a Binary in its own format). The web edge turns `etag`, `last_modified` and
    `location` into headers and applies _format, _pretty, _summary, _elements and Prefer: return.
    """

    status: int
    content: bytes | None = None
    version_id: int | None = None
    last_modified: int | None = None  # microseconds since 1970-01-01T00:00:00Z
    location: str | None = None  # relative to the base: Type/id/_history/vid
    content_type: str = "application/fhir+json"
    headers: Mapping[str, str] = field(default_factory=dict)
    #: (type, id) of what was touched, for the audit record
    entity: tuple[str, str] | None = None
    #: what is to be told of what was written, its warnings
    issues: Sequence[OutcomeIssue] = ()
