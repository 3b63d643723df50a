"""FHIR history interactions of an instance, a type and the system: https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from hie.context import Context
from hie.errors import InvalidSearch, NotSupported
from hie.fhir import bundle, facts, json_format, peers, references, summary
from hie.fhir.bundle import response_status
from hie.fhir.conditions import etag
from hie.fhir.datatypes import InvalidDate, parse_date
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.json_format import Fragment
from hie.fhir.paging import CURSOR, OFFSET, both_places, offset_of, page_size, total_of
from hie.fhir.summary import Selection
from hie.store.history import HistoryPage
from hie.store.models import CREATED, DELETED, PATCHED, REVIVED, UPDATED
from hie.store.versions import StoredVersion

_TYPE = "_type"
_KNOWN = frozenset({
    "_since", "_at", "_list", "_count", "_total", "_sort", _TYPE, OFFSET, CURSOR,
    "_format", "_pretty", "_summary", "_elements",
})  # fmt: skip
_NAMED = "_since, _at, _list, _count, _offset, {}_sort and _total"
#: What _sort may say; R5 and Microsoft's server have it.
_NEWEST_FIRST, _OLDEST_FIRST = "-_lastUpdated", "_lastUpdated"
#: How a period that _at means is bounded by a date with a prefix: from its beginning or end, to its beginning or end.
_FROM, _UNTIL = {"ge": 0, "gt": 1, "sa": 1}, {"lt": 0, "eb": 0, "le": 1}
_PREFIXES = frozenset({"eq", "ne", "ap", *_FROM, *_UNTIL})
_OPEN = -1 << 62, 1 << 62

#: What made a version, and what it was answered with; the first version of all is 201.
_ANSWERED = {
    CREATED: ("POST", 201), UPDATED: ("PUT", 200), REVIVED: ("PUT", 201), PATCHED: ("PATCH", 200),
    DELETED: ("DELETE", 200),
}  # fmt: skip


def history(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a page of versions, newest first, or the other way round where `_sort` asks for it."""
    _refuse_others(request)
    selection = summary.asked(request, request.type)
    count = 0 if selection is not None and selection.counts_only else page_size(request, ctx.settings)
    read = partial(ctx.store.history, request.type, request.id, since=_since(request), count=count,
                   during=_during(request), listed=_listed(request, ctx), counts=_counts(request),
                   types=_types(request), offset=_offset(request))
    page = _oldest_first(read, request) if request.once("_sort") == _OLDEST_FIRST else read(cursor=request.once(CURSOR))
    links = [("self", _url(request, ctx, request.once(CURSOR)))]
    around = (("first", page.first), ("previous", page.previous), ("next", page.next), ("last", page.last))
    for relation, cursor in around:
        if cursor is not None:
            links.append((relation, _url(request, ctx, cursor)))
    rows = [_entry(one, selection, ctx.base_url) for one in page.versions]
    content = bundle.listing("history", ctx.new_id(), ctx.clock(), links, rows, page.total)
    return FhirResponse(200, content, entity=(request.type, request.id) if request.type and request.id else None)


def _oldest_first(read: Callable[..., HistoryPage], request: FhirRequest) -> HistoryPage:
    """Return a page of versions, oldest first: the pages are those of the other order, met from the last one on."""
    page = read(cursor=request.once(CURSOR))
    total = page.total
    if page.last is not None and request.once(CURSOR) is None:
        page = read(cursor=page.last)
    return HistoryPage(page.versions[::-1], total, page.previous, page.next, page.last, page.first)


def _entry(stored: StoredVersion, selection: Selection | None, base_url: str) -> dict[str, Any]:
    address = f"{stored.type}/{stored.id}"
    entry: dict[str, Any] = {"fullUrl": f"{base_url}/{address}"}
    if stored.content is not None:
        entry["resource"] = Fragment(stored.content) if selection is None else selection.of(
            json_format.parse(stored.content))
    method, status = _ANSWERED[stored.method]
    entry["request"] = {"method": method, "url": stored.type if method == "POST" else address}
    entry["response"] = {"status": response_status(201 if stored.vid == 1 else status), "etag": etag(stored.vid),
                         "lastModified": instant(stored.updated)}
    return entry


def _since(request: FhirRequest) -> int | None:
    text = request.once("_since")
    if text is None:
        return None
    try:
        return parse_date(text.replace(" ", "+")).low  # a bare + in a URL means a space
    except InvalidDate as error:
        raise InvalidSearch(f"_since: {error}", expression="_since") from None


def _during(request: FhirRequest) -> tuple[int, int] | None:
    """Read _at: of versions that were current in the period that the date and time means.

    Prefixes are those of searches; two bounds (`_at=ge2024&_at=lt2025`) are one period.
    """
    texts = dict.fromkeys(value for name, value in request.parameters if name == "_at")
    if not texts:
        return None
    bounds = [_bounds(text.replace(" ", "+")) for text in texts]
    low, high = max(low for low, _ in bounds), min(high for _, high in bounds)
    if len(bounds) > 1 and (len(bounds) > 2 or not any(one[1] == _OPEN[1] for one in bounds)
                            or not any(one[0] == _OPEN[0] for one in bounds)):
        raise InvalidSearch("_at is given twice; two of it are the beginning and the end of a period, as in "
                            "_at=ge2024&_at=lt2025.", expression="_at")
    if low >= high:
        raise InvalidSearch("_at: the period ends before it begins.", expression="_at")
    return low, high


def _bounds(text: str) -> tuple[int, int]:
    prefix = text[:2] if text[:2] in _PREFIXES else ""
    try:
        ends = parse_date(text.removeprefix(prefix))[:2]
    except InvalidDate as error:
        raise InvalidSearch(f"_at: {error}", expression="_at") from None
    if prefix in _FROM:
        return ends[_FROM[prefix]], _OPEN[1]
    if prefix in _UNTIL:
        return _OPEN[0], ends[_UNTIL[prefix]]
    if prefix not in ("", "eq"):
        raise InvalidSearch(f"_at={text[:80]}: its prefixes are eq, {', '.join((*_FROM, *_UNTIL))}.", expression="_at")
    return ends


def _listed(request: FhirRequest, ctx: Context) -> str | None:
    """Read _list: of versions that a List names, all versions of what it names without one."""
    text = request.once("_list")
    if text is None:
        return None
    if text.startswith("$"):
        raise NotSupported(f"_list={text[:80]}: functional lists are not supported; name a List by its id.",
                           expression="_list")
    found = references.id_here(text, "List", ctx.base_url)
    if found is None:
        raise InvalidSearch(f"_list is {text[:80]!r}; a List is named by its id, as in _list=42 or _list=List/42.",
                            expression="_list")
    return found


def _types(request: FhirRequest) -> frozenset[str] | None:
    """Read _type, which LinuxForHealth's server has, of the history of the system; None: all types."""
    texts = [value for name, value in request.parameters if name == _TYPE]
    names = [part.strip() for text in texts for part in text.split(",")]
    if names and request.type is not None:
        raise InvalidSearch("Only the history of the system takes _type: GET [base]/_history?_type=…", expression=_TYPE)
    for name in names:
        if name not in facts.RESOURCE_TYPES:
            raise InvalidSearch(f"_type names {name[:80]!r}, which is no resource type of FHIR R4.", expression=_TYPE)
    return frozenset(names) or None


def _offset(request: FhirRequest) -> int:
    """Read _offset: how many of the newest versions the first page leaves out."""
    text = request.once(OFFSET)
    if text is None:
        return 0
    if request.once(CURSOR) is not None:
        raise both_places()
    if request.once("_sort") == _OLDEST_FIRST:
        raise NotSupported(f"{OFFSET} leaves out the newest versions; with _sort={_OLDEST_FIRST} follow the link next.",
                           expression=OFFSET)
    return offset_of(text)


def _counts(request: FhirRequest) -> bool:
    """Read _total, as of a search; an estimate is the count."""
    text = request.once("_total")
    return text is None or total_of(text) != "none"


def _refuse_others(request: FhirRequest) -> None:
    for name, value in request.parameters:
        if name == "_sort" and value not in (_OLDEST_FIRST, _NEWEST_FIRST):
            raise NotSupported(f"_sort={value[:80]}: versions are sorted by {_NEWEST_FIRST}, as they are anyway, or "
                               f"{_OLDEST_FIRST}.", expression=name)
        if name not in _KNOWN and (request.preferences.handling != "lenient" or name in peers.PLACES_OF_PAGES):
            here = peers.parameter(name)
            named = _NAMED.format("" if request.type else f"{_TYPE}, ")
            raise InvalidSearch(f"History has no parameter {name[:80]!r}; it has {named}"
                                + (f"; {here}." if here else "."), expression=name[:80])


def _url(request: FhirRequest, ctx: Context, cursor: str | None) -> str:
    path = "/".join(part for part in (request.type, request.id, "_history") if part)
    kept = [(name, value) for name, value in request.parameters if name in _KNOWN and name != CURSOR]
    if cursor is not None:
        kept = [*((name, value) for name, value in kept if name != OFFSET), (CURSOR, cursor)]
    return f"{ctx.base_url}/{path}" + (f"?{urlencode(kept)}" if kept else "")
