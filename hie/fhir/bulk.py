"""Bulk files: what they are called, the manifest that lists them, their lines.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from hie.errors import NotSupported
from hie.fhir import json_format
from hie.fhir.instants import instant
from hie.fhir.summary import Selection

Json = dict[str, Any]

NDJSON = "application/fhir+ndjson"
MANIFEST = "application/json"
#: What `_outputFormat` may say.
FORMATS = frozenset({NDJSON, "application/ndjson", "ndjson"})
#: Lists of a manifest, and what their files hold: resources, transactions that delete, outcomes.
OUTPUT, DELETED, ERROR = "output", "deleted", "error"
_TYPES = {DELETED: "Bundle", ERROR: "OperationOutcome"}
#: So many deletions stand in one line.
_AT_ONCE = 500
_NAME = re.compile(r"([A-Z][A-Za-z]+)\.([1-9][0-9]{0,7})\.ndjson", re.ASCII)
#: Stored JSON is compact, and a quote inside a string is escaped: this finds the address of an attachment.
_ATTACHMENT = re.compile(rb'"url":"(?=Binary/[A-Za-z0-9\-.]{1,64}(?:/_history/[0-9]{1,10})?")')


class Filed(NamedTuple):
    """One file, as a manifest tells of it."""

    number: int
    kind: str
    """The list of the manifest that it stands in."""
    type: str
    lines: int

    @property
    def name(self) -> str:
        """What it is called below the address of its request."""
        return f"{self.shown}.{self.number}.ndjson"

    @property
    def shown(self) -> str:
        """The type of its lines."""
        return _TYPES.get(self.kind, self.type)


def number_of(name: str) -> int | None:
    """Return the number in the name of a file; None where it is no such name."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[2])


def refuse_format(text: str | None) -> None:
    """Refuse an `_outputFormat` that is none of NDJSON's names."""
    if text is not None and text.strip().replace(" ", "+") not in FORMATS:
        raise NotSupported(f"_outputFormat is {text[:80]!r}; files are {', '.join(sorted(FORMATS))}, which are the "
                           "same.", expression="_outputFormat")


def manifest(address: str, request: str, at: int, files: Iterable[Filed]) -> Json:
    """Return what lists the files that lie below an address."""
    lists: dict[str, list[Json]] = {OUTPUT: [], DELETED: [], ERROR: []}
    for one in files:
        lists[one.kind].append({"type": one.shown, "url": f"{address}/{one.name}", "count": one.lines})
    return {"transactionTime": instant(at), "request": request, "requiresAccessToken": True, **lists}


def line(content: bytes, base_url: str, selection: Selection | None) -> bytes:
    """Return a resource as a file has it: compact as it is stored, the addresses of its attachments absolute.

    https://hl7.org/fhir/uv/bulkdata/STU2/export.html#attachments. What stands in a Bundle are addresses of requests.
    """
    if selection is not None:
        content = json_format.dump(selection.of(json_format.parse(content)))
    if not content.startswith(b'{"resourceType":"Bundle"'):
        content = _ATTACHMENT.sub(f'"url":"{base_url}/'.encode(), content)
    return content


def deletions(places: Sequence[tuple[str, str]]) -> list[bytes]:
    """Return the lines of a file of deletions: transactions that delete what is gone."""
    lines = []
    for start in range(0, len(places), _AT_ONCE):
        entries = [{"request": {"method": "DELETE", "url": f"{type_name}/{id_}"}}
                   for type_name, id_ in places[start : start + _AT_ONCE]]
        lines.append(orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    return lines
