"""What conditional writes looked for and did not find is looked for once more, before they are committed (D14).

https://hl7.org/fhir/R4/http.html#ccreate. On PostgreSQL two transactions with different criteria, `identifier=a` and
`identifier=b`, may both find nothing and each make a resource that has both. So at its very end each takes locks, in
one order and held until its commit, one at least in common with whoever could make what it looked for, or look for what
it makes; and looks again: what was committed meanwhile is seen now, and the transaction begins anew. Who looks for
identifiers shares locks with those of the same identifiers alone; other criteria pass one after the other in each type.
SQLite has one writer anyway. What is promised: docs/adr/0021-overlapping-criteria.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from hie.fhir import search_parameters
from hie.store.conflicts import Again
from hie.store.locks import LOCKING
from hie.store.prepared import Prepared, driver_of
from hie.store.reference_targets import CARRYING
from hie.store.search import conditions, token
from hie.store.search.blinding import hash_of
from hie.store.search.chain import NOT_REFERENCED
from hie.store.search.syntax import split

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore
    from hie.store.unit_of_work import UnitOfWork

#: Whoever makes more than so many identifiers of a type lets the type's others pass before or after.
MOST_NAMES = 500
#: What is found so often, each time by what the transaction itself writes (a chain, a value set), is none of others'.
MOST_TIMES = 3

_ELSEWHERE = frozenset({"_has", "_filter", "_list", NOT_REFERENCED})
_BY_VALUE_SETS = frozenset({"in", "not-in", "above", "below"})
#: Elements that the parameter `identifier` looks at, in all types of R4.
IDENTIFIERS = ("identifier", "masterIdentifier")

_CARRYING = Prepared(
    text(CARRYING.format(wanted="unnest(CAST(:hashes AS bigint[]))", tenant=":tenant")), ("type", "id")
)


@dataclass(frozen=True, slots=True)
class Looked:
    """Criteria that nothing matched, and the identifiers of which a match has one at least, if they tell any."""

    type: str
    criteria: tuple[tuple[str, str], ...]
    identifiers: tuple[token.TokenValue, ...]

    @property
    def leads_on(self) -> bool:
        """Whether other resources than a match decide whether it is one."""
        return any("." in name or name.partition(":")[0] in _ELSEWHERE or name.partition(":")[2] in _BY_VALUE_SETS
                   for name, _ in self.criteria)


def looked(type_name: str, criteria: Sequence[tuple[str, str]]) -> Looked:
    """Return what was looked for."""
    known = search_parameters.for_type(type_name).get("identifier")
    asked = next((value for name, value in criteria if name == "identifier"), None)
    values: tuple[token.TokenValue, ...] = ()
    if known is not None and asked is not None:
        values = tuple(token.parse(one, "identifier") for one in split(asked, ","))
    return Looked(type_name, tuple(criteria), values if all(one.code is not None for one in values) else ())


def identifiers(content: dict[str, Any]) -> Iterator[str]:
    """Yield the values of a resource's identifiers: what the parameter `identifier` looks at, in whatever type."""
    for name in IDENTIFIERS:
        found = content.get(name, ())
        for one in found if isinstance(found, list) else (found,):
            if isinstance(one, dict) and isinstance(value := one.get("value"), str):
                yield value


def see_that_none_came(store: ResourceStore, unit: UnitOfWork, attempt: int) -> None:
    """Begin again where what was not there is there now; from here to the commit nobody else's can come.

    Where that was in vain too often, criteria that lead to other resources, which the transaction may write itself, are
    left out.
    """
    if store.database.dialect != "postgresql":
        return
    connection = unit.writing()
    numbers, alone, hashes, _ = at_once(unit)
    driver_of(connection).execute(LOCKING.format("%s::bigint[], %s::boolean[]"), [numbers, alone], prepare=True)
    looked_for = [one for some in unit.looked.values() for one in some if attempt < MOST_TIMES or not one.leads_on]
    named = [one for one in looked_for if one.identifiers]
    carrying = _CARRYING.all(connection, {"hashes": hashes, "tenant": store.tenant}) if hashes else ()
    if all((row.type, row.id) in unit.touched for row in carrying):
        named = []
    _look(store, unit, [one for one in looked_for if not one.identifiers] + named)


class AtOnce(NamedTuple):
    """The locks, whether nobody else may have each, the tokens of the identifiers, and the locks of the criteria."""

    numbers: list[int]
    alone: list[bool]
    hashes: list[int]
    criteria: list[int]


def at_once(unit: UnitOfWork) -> AtOnce:
    """Return what is locked and asked for together."""
    locks = dict(sorted(_locks(unit).items()))
    hashes = [
        hash_of(unit.tenant.blind, one.type, "identifier")(*value.form)
        for some in unit.looked.values() for one in some for value in one.identifiers
    ]
    return AtOnce([*locks], [*locks.values()], hashes, sorted(unit.criteria))


def tell_identifiers(unit: UnitOfWork) -> bool:
    """Whether a match of anything that was looked for has one of the identifiers that are told."""
    return all(one.identifiers for some in unit.looked.values() for one in some)


def _look(store: ResourceStore, unit: UnitOfWork, looked: Sequence[Looked]) -> None:
    own = Counter(type_name for type_name, _ in unit.touched)
    for one in looked:
        for found in conditions.match(store, one.type, one.criteria, own[one.type] + 1):
            if (found.type, found.id) not in unit.touched:
                raise Again(f"A {one.type} that matches was made meanwhile.")


def _locks(unit: UnitOfWork) -> dict[int, bool]:
    """Return the numbers of the locks, and whether nobody else may have them."""
    locks: dict[int, bool] = {}
    hash_ = unit.tenant.blind.hash
    for type_name, some in unit.looked.items():
        asked = [one.identifiers for one in some]
        names = {str(value.code) for values in asked for value in values} | unit.named.get(type_name, set())
        is_alone = not all(asked) or len(names) > MOST_NAMES
        locks[hash_("lock", "looking", type_name)] = is_alone
        for name in () if is_alone else names:
            locks[hash_("lock", "looking", type_name, name)] = True
    return locks
