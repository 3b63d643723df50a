"""The versions that a List names, for `_list` of histories: https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, false, or_, tuple_

from hie.errors import Gone, InvalidSearch, NotFound
from hie.fhir import references
from hie.store.opening import parsed
from hie.store.search import reference

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: What a List may name in all, as each is a value of the statement.
MOST_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Listed:
    """What a List has as items: resources, all of whose versions are meant, and single versions of others."""

    resources: Mapping[str, frozenset[str]]
    versions: Mapping[str, frozenset[tuple[str, int]]]

    def where(self, columns: Any) -> ColumnElement[bool]:
        """Return the versions that the List names."""
        whole = (and_(columns.type == name, columns.id.in_(sorted(ids))) for name, ids in self.resources.items())
        single = (and_(columns.type == name, tuple_(columns.id, columns.vid).in_(sorted(rows)))
                  for name, rows in self.versions.items())
        return or_(false(), *whole, *single)


class _Unknown(InvalidSearch):
    code = "not-found"


class _TooMany(InvalidSearch):
    code = "too-costly"


def items(store: ResourceStore, id_: str) -> Listed:
    """Read a List as the store's token may, at the store's instant."""
    try:
        found = parsed(store.read("List", id_))
    except (NotFound, Gone) as error:
        raise _Unknown(f"_list={id_}: {error.diagnostics}", expression="_list") from None
    resources: dict[str, set[str]] = {}
    versions: dict[str, set[tuple[str, int]]] = {}
    for entry in found.get("entry", ()):
        named = references.parse(reference.relative(entry["item"].get("reference", ""), store.base_url))
        if named.kind != "relative" or named.type is None or named.id is None:
            continue
        if named.version is None:
            resources.setdefault(named.type, set()).add(named.id)
        elif named.version.isdecimal() and len(named.version) <= 9:
            versions.setdefault(named.type, set()).add((named.id, int(named.version)))
    many = sum(map(len, resources.values())) + sum(map(len, versions.values()))
    if many > MOST_ITEMS:
        raise _TooMany(f"_list={id_} names {many} resources; a history can be asked for {MOST_ITEMS}.",
                       expression="_list")
    return Listed({name: frozenset(ids) for name, ids in resources.items()},
                  {name: frozenset(rows) for name, rows in versions.items()})
