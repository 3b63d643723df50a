"""FHIR search interaction: https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.errors import OutcomeIssue
from hie.fhir import bundle, json_format, outcome, search_parameters, summary
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.paging import CURSOR, OFFSET, link
from hie.fhir.summary import Selection
from hie.interactions import as_of, definition, functional_lists
from hie.store.search import query as search_query
from hie.store.search.query import SearchQuery
from hie.store.terminology import OfPages
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.search.engine import SearchPage

#: The web server takes 65,534 characters of a URL without scheme and host.
MOST_OF_A_URL = 65_000


def search(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a page of what matches, with what it includes."""
    ctx = as_of.context(request, ctx)
    if functional_lists.is_asked(request.parameters):
        request = functional_lists.by_id(request, ctx)
    with OfPages(ctx.store, request.parameter(CURSOR)) as terminology:
        query = search_query.parse(
            request.type,
            request.parameters,
            handling=request.preferences.handling,
            default_count=ctx.settings.default_page_size,
            max_count=ctx.settings.max_page_size,
            base_url=ctx.base_url,
            now=ctx.clock(),
            terminology=terminology,
            compartment=request.compartment,
            at=ctx.store.at,
            contained=True,
            offset=True,
        )
        selection = summary.asked(request, query.type if query.contained is None else None)
        page = definition.beside(terminology.store.search(query), query, ctx)
    links = _links(query, page, ctx.base_url)
    rows = list(_entries(page, query, selection, ctx.base_url, links))
    content = bundle.listing("searchset", ctx.new_id(), ctx.clock(), links, rows, page.total)
    return FhirResponse(200, content)


def _entries(
    page: SearchPage, query: SearchQuery, selection: Selection | None, base_url: str, links: list[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    yield from outcomes(query, len(page.included), _all_of(page) if page.is_cut else None, _too_long(links))
    of_included = selection and selection.of_included()
    for mode, versions, told, part in (
            ("match", page.matches, page.told, selection), ("include", page.included, (), of_included)):
        for number, stored in enumerate(versions):
            place = stored.id if stored.fragment is None else f"{stored.id}#{stored.fragment}"
            entry = bundle.match_entry(base_url, stored.type, place, _shown(stored, part), mode)
            if told:
                entry["search"] |= told[number]
            yield entry


def _all_of(page: SearchPage) -> str:
    """Tell how all is shown that a page would include; no page has less than one match."""
    if len(page.matches) > 1:
        return "a smaller _count shows all of them over more pages"
    return "a search for their own types, by what they refer to or by _has, shows all of them over pages"


def _shown(stored: StoredVersion, selection: Selection | None) -> bytes | dict[str, Any]:
    content = stored.content or b"{}"
    return content if selection is None else selection.of(json_format.parse(content))


def outcomes(
    query: SearchQuery, included: int, cut: str | None, further: Iterable[OutcomeIssue] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the entry that tells what was left out, where something was; `cut`: how all of the included is shown."""
    warnings = [*_ignored(query), *further]
    if cut is not None:
        told = (f"More resources would be included than the {included} of this page (1,000 at most, and :iterate "
                f"goes on 10 times); {cut}.")
        warnings.append(OutcomeIssue("incomplete", told, "_include", "warning"))
    if warnings:
        yield bundle.outcome_entry(outcome.outcome(warnings))


def _ignored(query: SearchQuery) -> Iterator[OutcomeIssue]:
    for name in query.ignored:
        hint = search_parameters.meant(query.type or "Resource", name.partition(":")[0])
        yield OutcomeIssue("not-supported", f"The unknown parameter {name[:80]} was ignored, as handling=lenient asks"
                           + hint, name[:80], "warning")


def _links(query: SearchQuery, page: SearchPage, base_url: str) -> list[tuple[str, str]]:
    below = query.type if query.address is None else query.address
    address = f"{base_url}/{below}" if below else base_url
    begins = ((CURSOR, query.cursor),) if query.cursor else ((OFFSET, str(query.offset)),) if query.offset else ()
    links = [("self", link(address, query.self_link + begins))]
    return links + [(relation, link(address, (*query.self_link, (CURSOR, leads)))) for relation, leads in page.cursors]


def _too_long(links: list[tuple[str, str]]) -> Iterator[OutcomeIssue]:
    """Tell of links to other pages that no GET can follow, as the search came by POST with more than a URL holds."""
    longest = max((len(url) for relation, url in links if relation != "self"), default=0)
    if longest > MOST_OF_A_URL:
        told = (f"The links to other pages have {longest} characters, and a URL has {MOST_OF_A_URL} at most: send what "
                "stands behind the ? of a link as the form of a POST to _search.")
        yield OutcomeIssue("too-long", told, "Bundle.link", "warning")
