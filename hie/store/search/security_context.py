"""What says who may read a Binary: the resource that its securityContext names, asked inside the statement (D11).

The index has of each version of a Binary the place that it names (that of hie.store.models.reference_index), in the
table of dates: of all side tables this is the one that what is current, past and contained has alike, so that nothing
is written, kept or looked at beside it for any other type. docs/adr/0023-security-context.md

https://hl7.org/fhir/R4/binary.html#security-context
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    union_all,
)

from hie.fhir import binary
from hie.fhir.scopes import BINARY
from hie.store.crypto import Blind
from hie.store.models import DELETED, ITSELF, date_index, reference_index, resource
from hie.store.search.blinding import REFERS
from hie.store.search.clauses import Clause
from hie.store.search.joined_clauses import InContext, InContextOf
from hie.store.search.tables import CURRENT

if TYPE_CHECKING:
    from hie.store.search.index import IndexRows
    from hie.store.search.sql import Sql

_ONE: ColumnElement[int] = literal_column("1")


# ---- what the index has ----------------------------------------------------------------------------------------------


def parameter(blind: Blind) -> int:
    """Return what the rows stand under: no parameter of any type, as no type has this name."""
    return blind.hash("securityContext", "names")


def row(content: dict[str, Any], blind: Blind, base_url: str) -> tuple[int, int, int]:
    """Return the row of a Binary that has a securityContext; one that leads nowhere here is at no resource's place."""
    named = binary.security_context(content, base_url)
    place = blind.hash(REFERS, named) if named else blind.hash("securityContext", "elsewhere")
    return parameter(blind), place, place


def token(content: dict[str, Any], blind: Blind, base_url: str) -> int:
    """Return the token of a Binary that says of which type the resource is that it names; there may be none."""
    named = binary.security_context(content, base_url)
    return named_token(None if named is None else named.partition("/")[0], blind)


def named_token(type_name: str | None, blind: Blind) -> int:
    """Return the token of Binaries that name a resource of a type, or none at all."""
    return blind.hash(BINARY, "securityContext", *(() if type_name is None else (type_name,)))


def place_of(rows: IndexRows, blind: Blind) -> int | None:
    """Return the place that a Binary names; None: it names none."""
    its = parameter(blind)
    return next((low for parameter_, low, _ in rows.dates if parameter_ == its), None)


# ---- what is asked of it ---------------------------------------------------------------------------------------------


def condition(sql: Sql, clause: InContext) -> ColumnElement[bool]:
    """Return whether a version of a Binary names nothing, or what stands and matches now.

    One SELECT with all that it walks along, as SQLite's parser takes only few of them inside each other.
    """
    names, itself = sql.tables.dates.alias(), reference_index.alias()
    its = (sql.own(names), names.c.parameter == sql.bind(BigInteger()))
    walked, shown = _walk(sql, names.outerjoin(itself, _is_at(itself, names.c.low)), itself, clause.part)
    hidden = select(_ONE).select_from(walked).where(*its, not_(func.coalesce(shown, false())))
    # OFFSET 0 keeps PostgreSQL from turning the question around, and finding all that matches first.
    return not_(exists(hidden.offset(literal_column("0")) if sql.tokens_in_rows else hidden))


def keys(sql: Sql, clause: InContextOf) -> CompoundSelect[Any]:
    """Return a SELECT of the Binaries that an index leads to (InContextOf): by their own tokens, or by what they name.
    """
    by_type = sql.carrying(sql.tables, is_long=clause.by_many_types)
    names, itself = sql.tables.dates.alias(), reference_index.alias()
    its = names.c.parameter == sql.bind(BigInteger())
    named = _among(sql, itself.c.key, sql.carrying(CURRENT, is_long=clause.by_many))
    places = select(itself.c.target).where(itself.c.parameter == literal_column(str(ITSELF)), named)
    return union_all(by_type, select(*sql.identity(names)).where(its, _among(sql, names.c.low, places)))


def _among(sql: Sql, column: ColumnElement[int], found: Select[Any]) -> ColumnElement[bool]:
    """Return whether a column is among what is found first, before any row."""
    if not sql.tokens_in_rows:
        return column.in_(found)
    return column == func.any(func.array(found.scalar_subquery()))


def stands(sql: Sql, connection: Connection, place: int, asked: Clause) -> bool:
    """Tell whether the resource at a place is there and matches."""
    itself = reference_index.alias()
    walked, shown = _walk(sql, itself, itself, asked)
    here = _is_at(itself, bindparam(None, place, type_=BigInteger(), unique=True))
    return connection.execute(select(_ONE).select_from(walked).where(here, shown)).first() is not None


def _walk(
    sql: Sql, start: FromClause, itself: FromClause, asked: Clause
) -> tuple[FromClause, ColumnElement[bool]]:
    """Walk from a place to the resource there, and where that is a Binary that names another one, to that.

    All must match, and the last one name nothing: who makes Binaries name each other in a circle sees none of them.
    """
    first, second = resource.alias(), resource.alias()
    further, last, itself_too = date_index.alias(), date_index.alias(), reference_index.alias()
    walked = (
        start.outerjoin(first, _is_live(first, itself))
        .outerjoin(further, and_(further.c.key == first.c.key, further.c.parameter == sql.bind(BigInteger())))
        .outerjoin(itself_too, _is_at(itself_too, further.c.low))
        .outerjoin(second, _is_live(second, itself_too))
        .outerjoin(last, and_(last.c.key == second.c.key, last.c.parameter == sql.bind(BigInteger())))
    )
    here = and_(first.c.key.is_not(None), asked.sql(sql.known(first)))
    there = and_(second.c.key.is_not(None), asked.sql(sql.known(second)), last.c.key.is_(None))
    return walked, and_(here, or_(further.c.key.is_(None), there))


def _is_at(itself: FromClause, place: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(itself.c.target == place, itself.c.parameter == literal_column(str(ITSELF)))


def _is_live(row: FromClause, itself: FromClause) -> ColumnElement[bool]:
    return and_(row.c.key == itself.c.key, row.c.method != literal_column(str(DELETED)))
