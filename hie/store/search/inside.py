"""Chains into a Bundle: `composition.title`, `message.event`, `composition.patient.identifier`.

A document's Composition and a message's MessageHeader are the Bundle's first entry, and what they refer to stands in
the same Bundle (https://hl7.org/fhir/R4/bundle.html#search, #references). The index knows which Bundles have such an
entry; what it says is tested on the opened Bundle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hie.errors import Forbidden
from hie.fhir import bundle_links
from hie.fhir.search_parameters import IndexValues, SearchParameter, extract
from hie.store.search import compiling, verifying
from hie.store.search.chain import Chain, Inside
from hie.store.search.criteria import Compiled, Criterion
from hie.store.search.reference_walks import reference_walk
from hie.store.search.sort_keys import Path

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

T = TypeVar("T")


def compile_(store: ResourceStore, asked: Inside, type_name: str) -> Compiled:
    """Return the Bundles that have such an entry, and the test of what it says.

    Conditions of scopes hold of resources that stand by themselves: types that have some are not looked at in here.
    """
    types = frozenset(one for one in _types(asked) if store.grant.covers_all(one, "s"))
    if asked.type not in types or not _is_open(asked.asked, types):
        raise _closed(asked.type)
    clause = compiling.present(asked.parameter, store.blind, type_name)
    return Compiled(clause, lambda found: _Bundle(found.root, types).holds(asked))


def open_types(store: ResourceStore, path: Path) -> frozenset[str]:
    """Return the types that may be looked at for an order by what stands in Bundles. Forbidden."""
    types = frozenset(one for one in _types(path) if store.grant.covers_all(one, "s"))
    if not _is_open(path, types):
        raise _closed(path.ends[0][0])
    return types


def reached(
    root: dict[str, Any], types: frozenset[str], path: Path
) -> Iterator[tuple[dict[str, Any], SearchParameter]]:
    """Yield what a path leads to in an opened Bundle, with the parameter that it is sorted by."""
    return _Bundle(root, types).reached(path)


def _closed(type_name: str) -> Forbidden:
    return Forbidden("The token has no scope without conditions to search what the chain meets in the Bundle: "
                     f"system/{type_name}.s and that of what it goes on to are needed.")


def _types(asked: Any) -> Iterator[str]:
    match asked:
        case Inside():
            yield asked.type
            yield from _types(asked.asked)
        case Chain(_, ends) | Path(_, ends):
            for type_name, below in ends:
                yield type_name
                yield from _types(below)


def _is_open(asked: Any, types: frozenset[str]) -> bool:
    """Tell whether a chain can end anywhere that the token may search."""
    if not isinstance(asked, Chain | Path):
        return True
    return any(type_name in types and _is_open(below, types) for type_name, below in asked.ends)


@dataclass(frozen=True, slots=True)
class _Bundle:
    """An opened Bundle, and the types that may be looked at."""

    root: dict[str, Any]
    types: frozenset[str]

    def holds(self, asked: Inside) -> bool:
        """Tell whether the first entry matches."""
        first = next(iter(self._entries()), None)
        return first is not None and self._is(first, asked.type, asked.asked)

    def reached(self, path: Path) -> Iterator[tuple[dict[str, Any], SearchParameter]]:
        """Yield what a path leads to from the first entry."""
        ((type_name, below),) = path.ends
        for first in self._entries()[:1]:
            if self._is_of(first, type_name):
                yield from self._behind(first, below)

    def _behind(
        self, entry: dict[str, Any], below: Path | SearchParameter
    ) -> Iterator[tuple[dict[str, Any], SearchParameter]]:
        if isinstance(below, SearchParameter):
            yield entry["resource"], below
            return
        for target, end in self._followed(entry, below.parameter.code, dict(below.ends)):
            yield from self._behind(target, end)

    def _entries(self) -> list[dict[str, Any]]:
        entries = self.root.get("entry")
        return [one for one in entries if type(one) is dict] if type(entries) is list else []

    def _is(self, entry: dict[str, Any], type_name: str, asked: Any) -> bool:
        if not self._is_of(entry, type_name):
            return False
        if isinstance(asked, Criterion):
            return verifying.holds(asked, type_name, extract(entry["resource"]))
        assert isinstance(asked, Chain)  # noqa: S101 - the reader takes nothing else in here
        return any(self._is(target, target["resource"]["resourceType"], below)
                   for target, below in self._followed(entry, asked.parameter.code, dict(asked.ends)))

    def _is_of(self, entry: dict[str, Any], type_name: str) -> bool:
        resource = entry.get("resource")
        return type(resource) is dict and resource.get("resourceType") == type_name and type_name in self.types

    def _followed(
        self, entry: dict[str, Any], code: str, ends: dict[str, T]
    ) -> Iterator[tuple[dict[str, Any], T]]:
        """Yield the entries that one refers to by a parameter, with what is asked of their types."""
        values = IndexValues(entry["resource"])
        reference_walk(entry["resource"]["resourceType"], code)(entry["resource"], values)
        for value in values.references:
            for target in self._targets(value, entry):
                kind = target["resource"]["resourceType"]
                if kind in ends and kind in self.types:
                    yield target, ends[kind]

    def _targets(self, value: Any, source: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the entry that a reference leads to: by its fullUrl, read against that of the entry it stands in."""
        _, type_name, id_, url, _, _ = value
        names = {url} if url is not None else set()
        if type_name is not None and id_ is not None and url is None:
            root = bundle_links.root_of(source.get("fullUrl"))
            names = {f"{root or ''}{type_name}/{id_}"}
        for entry in self._entries():
            resource = entry.get("resource")
            if type(resource) is dict and isinstance(resource.get("resourceType"), str) and entry.get(
                    "fullUrl") in names:
                yield entry
