"""Answers in bulk files: https://hl7.org/fhir/uv/bulkdata/STU2/export.html

What is asked is checked at once; a job lists what stands in the files, from the record as it was at one moment. The
files themselves are read when they are fetched. docs/adr/0028-bulk-files.md
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from itertools import chain
from typing import Any

import orjson

from hie.context import Context
from hie.errors import NotSupported, OutcomeIssue
from hie.fhir import bulk, outcome
from hie.fhir.bulk import DELETED, ERROR, OUTPUT, Filed
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.paging import link
from hie.fhir.routes import ANSWER_PARAMETERS
from hie.fhir.summary import Selection
from hie.interactions import operation
from hie.interactions.bulk_export import Entry, Export, Listed
from hie.registry import Operation
from hie.store import asynchronous, bulk_files
from hie.store.asynchronous import Asked
from hie.store.kept_answers import BULK
from hie.store.search.reading import Held, seen_by_page
from hie.store.search.seen import Seen, from_json

#: What one file has at most: lines, and bytes, if they are not those of a single line.
MOST_LINES, MOST_BYTES = 10_000, 8_000_000
#: A write has its time from when its request began: what was under way at the moment of the files is of so much before
#: it, so that a client that asks for what was changed since misses nothing. In microseconds.
UNDER_WAY = 60_000_000
#: Parameters of the answer to who asks, not of the files.
_OF_THE_ANSWER = frozenset({"_format", "_pretty"})
#: So many parameters that were left out are told of.
_MOST_TOLD = 100
#: So many resources of a file are read at a time.
_AT_ONCE = 500
#: A worker looks so often, in resources listed, whether the request is still wanted.
_LOOK = 5_000


def asked_for(request: FhirRequest, ctx: Context) -> tuple[Export, list[OutcomeIssue]] | None:
    """Return what a request for bulk files lists, once it is checked, and what is left out; None: its answer is none.
    """
    if request.interaction != "operation":
        return None
    found = operation.offered(request, ctx.registry)
    if found.files is None:
        return None
    known = {one.name for one in found.parameters} | _OF_THE_ANSWER
    if request.preferences.handling != "lenient":
        _refuse_unknown(request, known, found)
        issues: list[OutcomeIssue] = []
    else:
        request, issues = _lenient(request, known, found)
    export = found.files(operation.checked(request, found), ctx)
    return export, [*issues, *export.left_out]


def _refuse_unknown(request: FhirRequest, known: Set[str], found: Operation) -> None:
    """Refuse what would shape a resource that is answered: here that is done by parameters of the operation alone."""
    for name, _ in request.parameters:
        if name in ANSWER_PARAMETERS and name not in known:
            raise NotSupported(f"${found.code} has no parameter {name!r}; files are of whole resources, or of their "
                               "_elements.", expression=name)


def _lenient(request: FhirRequest, known: Set[str], found: Operation) -> tuple[FhirRequest, list[OutcomeIssue]]:
    """Return a request without unknown parameters, which `Prefer: handling=lenient` has left out."""
    unknown = [name for name, _ in request.parameters if name not in known]
    resource = request.resource
    rows = resource.get("parameter") if isinstance(resource, dict) else None
    if isinstance(rows, list):
        names = [one["name"] for one in rows if _has_name(one) and one["name"] not in known]
        kept = [one for one in rows if not _has_name(one) or one["name"] in known]
        unknown += names
        resource = {name: value for name, value in resource.items() if name != "parameter"}
        resource |= {"parameter": kept} if kept else {}
    parameters = tuple(one for one in request.parameters if one[0] in known)
    told = f"${found.code} has no parameter {{!r}}; it was left out."
    shown = [one[:80] for one in dict.fromkeys(unknown)][:_MOST_TOLD]
    issues = [OutcomeIssue("not-supported", told.format(one), one, "warning") for one in shown]
    return replace(request, parameters=parameters, resource=resource), issues


def _has_name(row: Any) -> bool:
    """Tell whether a parameter of a body has a name; of others it is told as ever what is wrong with them."""
    return isinstance(row, dict) and isinstance(row.get("name"), str)


# ---- doing -----------------------------------------------------------------------------------------------------------


def made(request: FhirRequest, asked: Asked, ctx: Context) -> bytes:
    """List the files of a request; return what is kept as its answer. Overtaken, Unauthenticated."""
    found = asked_for(request, ctx)
    assert found is not None  # noqa: S101 - it was when the request was kept
    export, left_out = found
    bulk_files.begin(ctx.store, asked.id, partial(asynchronous.refuse_taken_over, asked=asked))
    at, saw = moment(ctx)
    filing = _Filing(asked, ctx)
    for entry in chain(left_out, export.listed(ctx.within(ctx.store.as_of(at, saw)))):
        filing.take(entry)
    filing.end()
    files = bulk_files.listed(ctx.store, asked.id)
    address = f"{ctx.base_url}/_async/{asked.id}"
    return _kept({
        "status": 200, "manifest": bulk.manifest(address, _address(request, ctx), at - UNDER_WAY, files), "at": at,
        "seen": None if saw is None else saw.to_json(), "elements": export.elements,
    })  # fmt: skip


def refused(status: int, told: Any) -> bytes:
    """Return what is kept of a request for bulk files that is refused.

    Who asks for its status would take 401, 403, 404 and 429 for what is told of asking, not of what was asked.
    """
    return _kept({"status": status if status >= 500 else 422, "outcome": told})


def _kept(answer: dict[str, Any]) -> bytes:
    return BULK + orjson.dumps(answer)


def moment(ctx: Context) -> tuple[int, Seen | None]:
    """Return the time, and what is seen of the writes of all others at it."""
    with Held(ctx.store) as held:
        return ctx.clock(), seen_by_page(held.store)


def _address(request: FhirRequest, ctx: Context) -> str:
    """Return the address that was asked; of a POST without what its body says."""
    address = "/".join(filter(None, (ctx.base_url, request.type, request.id, f"${request.operation}")))
    return link(address, request.parameters) if request.method == "GET" else address


@dataclass(slots=True)
class _Filing:
    """Fills files, one of each kind and type at a time, and keeps those that are full."""

    asked: Asked
    ctx: Context
    number: int = 0
    taken: int = 0
    open: defaultdict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    sizes: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def take(self, entry: Entry) -> None:
        """Add a line for an entry."""
        if isinstance(entry, OutcomeIssue):
            place, line, size = (ERROR, ""), outcome.dump([entry]).decode(), 1_000
        elif isinstance(entry, Listed):
            place, line, size = (OUTPUT, entry.type), entry.id, entry.size
        else:
            place, line, size = (DELETED, ""), f"{entry.type}/{entry.id}", 100
        if place in self.open and (self.sizes[place] + size > MOST_BYTES or len(self.open[place]) >= MOST_LINES):
            self._keep(*place)
        self.open[place].append(line)
        self.sizes[place] += size
        self.taken += 1
        if self.taken % _LOOK == 0:
            self._look()

    def end(self) -> None:
        """Keep what is left."""
        self._look()
        for kind, type_name in list(self.open):
            self._keep(kind, type_name)

    def _keep(self, kind: str, type_name: str) -> None:
        lines = self.open.pop((kind, type_name))
        del self.sizes[kind, type_name]
        self.number += 1
        count = len(bulk.deletions([("", "")] * len(lines))) if kind == DELETED else len(lines)
        file = Filed(self.number, kind, type_name, count)
        bulk_files.add(self.ctx.store, self.asked.id, file, "\n".join(lines).encode(),
                       partial(asynchronous.refuse_taken_over, asked=self.asked))

    def _look(self) -> None:
        connection = self.ctx.store.connection()
        asynchronous.refuse_revoked(connection, self.asked)
        asynchronous.refuse_overtaken(connection, self.asked)


# ---- answering -------------------------------------------------------------------------------------------------------


def answered(kept: bytes, headers: dict[str, str]) -> FhirResponse | None:
    """Return the answer to who asks how far a request is that was done; None: it is not by bulk files."""
    told = _told(kept)
    if told is None:
        return None
    if "outcome" in told:
        return FhirResponse(told["status"], orjson.dumps(told["outcome"]), headers=headers)
    return FhirResponse(200, orjson.dumps(told["manifest"]), content_type=bulk.MANIFEST, headers=headers)


def _told(kept: bytes) -> dict[str, Any] | None:
    if not kept.startswith(BULK):
        return None
    told: dict[str, Any] = orjson.loads(kept[len(BULK) :])
    return told


def file(request: FhirRequest, ctx: Context, own: Callable[[FhirRequest, Context], Asked]) -> FhirResponse:
    """Return a file of a request that was done. `own`: NotFound where it is not this client's."""
    asked, name = own(request, ctx), request.file or ""
    number = bulk.number_of(name)
    answer = None if asked.finished is None else asynchronous.result_of(ctx.store, asked)
    told = None if answer is None else _told(answer)
    found = None if number is None else bulk_files.read(ctx.store, asked.id, number)
    if told is None or "manifest" not in told or found is None or found[0].name != name:
        raise asynchronous.unknown()
    content = BytesIO()  # 8 MB are held once
    for one in lines(*found, told, ctx):
        content.write(one)
        content.write(b"\n")
    ctx.store.entry.type = found[0].type or None
    return FhirResponse(200, content.getvalue(), content_type=bulk.NDJSON)


def lines(of: Filed, listed: bytes, told: dict[str, Any], ctx: Context) -> Iterator[bytes]:
    """Yield the lines of a file: of resources those that are still there, as they were, and may still be read."""
    rows = listed.decode().split("\n")
    if of.kind == OUTPUT:
        yield from _resources(of.type, rows, told, ctx)
    elif of.kind == DELETED:
        yield from bulk.deletions([(type_name, id_) for type_name, _, id_ in (one.partition("/") for one in rows)])
    else:
        yield from (one.encode() for one in rows)


def _resources(type_name: str, ids: Sequence[str], told: dict[str, Any], ctx: Context) -> Iterator[bytes]:
    saw = None if told["seen"] is None else from_json(told["seen"], at_instant=False)
    then = ctx.store.as_of(told["at"], saw)
    elements = tuple((of_type, name) for of_type, name in told["elements"])
    selection = Selection(None, elements) if elements else None
    for start in range(0, len(ids), _AT_ONCE):
        for one in then.each_read([(type_name, id_) for id_ in ids[start : start + _AT_ONCE]]):
            yield bulk.line(one.content or b"{}", ctx.base_url, selection)
