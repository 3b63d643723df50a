"""Patient/[id]/$everything: https://hl7.org/fhir/R4/patient-operation-everything.html

The patient's compartment, and beside it what its resources refer to outside of it: practitioners, organizations,
medications, locations and the like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, urlencode

from hie.context import Context
from hie.errors import InvalidRequest, InvalidSearch, NotSupported
from hie.fhir import bundle, compartments, facts
from hie.fhir.datatypes import InvalidDate, parse_date
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.paging import CURSOR, page_size
from hie.registry import Operation, Parameter, standard_parameters
from hie.store.search import criteria
from hie.store.search.criteria import Criterion, InCompartment, Reading
from hie.store.search.engine import SearchPage
from hie.store.search.query import SearchQuery
from hie.store.versions import StoredVersion

#: Stored JSON is compact, and a quote inside a string is escaped: this finds references and nothing else.
_REFERENCE = re.compile(rb'"reference":"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^"]*)?"')


def everything(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a page of the patient's record."""
    for name in ("start", "end"):
        if request.parameter(name) is not None:
            raise NotSupported(f"{name} is not supported; _since and _type are.", expression=name)
    ctx.store.read("Patient", request.id or "")
    types = _types(request)
    page = ctx.store.search(_query(request, ctx, types))
    included = _beside(page.matches, types, ctx)
    rows = [_entry(ctx, one, "match") for one in page.matches if types is None or one.type in types]
    rows += [_entry(ctx, one, "include") for one in included]
    links = _links(request, page, ctx.base_url)
    content = bundle.listing("searchset", ctx.new_id(), ctx.clock(), links, rows, page.total)
    return FhirResponse(200, content, entity=("Patient", request.id or ""))


def _query(request: FhirRequest, ctx: Context, types: frozenset[str] | None) -> SearchQuery:
    members = frozenset(compartments.members("Patient")) | {"Patient"}
    # Where a type outside of the compartment is wanted, every member may refer to one.
    wanted = members if types is None or not types <= members else types
    asked: list[Criterion | InCompartment] = [InCompartment(f"Patient/{request.id}", wanted)]
    since = _since(request)
    if since is not None:
        asked.append(criteria.parse("Resource", "_lastUpdated", f"ge{since}", Reading()))
    count = page_size(request, ctx.settings) if request.parameter("_count") is not None else ctx.settings.max_page_size
    tied = (("_compartment", f"Patient/{request.id}"), *(pair for pair in request.parameters if pair[0] != CURSOR))
    return SearchQuery(None, tuple(asked), count=count, total="accurate", cursor=request.parameter(CURSOR),
                       self_link=tied)


def _types(request: FhirRequest) -> frozenset[str] | None:
    names = [part.strip() for name, value in request.parameters if name == "_type" for part in value.split(",")]
    for name in names:
        if name not in facts.RESOURCE_TYPES:
            raise InvalidRequest(f"_type names {name[:80]!r}, which is not a resource type of FHIR R4.",
                                 expression="_type")
    return frozenset(names) or None


def _since(request: FhirRequest) -> str | None:
    text = request.parameter("_since")
    if text is None:
        return None
    text = text.replace(" ", "+")  # a bare + in a URL means a space
    try:
        parse_date(text)
    except InvalidDate as error:
        raise InvalidSearch(f"_since: {error}", expression="_since") from None
    return text


def _beside(matches: Iterable[StoredVersion], types: frozenset[str] | None, ctx: Context) -> list[StoredVersion]:
    """Return what the matches refer to outside of patients' compartments, each once."""
    members = compartments.members("Patient")
    targets: dict[tuple[str, str], None] = {}
    for stored in matches:
        for type_name, id_ in _REFERENCE.findall(stored.content or b""):
            name = type_name.decode()
            outside = name in facts.RESOURCE_TYPES and name not in members and name != "Patient"
            if outside and (types is None or name in types):
                targets[name, id_.decode()] = None
    return list(ctx.store.read_many(targets).values())


def _entry(ctx: Context, stored: StoredVersion, mode: str) -> dict[str, object]:
    return bundle.match_entry(ctx.base_url, stored.type, stored.id, stored.content or b"{}", mode)


def _links(request: FhirRequest, page: SearchPage, base_url: str) -> list[tuple[str, str]]:
    address = f"{base_url}/Patient/{request.id}/$everything"
    links = [("self", _url(address, request.parameters))]
    if page.next_cursor is not None:
        kept = [(name, value) for name, value in request.parameters if name != CURSOR]
        links.append(("next", _url(address, (*kept, (CURSOR, page.next_cursor)))))
    return links


def _url(address: str, parameters: tuple[tuple[str, str], ...]) -> str:
    return f"{address}?{urlencode(parameters, safe=',:', quote_via=quote)}" if parameters else address


OPERATION = Operation(
    code="everything",
    levels=frozenset({"instance"}),
    types=frozenset({"Patient"}),
    function=everything,
    definition="http://hl7.org/fhir/OperationDefinition/Patient-everything",
    parameters=(*standard_parameters("everything@Patient"), Parameter(CURSOR, "string")),
)
