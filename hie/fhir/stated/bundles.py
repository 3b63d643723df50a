"""What R4 says of a Bundle's entries: their fullUrl, and what a document or a message holds.

https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl, https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from hie.fhir import references
from hie.fhir.primitives import shown
from hie.fhir.validation import full_urls
from hie.fhir.validation.issue import Problem, below

from . import entries
from .entries import Entries

Json = dict[str, Any]


class _Whole(NamedTuple):
    """A Bundle that is one thing: what it starts with, and of which elements of that it has the targets."""

    name: str
    first: str
    held: frozenset[str]


#: What a Composition replaces (relatesTo) is another document; https://hl7.org/fhir/R4/messageheader-definitions.html#MessageHeader.focus
_WHOLES = {
    "document": _Whole("document", "Composition", frozenset(
        {"subject", "encounter", "author", "attester", "custodian", "event", "section"})),
    "message": _Whole("message", "MessageHeader", frozenset({"focus"})),
}  # fmt: skip

#: In these a resource need not be on a server yet, or is told of by the request.
_SENT = frozenset({"batch", "transaction", "batch-response", "transaction-response"})


def of(bundle: Json) -> Iterator[Problem]:
    """Give what is not as it should be about the entries of a valid Bundle."""
    rows = bundle.get("entry", [])
    for index, row in enumerate(rows):
        yield from below(f".entry[{index}]", _full_url(row, bundle))
    first = rows[0].get("resource") if rows else None
    whole = _WHOLES.get(str(bundle.get("type")))
    if whole is None or not isinstance(first, dict) or first.get("resourceType") != whole.first:
        return
    entries_ = Entries(rows)
    yield from _held(first, whole, entries_)
    if whole.name == "document":
        yield from _apart(bundle, entries_)


def _full_url(row: Json, bundle: Json) -> Iterator[Problem]:
    for path, _, code, text in full_urls.of_entry(row, bundle) or ():
        yield path, "error", code, text
    url, resource = row.get("fullUrl"), row.get("resource")
    if bundle.get("type") in _SENT or not isinstance(url, str) or not isinstance(resource, dict) or "id" in resource:
        return
    if references.parse(url).kind == "absolute":
        text = f"The fullUrl {shown(url)} is of a resource on a server; it has an id, as all but new ones have."
        yield ".resource", "error", "value", text


def _held(first: Json, whole: _Whole, entries_: Entries) -> Iterator[Problem]:
    """What the first entry refers to itself is there as well."""
    for path, text in _named(first, whole):
        found = entries_.find(text, 0)
        where = f".entry[0].resource{path.removeprefix(whole.first)}.reference"
        if not found:
            yield where, "error", "not-found", _absent(text, whole, entries_)
        elif len(found) > 1:
            text = f"{shown(text)} names {len(found)} versions in this {whole.name}; which is meant has to be said."
            yield where, "warning", "value", text


def _apart(bundle: Json, entries_: Entries) -> Iterator[Problem]:
    """A document holds nothing that has no part in it."""
    reached = entries.belonging(bundle, entries_)
    for index, row in enumerate(bundle["entry"]):
        if index not in reached and isinstance(row.get("resource"), dict):
            text = "No reference or link leads from the document's Composition to this entry, nor back; a document " \
                   "holds what belongs to it, and nothing else."  # fmt: skip
            yield f".entry[{index}]", "warning", "structure", text


def _named(first: Json, whole: _Whole) -> Iterator[tuple[str, str]]:
    """Give the literal references of those elements of which the targets have to be there."""
    for where, reference in references.iterate(first):
        text = reference.get("reference")
        name = where.removeprefix(whole.first + ".").partition(".")[0].partition("[")[0]
        if isinstance(text, str) and not text.startswith("#") and name in whole.held and ".extension[" not in where:
            yield where, text


def _absent(text: str, whole: _Whole, entries_: Entries) -> str:
    if entries_.alike(text) is not None:
        return (f"{shown(text)} is not in this {whole.name}: an entry has this type and id, but a relative reference "
                "means what the fullUrl of the entry it stands in begins with. Use the fullUrl of that entry.")
    return f"{shown(text)} is not in this {whole.name}, which has to hold what its {whole.first} refers to."
