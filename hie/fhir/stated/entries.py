"""Which entry of a Bundle a reference means, and which ones belong together: https://hl7.org/fhir/R4/bundle.html#references"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from hie.fhir import references
from hie.fhir.fhirpath import model
from hie.fhir.validation import narrative

from . import narratives
from .walk import objects

Json = dict[str, Any]

_HISTORY = re.compile(r"(.+)/_history/([A-Za-z0-9\-.]{1,64})")
_LINKS = frozenset({"uri", "url", "canonical"})


class Entries:
    """The entries by fullUrl, as references in them mean them."""

    def __init__(self, rows: list[Json]) -> None:
        self._urls: list[str | None] = [url if isinstance(url := row.get("fullUrl"), str) else None for row in rows]
        self._by_url: dict[str, list[int]] = {}
        self._by_version: dict[tuple[str, str], list[int]] = {}
        for index, url in enumerate(self._urls):
            if url is not None:
                self._by_url.setdefault(url, []).append(index)
                if (version := _version(rows[index].get("resource"))) is not None:
                    self._by_version.setdefault((url, version), []).append(index)
        self._alike: dict[str, int] = {}
        for index, row in enumerate(rows):
            if isinstance(one := row.get("resource"), dict):
                self._alike.setdefault(f"{one.get('resourceType')}/{one.get('id')}", index)

    def find(self, text: str, asking: int) -> list[int]:
        """Give the entries that a text in another entry means; of several versions without one, all."""
        match = _HISTORY.fullmatch(text)
        plain = match[1] if match else text
        # A fullUrl that is relative is told; who refers to it so means it.
        urls = (self._absolute(plain, asking) or plain, plain)
        if match is None:
            return self._by_url.get(urls[0]) or self._by_url.get(plain, [])
        return self._by_version.get((urls[0], match[2])) or self._by_version.get((plain, match[2]), [])

    def versions(self) -> Iterable[list[int]]:
        """Give the entries of each resource that is there in several versions."""
        return (found for found in self._by_url.values() if len(found) > 1)

    def _absolute(self, text: str, asking: int) -> str | None:
        """Read a relative reference as of the server that the entry it stands in is of; of no server it means none."""
        if references.parse(text).kind != "relative":
            return text
        own = self._urls[asking]
        if own is None or references.parse(own).kind != "absolute":
            return None
        return f"{own.rsplit('/', 2)[0]}/{text}"

    def alike(self, text: str) -> int | None:
        """Give an entry that has the type and the id of a relative reference, if not its URL."""
        parsed = references.parse(text)
        return self._alike.get(f"{parsed.type}/{parsed.id}") if parsed.kind == "relative" else None


def belonging(bundle: Json, entries: Entries) -> set[int]:
    """Give the entries that links lead to from the first one, forward or backward; stylesheets are linked as well."""
    linked: dict[int, set[int]] = defaultdict(set)
    for found in entries.versions():
        for one, other in pairwise(found):
            linked[one].add(other)
            linked[other].add(one)
    for index, row in enumerate(bundle["entry"]):
        resource = row.get("resource")
        for text in _texts(resource) if isinstance(resource, dict) else ():
            near = entries.alike(text)  # what is meant by it is told where it matters
            for other in entries.find(text, index)[:1] or ([] if near is None else [near]):
                linked[index].add(other)
                linked[other].add(index)
    reached, waiting = {0}, [0, *_stylesheets(bundle, entries)]
    while waiting:
        here = waiting.pop()
        reached.add(here)
        waiting += linked[here] - reached
    return reached


def _texts(resource: Json) -> Iterator[str]:
    """Give every text that may name another entry: references, links, and what a narrative shows or links to."""
    for one in objects(resource):
        if one.type == "Narrative":
            yield from _in_narrative(str(one.value.get("div", "")))
            continue
        for child in model.children(one.type).values():
            is_reference = one.type == "Reference" and child.name == "reference"
            if is_reference or any(kind in _LINKS for _, kind in child.forms):
                yield from _plain(one.value.get(name) for name, _ in child.forms)


def _in_narrative(div: str) -> Iterator[str]:
    found: dict[str, None] = {}

    def start(_: str, attributes: dict[str, str]) -> None:
        if len(found) < narratives.MOST:
            found.update((attributes[name], None) for name in ("href", "src") if name in attributes)

    narrative.read(div, start)
    yield from found


def _plain(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, str):
                yield one


def _stylesheets(bundle: Json, entries: Entries) -> Iterator[int]:
    """https://hl7.org/fhir/R4/documents.html#css"""
    for link in bundle.get("link", ()):
        if link.get("relation") == "stylesheet" and isinstance(url := link.get("url"), str):
            yield from entries.find(url, 0)


def _version(resource: Any) -> str | None:
    meta = resource.get("meta") if isinstance(resource, dict) else None
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None
