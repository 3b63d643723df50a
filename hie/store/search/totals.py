"""How many match: for nothing where one page holds them all, else as _total asks. https://hl7.org/fhir/R4/search.html#total"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hie.store.search import estimate, instant, ordering, pages
from hie.store.search.asked import Arm, Asked
from hie.store.search.clauses import REFERENCE, Clause, Shaped
from hie.store.search.ordering import Phase, Position
from hie.store.search.page_statements import count_statement
from hie.store.search.pages import Part
from hie.store.search.query import SearchQuery
from hie.store.search.statements import run

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

#: Without _total, a page that does not hold all matches counts them up to here, where that costs little.
COUNTED = 1_000


def of_page(
    store: ResourceStore, query: SearchQuery, asked: Asked, position: Position | None, found: int, more: bool
) -> int | None:
    """Return the number of matches: for nothing where one page holds them all, else as _total asks."""
    if query.total == "none":
        return None
    if position is not None and _is_told(query, position):
        return position.total
    if position is None and not more:
        return found
    if query.total is not None:
        return of_all(store, query, asked)
    if any(arm.verify or not arm.is_cheap for arm in asked.arms):
        return None
    counted = count(store, query, asked, COUNTED + 1)
    return counted if counted <= COUNTED else None


def _is_told(query: SearchQuery, position: Position) -> bool:
    """Tell whether the total of the first page is what is asked for now."""
    if position.total is None:
        return query.total is None
    return not (position.is_estimate and query.total == "accurate")


def of_all(store: ResourceStore, query: SearchQuery, asked: Asked) -> int:
    """Count all matches; where an estimate will do, only so many, and of more ask a sample.

    Which share of the store that is tells how large the store is: where something is hidden, all are counted.
    """
    arm = asked.arms[0]
    is_estimated = query.total == "estimate" and store.at is None and query.contained is None
    if not is_estimated or not estimate.is_possible(arm.clause):
        return count(store, query, asked, None)
    exact = estimate.exact(store, arm.clause, asked.type, opened=bool(arm.verify))
    counted = count(store, query, asked, exact + 1)
    if counted <= exact:
        return counted
    if not store.grant.meets_all("s"):
        return estimate.rounded(count(store, query, asked, None), counted)

    def judge(rows: Sequence[Any]) -> int:
        return sum(1 for _ in pages.verified(store, arm, rows))

    sample = estimate.sample(store, arm.clause, asked.type, judge if arm.verify else None)
    told = sample.total(counted)
    return count(store, query, asked, None) if told is None else told


def count(store: ResourceStore, query: SearchQuery, asked: Asked, limit: int | None) -> int:
    """Count what is asked, up to `limit` of each arm, or of each type where these are asked apart."""
    return sum(_count_arm(store, query, asked, arm, limit) for arm in asked.arms)


def _count_arm(store: ResourceStore, query: SearchQuery, asked: Asked, arm: Arm, limit: int | None) -> int:
    whole = Phase(arm.clause, ())
    if arm.verify:
        return sum(1 for _ in pages.rows_behind(store, asked, [Part(arm, whole)], None, limit or 2**62))
    apart = pages.apart(store, query, arm, whole)
    if apart:
        return sum(_count_part(store, asked._replace(type=type_name), part, limit, arm.inside)
                   for type_name, clause in apart for part in ordering.counted(clause))
    return sum(_count_part(store, asked, part, limit, arm.inside) for part in ordering.counted(arm.clause))


def _count_part(store: ResourceStore, asked: Asked, clause: Clause, limit: int | None, inside: bool) -> int:
    is_selective, reading = clause.rank <= REFERENCE, store.reading
    tells = reading is not None and not reading.is_held
    statement, names = count_statement(
        store.database.dialect, Shaped(clause), asked.type is not None, limit is not None, instant.how(store),
        inside, is_selective, tells,
    )  # fmt: skip
    bound = dict(zip(names, clause.values(), strict=True))
    bound["tenant"] = store.tenant
    bound |= instant.bounds(store)
    if asked.type is not None:
        bound["type"] = asked.type
    if limit is not None:
        bound["row_limit"] = limit
    counted, *told = run(store.connection(), statement, bound, is_selective=is_selective)[0]
    if reading is not None and told:
        reading.take(told[0])
    return int(counted)
