"""What a reference points at, as far as it lies at hand: https://hl7.org/fhir/R4/references.html#literal"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from hie.fhir.references import parse, target_type
from hie.fhir.working_time import WorkingTime

from .place import Around, Place, around, of_resource

#: Resources beyond the one that is judged that are read for it, so many at once, and the bytes of all.
MOST_READ, AT_ONCE, MOST_BYTES = 1_000, 100, 50_000_000

Name = tuple[str, str]
"""Type and id."""


class Target(NamedTuple):
    """What is stored under a name, or will be; `version` None: it has none yet."""

    name: Name
    resource: dict[str, Any]
    version: str | None
    size: int


Read = Callable[[Sequence[Name]], Iterable[Target]]
"""Reads together what is there under these names, as far as who asks may see it."""


class Elsewhere:
    """What references lead to beyond the resource: read where the first is asked for, with those beside it.

    Not from inside of a Bundle, where a fullUrl says what a reference means; nor from what was read so.
    """

    def __init__(self, read: Read, base_url: str, time: WorkingTime) -> None:
        self._read, self._base_url, self._time = read, base_url, time
        self._asked: set[Name] = set()
        self._found: dict[Name, tuple[Place, str | None]] = {}
        self._roots: set[int] = set()
        self._size = 0

    def find(self, place: Place) -> Place | None:
        """Find what a Reference names; None where it is not there, or not to be seen."""
        if place.around.entries is not None or id(place.around.root) in self._roots:
            return None
        literal = self._literal(place.value)
        if literal is None:
            return None
        name, version = literal
        if name not in self._asked:
            self._ask(name, place)
        found, found_version = self._found.get(name, (None, None))
        return found if version in (None, found_version) else None

    def _literal(self, value: Any) -> tuple[Name, str | None] | None:
        text = value.get("reference") if isinstance(value, dict) else None
        parsed = parse(text) if isinstance(text, str) else None
        if parsed is None or parsed.type is None or parsed.id is None:
            return None
        is_here = parsed.kind == "relative" or parsed.url == f"{self._base_url}/{parsed.type}/{parsed.id}"
        return ((parsed.type, parsed.id), parsed.version) if is_here else None

    def _ask(self, name: Name, place: Place) -> None:
        what = f"the target {'/'.join(name)}"
        room = MOST_READ - len(self._asked)
        if room <= 0 or self._size > MOST_BYTES:
            self._time.leave_out(what, f"{MOST_READ} resources that it refers to, or {MOST_BYTES} bytes of them, have "
                                 "been read, and no more are. Send a smaller resource.")
            return
        if not self._time.may_begin(what):
            return
        with self._time:
            beside = (found[0] for value in _beside(place) if (found := self._literal(value)) is not None)
            asked = dict.fromkeys(one for one in chain((name,), beside) if one not in self._asked)
            batch = list(islice(asked, min(AT_ONCE, room)))
            for one in self._read(batch):
                self._asked.add(one.name)
                self._found[one.name] = of_resource(one.resource), one.version
                self._roots.add(id(one.resource))
                self._size += one.size
                if self._size > MOST_BYTES:
                    break
            else:
                self._asked.update(batch)


def _beside(place: Place) -> Iterator[dict[str, Any]]:
    """Give the references in the same element of the resource, at whatever depth."""
    top = place
    while top.parent is not None and top.parent.parent is not None:
        top = top.parent
    left = [place.around.root.get(top.name)]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += reversed(value)
        elif isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                yield value
            left += reversed(value.values())


def resolved(place: Place) -> Place | None:
    """Find the resource that a Reference (or canonical) names: contained, or an entry of the Bundle; else None."""
    value = place.value
    text = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(text, str):
        return None
    if text.startswith("#"):
        return _contained(text, place.around)
    entries = place.around.entries
    found = entries.find(text.partition("/_history/")[0], place.around.root) if entries is not None else None
    if entries is None or found is None:
        return None
    index, resource = found
    return of_resource(resource, around(resource, entries), f"Bundle.entry[{index}].resource")


def target(place: Place, elsewhere: Elsewhere | None) -> Place | None:
    """Find the same, and what lies beyond the resource where somebody can read that."""
    found = resolved(place)
    return found if found is not None or elsewhere is None else elsewhere.find(place)


def pointed_type(place: Place) -> str | None:
    """Tell the type a Reference points at; None where it does not say."""
    found = resolved(place)
    if found is not None:
        return found.type
    value = place.value
    return target_type(value) if isinstance(value, dict) else None


def _contained(text: str, inside: Around) -> Place | None:
    root = inside.root
    if not isinstance(root, dict):
        return None
    if text == "#":
        return of_resource(root, inside._replace(resource=root))
    found = inside.contained.find(text[1:])
    if found is None:
        return None
    index, resource = found
    path = f"{root.get('resourceType')}.contained[{index}]"
    return of_resource(resource, inside._replace(resource=resource), path)
