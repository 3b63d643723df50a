"""The terminology that is stored, seen through the grant of who asks: https://hl7.org/fhir/R4/terminology-service.html

A resource that a search of the token would not find is not there, whoever names it. Behind it stands what installed
packages define.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hie.errors import Forbidden, TooCostly
from hie.fhir import references, search_parameters
from hie.fhir.profiles.terminology import InstalledTerminology
from hie.fhir.terminology.source import Known
from hie.fhir.terminology.terminology import Terminology, Versions
from hie.fhir.version_order import version_order
from hie.store.opening import parsed
from hie.store.search import all_codes, criteria, engine, ordering, reference, uri
from hie.store.search.query import SearchQuery
from hie.store.search.reading import Held
from hie.store.search.string import StringValue
from hie.store.search.token import TokenValue

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore
    from hie.store.versions import StoredVersion

Json = dict[str, Any]
_Key = tuple[int, str, str, int, int]

#: What canonicals lead to; the URL of a code system is its name in codes, and no place.
_AT_PLACES = frozenset({"Questionnaire", "StructureDefinition", "ValueSet"})
#: Versions of one canonical URL, supplements of one code system, maps between two.
MOST_FOUND, MOST_BYTES = 100, 128_000_000


def terminology(store: ResourceStore, versions: Versions | None = None, given: Iterable[Json] = ()) -> Terminology:
    """Return the terminology service over what the store's grant lets through, what is installed, and R4."""
    profiles = store.keys.profiles
    stored = StoredTerminology(store)
    return Terminology(stored if profiles is None else InstalledTerminology(stored, profiles.library), versions, given)


class Later:
    """The terminology of one request, made when it is first asked for."""

    __slots__ = ("_made", "_store")

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self._made: Terminology | None = None

    def __call__(self) -> Terminology:
        """Return the same one each time, so that all its questions share one limit."""
        if self._made is None:
            self._made = terminology(self._store)
        return self._made


class OfPages:
    """The terminology of one search: what the first page means by a value set, all pages mean by it.

    Where it is asked, it is read at the state in which the first page is read (`store`), and for further pages as of
    that: docs/adr/0018-record-as-of-an-instant.md
    """

    __slots__ = ("_cursor", "_held", "_made", "store")

    def __init__(self, store: ResourceStore, cursor: str | None) -> None:
        self.store, self._cursor = store, cursor
        self._made: Terminology | None = None
        self._held: Held | None = None

    def __call__(self) -> Terminology:
        """Return the same one each time, so that all its questions share one limit."""
        if self._made is None:
            self._made = terminology(self._then())
        return self._made

    def _then(self) -> ResourceStore:
        if self._cursor is not None:
            first = ordering.first_page(self.store, self._cursor)
            return self.store if first is None else self.store.as_of(*first)
        self._held = Held(self.store)
        self.store = self._held.store
        return self.store

    def __enter__(self) -> OfPages:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._held is not None:
            self._held.end(failed=kind is not None)


class StoredTerminology:
    """CodeSystem, ValueSet and ConceptMap resources of one tenant."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store

    def find(self, type_name: str, url: str, version: str | None) -> Known | None:
        """Return the resource with this URL; without a version the one in use with the highest.

        Where none has it the URL may say where the resource stands, as R4's own examples write it (`Questionnaire/42`).
        """
        asked = {"url": url}
        if version is not None and "version" in search_parameters.for_type(type_name):
            asked["version"] = version
        rows = self._search(type_name, asked) or self._standing_at(type_name, url)
        found = [self._known(one) for one in rows]
        if version is not None:
            found = [one for one in found if one.resource.get("version") == version]
        return max(found, key=_age, default=None)

    def _standing_at(self, type_name: str, url: str) -> list[StoredVersion]:
        id_ = references.id_here(url, type_name, self._store.base_url) if "/" in url else None
        if id_ is None or type_name not in _AT_PLACES:
            return []
        return self._found(type_name, (criteria.Criterion(criteria.parameter_of(type_name, "_id"), "", (id_,)),))

    def named(self, type_name: str, name: str) -> list[Known]:
        """Return the resources with this name, which need not be of one kind: of each URL the version as for `find`."""
        asked = criteria.Criterion(criteria.parameter_of(type_name, "name"), "exact", (StringValue(name, "exact"),))
        newest: dict[Any, Known] = {}
        for one in sorted((self._known(each) for each in self._found(type_name, (asked,))), key=_age):
            newest[one.resource.get("url", one.key)] = one
        return list(newest.values())

    def read(self, type_name: str, id_: str) -> Json:
        """Return the resource with this id; NotFound, Gone, Forbidden."""
        return self._known(self._store.read(type_name, id_)).resource

    def of_all_codes(self, url: str, version: str | None) -> Known | None:
        """Return the code system that names this value set, of all its codes; the one in use with the highest version.
        """
        named = url if version is None else f"{url}|{version}"
        asked = criteria.Criterion(all_codes.PARAMETER, "", (uri.UriValue(named),))
        found = [self._known(one) for one in self._found("CodeSystem", (asked,))]
        return max((one for one in found if one.resource.get("content") != "supplement"), key=_age, default=None)

    def supplements(self, url: str) -> list[Known]:
        """Return the supplements of a code system."""
        found = [self._known(one) for one in self._search("CodeSystem", {"supplements": url})]
        return [one for one in found if one.resource.get("content") == "supplement"]

    def concept_maps(self, criteria: Mapping[str, str]) -> list[Json]:
        """Return the concept maps that match search criteria."""
        return [self._known(one).resource for one in self._search("ConceptMap", criteria)]

    def _search(self, type_name: str, wanted: Mapping[str, str]) -> list[StoredVersion]:
        return self._found(
            type_name, tuple(_criterion(type_name, name, text, self._store.base_url) for name, text in wanted.items()))

    def _found(self, type_name: str, asked: tuple[criteria.Criterion, ...]) -> list[StoredVersion]:
        """Return what is found; TooCostly where some would be passed over, of which one may be what is meant."""
        try:
            page = engine.search(self._store, SearchQuery(
                type_name, asked, count=MOST_FOUND, total="none", most_bytes=MOST_BYTES))
        except Forbidden:
            return []
        if page.next_cursor is not None:
            named = " and ".join(one.parameter.code for one in asked)
            raise TooCostly(f"More than {MOST_FOUND} resources {type_name}, or than {MOST_BYTES} bytes of them, have "
                            f"the same {named}; narrow it by what else is asked for, or remove those that are out of "
                            "date.", expression="url")
        return page.matches

    def _known(self, version: StoredVersion) -> Known:
        # The content's hash tells two databases apart that one process opens.
        key = (self._store.tenant, version.type, version.id, version.vid, hash(version.content))
        return Known(_PARSED.resource(key, version), key)


def _criterion(type_name: str, name: str, text: str, base_url: str) -> criteria.Criterion:
    parameter = criteria.parameter_of(type_name, name)
    if parameter.type == "uri":
        return criteria.Criterion(parameter, "", (uri.UriValue(text),))
    if parameter.type == "token":
        return criteria.Criterion(parameter, "", (TokenValue(None, text),))
    targets = tuple(dict.fromkeys((reference.relative(text, base_url), text)))
    return criteria.Criterion(parameter, "", (reference.ReferenceValue(targets),))


def _age(known: Known) -> tuple[bool, list[tuple[int, int, str]]]:
    """Order versions of one canonical URL: those in use go before retired ones, numbers are compared as such."""
    resource = known.resource
    return resource.get("status") != "retired", version_order(str(resource.get("version", "")))


class _Parsed:
    """The JSON of stored terminology, parsed once for each version; the least used goes first."""

    def __init__(self, most_bytes: int) -> None:
        self._lock, self._most, self._size = threading.Lock(), most_bytes, 0
        self._kept: OrderedDict[_Key, tuple[Json, int]] = OrderedDict()

    def resource(self, key: _Key, version: StoredVersion) -> Json:
        """Return the parsed resource; nobody may change it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        resource, size = parsed(version), len(version.content or b"")
        with self._lock:
            if key not in self._kept:
                self._kept[key] = resource, size
                self._size += size
            while self._size > self._most and len(self._kept) > 1:
                self._size -= self._kept.popitem(last=False)[1][1]
        return resource


_PARSED = _Parsed(4_000_000)
