"""FHIR history interactions of an instance, a type and the system: https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from hie.context import Context
from hie.errors import InvalidSearch, NotSupported
from hie.fhir import bundle, json_format, summary
from hie.fhir.bundle import response_status
from hie.fhir.conditions import etag
from hie.fhir.datatypes import InvalidDate, parse_date
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.json_format import Fragment
from hie.fhir.paging import CURSOR, page_size
from hie.fhir.summary import Selection
from hie.store.models import CREATED, DELETED, PATCHED, REVIVED, UPDATED
from hie.store.versions import StoredVersion

_KNOWN = frozenset({"_since", "_at", "_count", CURSOR, "_format", "_pretty", "_summary", "_elements"})
_NOT_YET = frozenset({"_list", "_sort"})


#: What made a version, and what it was answered with; the first version of all is 201.
_ANSWERED = {
    CREATED: ("POST", 201), UPDATED: ("PUT", 200), REVIVED: ("PUT", 201), PATCHED: ("PATCH", 200),
    DELETED: ("DELETE", 200),
}  # fmt: skip


def history(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a page of versions, newest first."""
    _refuse_others(request)
    selection = summary.parse(request.parameters)
    count = 0 if selection is not None and selection.counts_only else page_size(request, ctx.settings)
    page = ctx.store.history(request.type, request.id, since=_since(request), count=count,
                             cursor=request.once(CURSOR), during=_during(request))
    links = [("self", _url(request, ctx, request.once(CURSOR)))]
    around = (("first", page.first), ("previous", page.previous), ("next", page.next), ("last", page.last))
    for relation, cursor in around:
        if cursor is not None:
            links.append((relation, _url(request, ctx, cursor)))
    rows = [_entry(one, selection, ctx.base_url) for one in page.versions]
    content = bundle.listing("history", ctx.new_id(), ctx.clock(), links, rows, page.total)
    return FhirResponse(200, content, entity=(request.type, request.id) if request.type and request.id else None)


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
    """Read _at: of versions that were current in the period that the date and time means."""
    text = request.once("_at")
    if text is None:
        return None
    try:
        low, high, _ = parse_date(text.replace(" ", "+"))
    except InvalidDate as error:
        raise InvalidSearch(f"_at: {error}", expression="_at") from None
    return low, high


def _refuse_others(request: FhirRequest) -> None:
    for name, _ in request.parameters:
        if name in _NOT_YET:
            raise NotSupported(f"{name} is not supported for history; _since, _at and _count are.", expression=name)
        if name not in _KNOWN and request.preferences.handling != "lenient":
            raise InvalidSearch(f"History has no parameter {name[:80]!r}; it has _since, _at and _count.",
                                expression=name[:80])


def _url(request: FhirRequest, ctx: Context, cursor: str | None) -> str:
    path = "/".join(part for part in (request.type, request.id, "_history") if part)
    kept = [(name, value) for name, value in request.parameters if name in _KNOWN and name != CURSOR]
    if cursor is not None:
        kept.append((CURSOR, cursor))
    return f"{ctx.base_url}/{path}" + (f"?{urlencode(kept)}" if kept else "")
