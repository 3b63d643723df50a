"""What a request for bulk files asks for: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hie.context import Context
from hie.errors import Forbidden, InvalidRequest, InvalidSearch, NotSupported, OutcomeIssue
from hie.fhir import bulk, facts, references, summary
from hie.fhir.http import FhirRequest
from hie.fhir.instants import parse_instant
from hie.fhir.paging import AS_OF, CURSOR, OFFSET
from hie.fhir.routes import parse_query
from hie.store.search import chain
from hie.store.search import query as search_query
from hie.store.search.reference import relative
from hie.store.terminology import Later

Filter = tuple[chain.Asked, ...]
"""Criteria all of which hold."""

PROVENANCE = "Provenance"
LATEST, RELEVANT = "LatestProvenanceResources", "RelevantProvenanceResources"
#: So many filters, and patients by name, one request has.
MOST_FILTERS, MOST_PATIENTS = 100, 1_000
#: A comma stands between filters, and between the values of one; a filter begins with its type.
_NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]+\?)")
_ZONE = re.compile(r"(Z|[+-][0-9]{2}:[0-9]{2})$")
#: What says how a search is answered, and no criterion.
_NO_CRITERIA = frozenset({
    "_sort", "_count", "_total", "_include", "_revinclude", "_summary", "_elements", "_contained", "_containedType",
    "_type", "_format", "_pretty", CURSOR, OFFSET, AS_OF,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted, as far as it does not depend on whose records are meant."""

    types: frozenset[str]
    """Those that the token may read and search, of those that are asked for."""
    since: int | None = None
    """Only what was changed later, in microseconds since 1970."""
    elements: tuple[tuple[str | None, str], ...] = ()
    filters: Mapping[str, tuple[Filter, ...]] = field(default_factory=dict)
    """By type: a resource of it meets one of these."""
    patients: frozenset[str] | None = None
    """Ids of the patients who alone are meant; None: all."""
    provenance: str | None = None
    """Which Provenance of what is wanted comes as well; None: such as is among the types."""
    left_out: tuple[OutcomeIssue, ...] = ()
    """Of types that are asked for and that the token may not read."""


def asked_by(request: FhirRequest, ctx: Context) -> Asked:
    """Read the parameters. InvalidRequest, Forbidden."""
    bulk.refuse_format(request.parameter("_outputFormat"))
    named = _types(request)
    selection = summary.asked(request)
    types, left_out = _allowed(named, request, ctx)
    return Asked(
        types, _since(request, ctx), () if selection is None else selection.elements,
        _filters(request, ctx, named, types), _patients(request, ctx), _associated(request), left_out,
    )


def _listed(request: FhirRequest, name: str) -> list[str]:
    """Return what commas and repetition list."""
    texts = [part.strip() for key, value in request.parameters if key == name for part in value.split(",")]
    if not all(texts):
        raise InvalidRequest(f"{name} has nothing between two commas, or before the first or behind the last.",
                             expression=name)
    return texts


def _types(request: FhirRequest) -> frozenset[str] | None:
    names = _listed(request, "_type")
    for name in names:
        if name not in facts.RESOURCE_TYPES:
            raise InvalidRequest(f"_type names {name[:80]!r}, which is not a resource type of FHIR R4.",
                                 expression="_type")
    return frozenset(names) or None


def _allowed(
    named: frozenset[str] | None, request: FhirRequest, ctx: Context
) -> tuple[frozenset[str], tuple[OutcomeIssue, ...]]:
    """Return the types that are wanted and may be read; one that is named, and may not, is refused unless lenient."""
    grant = ctx.store.grant
    allowed = grant.types("r") & grant.types("s")
    refused = sorted((named or frozenset()) - allowed)
    if refused and request.preferences.handling != "lenient":
        raise Forbidden(f"The token has no scope for this: system/{refused[0]}.rs is needed.", expression="_type")
    found = allowed if named is None else allowed & named
    if not found:
        raise Forbidden("The token has no scope to read and search any of the types; system/*.rs has all.")
    told = "The token has no scope to read and search {}; none of it was exported."
    return found, tuple(OutcomeIssue("forbidden", told.format(one), "_type", "warning") for one in refused)


def _since(request: FhirRequest, ctx: Context) -> int | None:
    text = request.parameter("_since")
    if text is None:
        return None
    at = parse_instant(text.replace(" ", "+"))  # a bare + in a URL means a space
    if at is None or _ZONE.search(text.replace(" ", "+")) is None:
        raise InvalidRequest(f"_since is {text[:80]!r}; it is an instant, such as 2024-05-17T10:30:00.123Z, as "
                             "transactionTime of an earlier manifest.", expression="_since")
    if at > ctx.clock():
        raise InvalidRequest(f"_since is {text[:40]!r}, which is yet to come.", expression="_since")
    return at


def _filters(
    request: FhirRequest, ctx: Context, named: frozenset[str] | None, types: frozenset[str]
) -> dict[str, tuple[Filter, ...]]:
    """Read the filters by type; one of a type that is not exported would be passed over."""
    texts = [one for name, value in request.parameters if name == "_typeFilter" for one in _NEXT_FILTER.split(value)]
    if len(texts) > MOST_FILTERS:
        raise InvalidRequest(f"{len(texts)} filters are given; {MOST_FILTERS} are the most.", expression="_typeFilter")
    found: dict[str, tuple[Filter, ...]] = {}
    for text in texts:
        type_name, _, query = text.strip().partition("?")
        if type_name not in facts.RESOURCE_TYPES or not query:
            raise InvalidRequest(f"_typeFilter is {text[:80]!r}; it is written as MedicationRequest?status=active, "
                                 "percent-encoded in a URL.", expression="_typeFilter")
        if named is not None and type_name not in named:
            raise InvalidRequest(f"_typeFilter is of {type_name}, which _type does not name.", expression="_typeFilter")
        if named is None and type_name not in types:
            raise Forbidden(f"The token has no scope for this: system/{type_name}.rs is needed.",
                            expression="_typeFilter")
        found[type_name] = (*found.get(type_name, ()), _criteria(type_name, query, ctx))
    return found


def _criteria(type_name: str, query: str, ctx: Context) -> Filter:
    """Read one search, in which nothing but criteria stand."""
    parameters = parse_query(query)
    for name, _ in parameters:
        if name.partition(":")[0] in _NO_CRITERIA:
            raise NotSupported(f"_typeFilter of {type_name} has {name[:80]}; it has criteria alone.",
                               expression="_typeFilter")
    try:
        read = search_query.parse(type_name, parameters, base_url=ctx.base_url, now=ctx.clock(),
                                  terminology=Later(ctx.store))
    except InvalidSearch as error:
        raise InvalidRequest(f"_typeFilter={type_name}?{query[:80]}: {error.diagnostics}",
                             expression="_typeFilter") from None
    return read.criteria


def _patients(request: FhirRequest, ctx: Context) -> frozenset[str] | None:
    given = [value for name, value in request.arguments if name == "patient"]
    if len(given) > MOST_PATIENTS:
        raise InvalidRequest(f"{len(given)} patients are named; {MOST_PATIENTS} are the most, and a Group has as many "
                             "as it likes.", expression="patient")
    ids = set()
    for one in given:
        text = str(one.get("reference", ""))
        to = references.parse(relative(relative(text, ctx.base_url), ctx.store.base_url))
        if to.kind != "relative" or to.type != "Patient" or to.id is None:
            raise InvalidRequest(f"patient is {text[:80]!r}; it is a reference such as Patient/123.",
                                 expression="patient")
        ids.add(to.id)
    return frozenset(ids) or None


def _associated(request: FhirRequest) -> str | None:
    """Return which is asked for; of both the one that brings more."""
    texts = set(_listed(request, "includeAssociatedData"))
    unknown = sorted(texts - {LATEST, RELEVANT})
    if unknown:
        raise NotSupported(f"includeAssociatedData is {unknown[0][:80]!r}; it is {LATEST} or {RELEVANT}.",
                           expression="includeAssociatedData")
    return RELEVANT if RELEVANT in texts else next(iter(texts), None)
