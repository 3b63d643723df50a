"""What matches are sorted by: values of their own, and of what they refer to (`_sort=subject:Patient.family`).

Targets are read as chained criteria find them, under the grant at every hop and at the state of the page: one that the
token may not search is to the order as if it were not there. They are read for many matches at once, each once for a
page at a hop, whatever the number of keys. docs/adr/0019-sorting-by-what-is-sealed.md
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hie.errors import TooCostly
from hie.fhir import references
from hie.fhir.search_parameters import IndexValues, SearchParameter, answering
from hie.store.contents import LARGE
from hie.store.opening import parsed
from hie.store.search import hops, inside, narrowed, reference
from hie.store.search.chain import is_canonical, is_inside
from hie.store.search.clauses import Ids
from hie.store.search.criteria import Compiled
from hie.store.search.plan import plan_of
from hie.store.search.query import SearchQuery
from hie.store.search.reference_walks import values_by
from hie.store.search.relevance import Relevance
from hie.store.search.sort_keys import Path
from hie.store.search.sort_values import Fit, Own
from hie.store.versions import StoredVersion

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: So many resources that matches refer to are asked for one page at most, all hops and keys together.
MOST_TARGETS = 20_000
#: The targets of so many resources are read at once; of fewer where these refer to very many.
AT_ONCE, MOST_WAITING = 200, 10_000
#: So many ids are asked by one statement, fewer than are read at a time (hie.store.search.narrowed).
_IDS = 400

T = TypeVar("T")
Values = tuple[Any, ...]
Target = tuple[str, str | None]
"""Type and id of what is referred to; or a canonical URL, and the version it names."""
Wish = tuple[int, Path | SearchParameter, bool]
"""Which key of the order it is, what is sorted by, and whether it is descending."""


def check(store: ResourceStore, query: SearchQuery) -> None:
    """Refuse an order by what the token may not search, whatever matches. Forbidden."""
    for one in query.sort:
        for _, path in one.paths:
            _check(store, path)


def _check(store: ResourceStore, path: Path) -> None:
    if is_inside(path.parameter):
        inside.open_types(store, path)
        return
    for _, below in hops.open_ends(store, path.ends):
        if isinstance(below, Path):
            _check(store, below)


class SortValues:
    """What the matches of a search are sorted by, read for one page.

    `behind`: so many of the first keys are left out, as rows tell them.
    """

    def __init__(self, store: ResourceStore, query: SearchQuery, behind: int = 0) -> None:
        keys = query.sort[behind:]
        names = sorted(query.types) if query.types else [query.type or "Resource"]
        fits = Relevance.asked(query.criteria)
        self._number, room = len(keys), _Room()
        self._own = [(slot, _own(one.parameter, names, fits, descending=one.descending))
                     for slot, one in enumerate(keys) if not one.paths]
        self._over = {name: _Wanted(store, name, _wishes(keys, name), room) for name in names}
        self._only = self._over[names[0]] if len(names) == 1 else None
        self._leads_on = any(one.paths for one in keys)

    def each(
        self, matches: Iterable[tuple[T, StoredVersion]], at_once: int = AT_ONCE
    ) -> Iterator[tuple[Values, tuple[T, StoredVersion]]]:
        """Yield each match with its values, `at_once` of them read before; large contents are let go. TooCostly."""
        read = self._each_read(matches)
        for match, one in _completed(read, at_once) if self._leads_on else ((match, one) for match, _, one in read):
            yield tuple(map(one.values.get, range(self._number))), match

    def _each_read(
        self, matches: Iterable[tuple[T, StoredVersion]]
    ) -> Iterator[tuple[tuple[T, StoredVersion], _Wanted, _Read]]:
        codes = frozenset(own.code for _, own in self._own if isinstance(own, Own))
        of_each = {name: codes | wanted.codes for name, wanted in self._over.items()}
        alone = codes | self._only.codes if self._only is not None else codes
        for mark, version in matches:
            content = parsed(version)
            values = values_by(of_each.get(content["resourceType"], alone), content)
            wanted = self._only or self._over[values.root["resourceType"]]
            read = wanted.read(values, version)
            read.values.update((slot, own.value(values, version)) for slot, own in self._own)
            yield (mark, _light(version)), wanted, read


def _own(parameter: SearchParameter, names: Sequence[str], fits: Relevance, *, descending: bool) -> Own | Fit:
    return Fit(parameter.code, fits) if parameter.is_special else Own(parameter, names, descending=descending)


def _wishes(keys: Sequence[Any], type_name: str) -> list[Wish]:
    return [(slot, dict(one.paths)[type_name], one.descending) for slot, one in enumerate(keys) if one.paths]


def _light(version: StoredVersion) -> StoredVersion:
    """Let a large content go, which is read again if it comes to stand on the page (ResourceStore.whole)."""
    is_large = version.fragment != "" and len(version.content or b"") > LARGE
    return version._replace(content=None) if is_large else version


# ---- what is referred to ---------------------------------------------------------------------------------------------


class _Room:
    """How many targets may still be asked for a page."""

    def __init__(self) -> None:
        self._left = MOST_TARGETS

    def take(self, number: int) -> None:
        """Ask for so many. TooCostly, by what is referred to, whether it is there or not."""
        self._left -= number
        if self._left < 0:
            raise TooCostly(
                f"What matches refer to is more than {MOST_TARGETS} resources, and sorting by what these have opens "
                "each of them; narrow the search, or sort by what matches have themselves.", expression="_sort",
            )  # fmt: skip


@dataclass(slots=True)
class _Read:
    """What is known of a resource: the values of its own, by key, and what it refers to, hop by hop."""

    values: dict[int, Any]
    targets: list[list[Target]]


class _Wanted:
    """What is wanted of the resources of a type: values of their own, and of what they refer to by each parameter."""

    def __init__(self, store: ResourceStore, type_name: str, wishes: Iterable[Wish], room: _Room) -> None:
        self._own: list[tuple[int, Own]] = []
        self._inside: list[_Inside] = []
        paths: dict[frozenset[str], list[tuple[int, Path, bool]]] = {}
        for slot, wish, descending in wishes:
            if isinstance(wish, Path) and is_inside(wish.parameter):
                self._inside.append(_Inside(slot, wish, inside.open_types(store, wish), descending))
            elif isinstance(wish, Path):
                codes = frozenset(answering(plan_of(type_name).parameters, wish.parameter.code))
                paths.setdefault(codes, []).append((slot, wish, descending))  # patient and subject are one
            else:
                self._own.append((slot, Own(wish, [type_name], descending=descending)))
        self._hops = [_Hop(store, codes, some, room) for codes, some in paths.items()]
        self.codes = frozenset(own.code for _, own in self._own).union(*paths)
        """The parameters that are looked at."""

    def read(self, values: IndexValues, version: StoredVersion) -> _Read:
        """Return what a resource says itself."""
        own = {slot: found for slot, own in self._own if (found := own.value(values, version)) is not None}
        for one in self._inside:
            best = one.value(values.root, version)
            if best is not None:
                own[one.slot] = best
        return _Read(own, [[*hop.targets(values)] for hop in self._hops])

    def complete(self, read: Sequence[_Read]) -> None:
        """Add what is found over references, asked for all of them together."""
        for number, hop in enumerate(self._hops):
            hop.ask({target for one in read for target in one.targets[number]})
            for one in read:
                hop.add(one.values, one.targets[number])


@dataclass(frozen=True, slots=True)
class _Inside:
    """What a document or message is sorted by of what stands inside of it."""

    slot: int
    path: Path
    types: frozenset[str]
    descending: bool

    def value(self, root: dict[str, Any], version: StoredVersion) -> Any:
        """Return the best of a Bundle; None where it has none."""
        each = (self._own(version, *found) for found in inside.reached(root, self.types, self.path))
        known = [one for one in each if one is not None]
        return (max(known) if self.descending else min(known)) if known else None

    def _own(self, version: StoredVersion, part: dict[str, Any], parameter: SearchParameter) -> Any:
        if parameter.code == "_id":
            return part.get("id")
        own = Own(parameter, [part["resourceType"]], descending=self.descending)
        return own.value(values_by(frozenset({parameter.code}), part), version)


class _Hop:
    """The references by one parameter, which others may repeat, and what is known of their targets."""

    def __init__(
        self, store: ResourceStore, codes: frozenset[str], paths: Sequence[tuple[int, Path, bool]], room: _Room
    ) -> None:
        self._store, self._codes, self._room = store, codes, room
        self._by_url = is_canonical(paths[0][1].parameter)
        self._descending = {slot: descending for slot, _, descending in paths}
        wishes: dict[str, list[Wish]] = {}
        for slot, path, descending in paths:
            for end, below in hops.open_ends(store, path.ends):
                wishes.setdefault(end, []).append((slot, below, descending))
        self._ends = {end: _Wanted(store, end, some, room) for end, some in wishes.items()}
        self._known: dict[Target, dict[int, Any]] = {}
        self._named: dict[Target, list[Target]] = {}

    def targets(self, values: IndexValues) -> Iterator[Target]:
        """Yield what a resource refers to."""
        for value in values.references:
            if value[0] not in self._codes:
                continue
            if self._by_url:
                if value[3] is not None:
                    yield value[3], value[5]
                continue
            to = references.parse(reference.target(value, self._store.base_url) or "")
            if to.kind == "relative" and to.type in self._ends and to.id is not None:
                yield to.type, to.id

    def ask(self, targets: Collection[Target]) -> None:
        """Learn of targets that are not known yet. TooCostly."""
        fresh = [one for one in targets if one not in self._known]
        self._room.take(len(fresh))
        self._known.update((one, {}) for one in fresh)
        for url, version in fresh if self._by_url else ():
            self._named.setdefault((self._place(url), version), []).append((url, version))
        for type_name, wanted in self._ends.items():
            asked = fresh if self._by_url else [one for one in fresh if one[0] == type_name]
            for start in range(0, len(asked), _IDS):
                self._read(type_name, wanted, asked[start : start + _IDS])

    def _read(self, type_name: str, wanted: _Wanted, asked: Sequence[Target]) -> None:
        """Read targets of a type that the token may search, as they are at the state of the page."""
        clause = narrowed.by_url(self._store, type_name, frozenset(asked)) if self._by_url else Ids(
            tuple(id_ for _, id_ in asked if id_ is not None))
        granted = hops.within_grant(self._store, Compiled(clause), type_name)
        each = ((self._meant(version), wanted, wanted.read(values_by(wanted.codes, content), version))
                for version, content in narrowed.matches(self._store, type_name, granted))
        for meant, read in _completed(each, AT_ONCE):
            for target in meant:
                self._better(self._known[target], read.values)

    def _meant(self, version: StoredVersion) -> list[Target]:
        """Return what a resource is the target of; canonical URLs mean by a version it alone, by none each."""
        if not self._by_url:
            return [(version.type, version.id)]
        own = ((self._place(url), named) for url, named in narrowed.canonicals_of(version))
        return [one for url, named in own for which in {named, None} for one in self._named.get((url, which), ())]

    def _place(self, url: str) -> str:
        return reference.relative(url, self._store.base_url)

    def add(self, values: dict[int, Any], targets: Sequence[Target]) -> None:
        """Add the best that targets have, of each key."""
        for target in targets:
            self._better(values, self._known[target])

    def _better(self, values: dict[int, Any], others: dict[int, Any]) -> None:
        for slot, value in others.items():
            before = values.get(slot)
            if before is None or (value > before if self._descending[slot] else value < before):
                values[slot] = value


def _completed(each: Iterable[tuple[T, _Wanted, _Read]], at_once: int) -> Iterator[tuple[T, _Read]]:
    """Yield what was read of each with what is found over references, asked for many together."""
    waiting: list[tuple[T, _Wanted, _Read]] = []
    room = MOST_WAITING
    for one in each:
        waiting.append(one)
        room -= sum(map(len, one[2].targets))
        if len(waiting) >= at_once or room <= 0:
            yield from _complete(waiting)
            waiting, room = [], MOST_WAITING
    yield from _complete(waiting)


def _complete(waiting: Sequence[tuple[T, _Wanted, _Read]]) -> Iterator[tuple[T, _Read]]:
    for wanted in dict.fromkeys(wanted for _, wanted, _ in waiting):
        wanted.complete([read for _, of, read in waiting if of is wanted])
    for mark, _, read in waiting:
        yield mark, read
