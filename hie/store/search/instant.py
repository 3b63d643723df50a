"""The record as of an instant: versions read as they were then, and what cannot be asked of the past.

docs/adr/0018-record-as-of-an-instant.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Select, bindparam, select, union_all

from hie.errors import Forbidden, Gone, NotFound, NotSupported
from hie.fhir import search_parameters
from hie.fhir.scopes import Grant
from hie.fhir.search_parameters import SearchParameter
from hie.store.models import ERASED, resource, resource_history
from hie.store.search import grants
from hie.store.search.tables import CURRENT, PAST, Tables, place, valid

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore
    from hie.store.search.query import SearchQuery
    from hie.store.versions import StoredVersion

Target = tuple[str, str]

# ---- what the past is asked for --------------------------------------------------------------------------------------


def check(query: SearchQuery) -> None:
    """Refuse parameters that SearchParameter resources define: the past is not indexed by them. NotSupported."""
    check_criteria(query.criteria)
    asked = [one.parameter for one in query.sort]
    asked += [one.parameter for one in query.includes if one.reverse and one.parameter is not None]
    _refuse_defined(asked)


def check_criteria(asked: Any) -> None:
    """Refuse criteria by such parameters."""
    _refuse_defined(_parameters(asked))


def _refuse_defined(parameters: Iterable[SearchParameter]) -> None:
    for one in parameters:
        if one.state:
            raise NotSupported(
                f"{one.code} is defined by a SearchParameter here; of the past, and of what is contained, "
                "only R4's own parameters can be asked.",
                expression=one.code,
            )


def _parameters(asked: Any) -> Iterator[SearchParameter]:
    """Yield every search parameter of a criterion, whatever it is made of."""
    if isinstance(asked, SearchParameter):
        yield asked
    elif isinstance(asked, tuple):
        for part in asked:
            yield from _parameters(part)
    elif is_dataclass(asked):
        for field in fields(asked):
            yield from _parameters(getattr(asked, field.name))


How = Literal["recent", "old"]
#: What was replaced within so much time is little: a search as of an instant within it begins with that.
_RECENT = 3_600_000_000


def how(store: ResourceStore) -> How | None:
    """Tell how far back the store's instant is; None: it is the present."""
    if store.at is None:
        return None
    return "recent" if store.clock() - store.at < _RECENT else "old"


def of_pages(store: ResourceStore, query: SearchQuery, page: Sequence[StoredVersion]) -> int | None:
    """Return the instant as of which further pages are read, so that they show what the first page saw.

    None where the past cannot be asked: within a transaction, and by parameters that are defined here.
    """
    if store.at is not None or store.unit is not None:
        return store.at
    if search_parameters.has_custom():
        try:
            check(query)
            check_grant(store.grant)
        except (NotSupported, Forbidden):
            return None
    return max(store.clock(), *(one.updated for one in page))


def check_grant(grant: Grant) -> None:
    """Refuse a token whose conditions ask what the past is not indexed by. Forbidden."""
    for scope in grant.scopes:
        known = search_parameters.for_type("Resource" if scope.type == "*" else scope.type)
        for name, _ in scope.query or ():
            found = known.get(name.partition(":")[0])
            if found is not None and found.state:
                raise Forbidden(f"The token's condition {name} cannot be decided of the past.")


# ---- reading ---------------------------------------------------------------------------------------------------------

_ID: Any = bindparam("id")
_NAMES = ("type", "id", "vid", "method", "updated", "data_key", "sealed")


def _until(table: Any) -> Select[Any]:
    mine = (table.c.tenant == bindparam("tenant"), table.c.type == bindparam("type"), table.c.id == _ID)
    return select(*(table.c[name] for name in _NAMES)).where(*mine, table.c.updated <= bindparam("as_of"))


_EACH = union_all(_until(resource), _until(resource_history)).subquery()
_LATEST = select(_EACH).order_by(_EACH.c.vid.desc()).limit(1)


def row_of(store: ResourceStore, type_name: str, id_: str) -> Any:
    """Return the version that was current then, if the grant covers it. NotFound, Gone, Forbidden."""
    bound = {"tenant": store.tenant, "type": type_name, "as_of": store.at}
    if grants.clause(store, type_name, "r") is None:
        row = store.connection().execute(_LATEST, {**bound, "id": id_}).first()
    else:
        row = next(iter(_rows(store, type_name, [id_])), None)
    if row is None:
        raise NotFound(f"{type_name}/{id_} was not known here at that time.", expression=type_name)
    if row.method == ERASED:
        raise Gone(f"Version {row.vid} of {type_name}/{id_}, of that time, was erased for good.", expression=type_name)
    if row.sealed is None:
        raise Gone(f"{type_name}/{id_} was deleted at that time.", expression=type_name)
    return row


def rows_of(store: ResourceStore, targets: Iterable[Target]) -> list[Any]:
    """Return the versions of those that were there then and that the grant lets through."""
    by_type: dict[str, list[str]] = {}
    for type_name, id_ in targets:
        by_type.setdefault(type_name, []).append(id_)
    found: list[Any] = []
    for type_name, ids in by_type.items():
        try:
            for start in range(0, len(ids), 500):
                found += _rows(store, type_name, ids[start : start + 500])
        except Forbidden:
            continue
    return found


def _rows(store: ResourceStore, type_name: str, ids: Sequence[str]) -> list[Any]:
    bound = {"tenant": store.tenant, "type": type_name, "as_of": store.at, "ids": ids}
    statement = union_all(*(_among(store, type_name, tables) for tables in (CURRENT, PAST)))
    return list(store.connection().execute(statement, bound))


def _among(store: ResourceStore, type_name: str, tables: Tables) -> Select[Any]:
    restriction = grants.restriction(store, type_name, "r", tables)
    wanted = (*tables.live, *place(tables.row, typed=True), valid(tables))
    among = tables.row.c.id.in_(bindparam("ids", expanding=True))
    found = select(*tables.columns).where(*wanted, among)
    return found if restriction is None else found.where(restriction)
