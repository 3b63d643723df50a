"""What a search asks of the index, as a tree: its shape decides the SQL, its values are bound each time.

Two searches of one shape share one prepared statement (hie.store.search.statements). A clause that asks of tokens
alone can also be answered from the index rows of a resource that is about to be written (grants of writers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement

from hie.store.models import ITSELF

if TYPE_CHECKING:
    from hie.store.search.index import IndexRows
    from hie.store.search.sql import Sql

Shape = tuple[Any, ...]

#: From so many alternatives on the database looks them up before it looks at rows: what value sets stand for.
LONG = 64

#: How many resources a criterion lets through, from few to most; the first of an AND drives the SQLite statement.
ID, IDENTIFIER, REFERENCE, CODE, STRING, RANGE, CATEGORY, WIDE = range(8)


class NotDecidable(Exception):
    """The clause needs more than tokens, so it cannot be answered without the database."""


class Clause:
    """One node. `values` come in the order in which `sql` asks for them."""

    rank: int = WIDE

    def shape(self) -> Shape:
        """Return what the statement's text depends on, and nothing else."""
        raise NotImplementedError

    def values(self) -> Iterator[Any]:
        """Yield the values to bind."""
        raise NotImplementedError

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        """Return the WHERE expression."""
        raise NotImplementedError

    def holds(self, rows: IndexRows) -> bool:
        """Tell from the index rows of one resource whether it matches; NotDecidable where tokens do not say."""
        raise NotDecidable


@dataclass(frozen=True, slots=True)
class Constant(Clause):
    """Everything, or nothing: a criterion that is settled before the database is asked."""

    value: bool
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("constant", self.value)

    def values(self) -> Iterator[Any]:
        return iter(())

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.constant(self.value)

    def holds(self, rows: IndexRows) -> bool:
        return self.value


@dataclass(frozen=True, slots=True)
class Token(Clause):
    """The resource carries this token."""

    hash: int
    rank: int = CODE

    def shape(self) -> Shape:
        return ("token",)

    def values(self) -> Iterator[Any]:
        yield self.hash

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.one_token()

    def holds(self, rows: IndexRows) -> bool:
        return self.hash in rows.tokens


@dataclass(frozen=True, slots=True)
class AnyToken(Clause):
    """The resource carries one of these tokens at least."""

    hashes: tuple[int, ...]
    rank: int = CODE

    @property
    def is_long(self) -> bool:
        """Tell whether asking a row for each of them costs more than looking all of them up."""
        return len(self.hashes) > LONG

    def shape(self) -> Shape:
        return ("any", self.is_long)

    def values(self) -> Iterator[Any]:
        yield list(self.hashes)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.many_tokens() if self.is_long else sql.any_token()

    def holds(self, rows: IndexRows) -> bool:
        return not set(self.hashes).isdisjoint(rows.tokens)


@dataclass(frozen=True, slots=True)
class AllTokens(Clause):
    """The resource carries every one of these tokens."""

    hashes: tuple[int, ...]
    rank: int = STRING

    def shape(self) -> Shape:
        return ("all", len(self.hashes))

    def values(self) -> Iterator[Any]:
        yield from self.hashes

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.all_tokens(len(self.hashes))

    def holds(self, rows: IndexRows) -> bool:
        return set(self.hashes).issubset(rows.tokens)


@dataclass(frozen=True, slots=True)
class Present(Clause):
    """The search parameter has a value."""

    bit: int
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("present",)

    def values(self) -> Iterator[Any]:
        yield self.bit

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.presence()

    def holds(self, rows: IndexRows) -> bool:
        return rows.presence & self.bit != 0


@dataclass(frozen=True, slots=True)
class Ids(Clause):
    """The resource's logical id is one of these.

    `places`: the hashes of Type/id, by which the index rows of a resource tell its own; empty: they are not asked.
    """

    ids: tuple[str, ...]
    rank: int = ID
    places: tuple[int, ...] = ()

    def shape(self) -> Shape:
        return ("ids", len(self.ids) == 1)

    def values(self) -> Iterator[Any]:
        yield self.ids[0] if len(self.ids) == 1 else list(self.ids)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.one_id() if len(self.ids) == 1 else sql.some_ids()

    def holds(self, rows: IndexRows) -> bool:
        if not self.places:
            raise NotDecidable
        return any(parameter == ITSELF and target in self.places for parameter, target in rows.links)


@dataclass(frozen=True, slots=True)
class Types(Clause):
    """The resource is of one of these types."""

    types: tuple[str, ...]
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("types",)

    def values(self) -> Iterator[Any]:
        yield list(self.types)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.types()


@dataclass(frozen=True, slots=True)
class Both(Clause):
    """Every part holds; the most selective part comes first."""

    parts: tuple[Clause, ...]
    rank: int = field(default=WIDE)

    def shape(self) -> Shape:
        return ("and", *(part.shape() for part in self.parts))

    def values(self) -> Iterator[Any]:
        for part in self.parts:
            yield from part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.both(self.parts)

    def holds(self, rows: IndexRows) -> bool:
        return all(part.holds(rows) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either(Clause):
    """One part holds at least."""

    parts: tuple[Clause, ...]
    rank: int = field(default=WIDE)

    def shape(self) -> Shape:
        return ("or", *(part.shape() for part in self.parts))

    def values(self) -> Iterator[Any]:
        for part in self.parts:
            yield from part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.either(self.parts)

    def holds(self, rows: IndexRows) -> bool:
        return any(part.holds(rows) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Led(Clause):
    """The part holds, of which there are so few that an index finds them first (hie.store.search.drivers, rare)."""

    part: Clause
    rank: int = REFERENCE

    def shape(self) -> Shape:
        return ("led", self.part.shape())

    def values(self) -> Iterator[Any]:
        return self.part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.led(self)

    def holds(self, rows: IndexRows) -> bool:
        return self.part.holds(rows)


@dataclass(frozen=True, slots=True)
class Negation(Clause):
    """The part does not hold; also true of a resource that has no value at all."""

    part: Clause
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("not", self.part.shape())

    def values(self) -> Iterator[Any]:
        return self.part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.negation(self.part)

    def holds(self, rows: IndexRows) -> bool:
        return not self.part.holds(rows)


@dataclass(frozen=True, slots=True)
class Keys(Clause):
    """The resource is one of those that were found before."""

    keys: tuple[int, ...]
    rank: int = ID

    def shape(self) -> Shape:
        return ("keys",)

    def values(self) -> Iterator[Any]:
        yield list(self.keys)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.among(sql.row.c.key)


EVERYTHING, NOTHING = Constant(True), Constant(False)
_RANK = attrgetter("rank")


def both(parts: Sequence[Clause]) -> Clause:
    """AND, flat, without needless parts, the most selective first."""
    flat: list[Clause] = []
    for part in parts:
        if isinstance(part, Constant):
            if not part.value:
                return NOTHING
        elif isinstance(part, Both):
            flat.extend(part.parts)
        else:
            flat.append(part)
    if not flat:
        return EVERYTHING
    if len(flat) > 1:
        flat = sorted(dict.fromkeys(flat), key=_RANK)
    return flat[0] if len(flat) == 1 else Both(tuple(flat), flat[0].rank)


def either(parts: Sequence[Clause]) -> Clause:
    """OR; single tokens are gathered into one question to the index."""
    if len(parts) == 1 and isinstance(parts[0], Token):
        return parts[0]
    flat: list[Clause] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Either) else (part,))
    if EVERYTHING in flat:
        return EVERYTHING
    tokens: dict[int, int] = {}
    others: list[Clause] = []
    for part in dict.fromkeys(flat):
        if isinstance(part, Token):
            tokens[part.hash] = part.rank
        elif isinstance(part, AnyToken):
            tokens.update(dict.fromkeys(part.hashes, part.rank))
        elif part != NOTHING:
            others.append(part)
    if tokens:
        rank = max(tokens.values())
        hashes = tuple(tokens)
        others.insert(0, Token(hashes[0], rank) if len(hashes) == 1 else AnyToken(hashes, rank))
    if not others:
        return NOTHING
    return others[0] if len(others) == 1 else Either(tuple(others), max(part.rank for part in others))


def negation(part: Clause) -> Clause:
    """NOT."""
    if isinstance(part, Constant):
        return NOTHING if part.value else EVERYTHING
    return part.part if isinstance(part, Negation) else Negation(part)


class Shaped:
    """A clause that equals another of the same shape: the key under which a statement is kept."""

    __slots__ = ("clause", "shape")

    def __init__(self, clause: Clause) -> None:
        self.clause, self.shape = clause, clause.shape()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shaped) and self.shape == other.shape

    def __hash__(self) -> int:
        return hash(self.shape)
