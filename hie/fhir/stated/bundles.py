"""What R4 says of a Bundle's entries: their fullUrl, and what a document holds.

https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl, https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.fhir import references
from hie.fhir.primitives import shown
from hie.fhir.validation import full_urls
from hie.fhir.validation.issue import Problem, below

from . import entries
from .entries import Entries

Json = dict[str, Any]

#: In these a resource need not be on a server yet, or is told of by the request.
_SENT = frozenset({"batch", "transaction", "batch-response", "transaction-response"})


def of(bundle: Json) -> Iterator[Problem]:
    """Give what is not as it should be about the entries of a valid Bundle."""
    rows = bundle.get("entry", [])
    for index, row in enumerate(rows):
        yield from below(f".entry[{index}]", _full_url(row, bundle))
    composition = rows[0].get("resource") if bundle.get("type") == "document" and rows else None
    if isinstance(composition, dict) and composition.get("resourceType") == "Composition":
        yield from _document(bundle, composition, Entries(rows))


def _full_url(row: Json, bundle: Json) -> Iterator[Problem]:
    for path, _, code, text in full_urls.of_entry(row, bundle) or ():
        yield path, "error", code, text
    url, resource = row.get("fullUrl"), row.get("resource")
    if bundle.get("type") in _SENT or not isinstance(url, str) or not isinstance(resource, dict) or "id" in resource:
        return
    if references.parse(url).kind == "absolute":
        text = f"The fullUrl {shown(url)} is of a resource on a server; it has an id, as all but new ones have."
        yield ".resource", "error", "value", text


def _document(bundle: Json, composition: Json, entries_: Entries) -> Iterator[Problem]:
    """A document holds what its Composition refers to, and nothing that has no part in it."""
    for path, text in _named(composition, "Composition"):
        found = entries_.find(text, 0)
        where = f".entry[0].resource{path.removeprefix('Composition')}.reference"
        if not found:
            yield where, "error", "not-found", _absent(text, entries_)
        elif len(found) > 1:
            text = f"{shown(text)} names {len(found)} versions in this document; which is meant has to be said."
            yield where, "warning", "value", text
    reached = entries.belonging(bundle, entries_)
    for index, row in enumerate(bundle["entry"]):
        if index not in reached and isinstance(row.get("resource"), dict):
            text = "No reference or link leads from the document's Composition to this entry, nor back; a document " \
                   "holds what belongs to it, and nothing else."  # fmt: skip
            yield f".entry[{index}]", "warning", "structure", text


def _named(composition: Json, path: str) -> Iterator[tuple[str, str]]:
    """Give the literal references that the Composition itself makes: its header's and its sections'.

    What it replaces (relatesTo) is another document.
    """
    for where, reference in references.iterate(composition):
        text = reference.get("reference")
        name = where.removeprefix(path + ".").partition(".")[0].partition("[")[0]
        if isinstance(text, str) and not text.startswith("#") and name in _HELD:
            yield where, text


_HELD = frozenset({"subject", "encounter", "author", "attester", "custodian", "event", "section"})


def _absent(text: str, entries_: Entries) -> str:
    if entries_.alike(text) is not None:
        return (f"{shown(text)} is not in this document: an entry has this type and id, but a relative reference means "
                "what the fullUrl of the entry it stands in begins with. Use the fullUrl of that entry.")
    return f"{shown(text)} is not in this document, which has to hold all that its Composition refers to."
