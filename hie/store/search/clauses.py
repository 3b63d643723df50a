"""What a search asks of the index, as a tree: its shape decides the SQL, its values are bound each time.

Two searches of one shape share one prepared statement (hie.store.search.statements). A clause that asks of tokens
alone can also be answered from the index rows of a resource that is about to be written (grants of writers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement

from hie.fhir.datatypes import MICROSECONDS_PER_DAY
from hie.store.models import ITSELF

if TYPE_CHECKING:
    from hie.store.search.index import IndexRows
    from hie.store.search.sql import Sql

Shape = tuple[Any, ...]

#: From so many alternatives on the database looks them up before it looks at rows: what value sets stand for.
LONG = 64

#: Prefixes that compare a number with both ends of what is asked.
TWO_ENDED = frozenset({"eq", "ne", "ap"})
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
class Interval(Clause):
    """A date of the resource stands to [low, high) as the prefix says.

    `where`: "updated" and "date" are columns of the resource row, "index" is the side table, under `parameter`.
    `part` asks for "near" or "far" intervals only, which together are all (hie.store.search.sql); "beside" for all, by
    no index.
    `drives`: its rows are few and come first (hie.store.search.drivers).
    """

    where: str
    prefix: str
    low: int
    high: int
    parameter: int = 0
    part: str = ""
    drives: bool = False
    rank: int = RANGE
    also: tuple[Interval, ...] = ()
    """Under the same parameter, which has one value at most: that value stands to these too (hie.store.search.merged).
    """

    @property
    def leads(self) -> bool:
        """Whether a side table is where to begin: not where very many rows match (hie.store.search.drivers)."""
        return self.where == "index" and self.prefix != "ne" and self.rank != WIDE

    @property
    def far_until(self) -> int:
        """Where those begin that are `near`: a day before the range, up to which most intervals reach into it."""
        return (self.high if self.prefix == "gt" else self.low) - MICROSECONDS_PER_DAY

    def shape(self) -> Shape:
        also = tuple(one.prefix for one in self.also)
        return ("interval", self.where, self.prefix, self.part, self.drives, self.leads, also)

    def values(self) -> Iterator[Any]:
        if self.where == "index":
            yield self.parameter
        for one in (self, *self.also):
            yield one.low
            yield one.high

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.interval(self)


@dataclass(frozen=True, slots=True)
class CareDate(Clause):
    """The row's own date overlaps [low, high), or it has none."""

    low: int
    high: int
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("care",)

    def values(self) -> Iterator[Any]:
        yield self.low
        yield self.high

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.care_date()


@dataclass(frozen=True, slots=True)
class Number(Clause):
    """A number or quantity stands to [low, high) (for eq, ne, ap) or `value` as the prefix says.

    Under `parameter` are plain numbers, under `ranges` those with two different ends.
    `unit` names the column that must equal `unit_hash`: "unit" (system and code), "code" (code or text), or "" (any).
    """

    parameter: int
    ranges: int
    prefix: str
    value: float
    low: float
    high: float
    unit: str = ""
    unit_hash: int = 0
    rank: int = RANGE
    also: tuple[Number, ...] = ()
    """As of an interval."""

    @property
    def leads(self) -> bool:
        """Whether the side table is where to begin, as for a date's."""
        return self.prefix != "ne" and self.rank != WIDE

    def shape(self) -> Shape:
        return ("number", self.prefix, self.unit, self.leads, tuple(one.prefix for one in self.also))

    def values(self) -> Iterator[Any]:
        yield self.parameter
        yield self.ranges
        for one in (self, *self.also):
            if one.prefix in TWO_ENDED:
                yield one.low
                yield one.high
            else:
                yield one.value
        if self.unit:
            yield self.unit_hash

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.number(self)


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
    """The part holds, a range or an OR of ranges: so few that an index finds them first (hie.store.search.drivers)."""

    part: Clause
    rank: int = REFERENCE

    def shape(self) -> Shape:
        return ("led", self.part.shape())

    def values(self) -> Iterator[Any]:
        return self.part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.led(self)


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
class StandsNow(Clause):
    """The resource as it stands now matches, also where a version of the past is looked at."""

    part: Clause
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("now", self.part.shape())

    def values(self) -> Iterator[Any]:
        return self.part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.stands_now(self.part)


@dataclass(frozen=True, slots=True)
class InContext(Clause):
    """The Binary names no other resource as its security context, or one that is there and matches.

    `parameter` is what the index has the context under (hie.store.search.security_context).
    """

    parameter: int
    part: Clause
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("context", self.part.shape())

    def values(self) -> Iterator[Any]:
        yield from (self.parameter,) * 3
        yield from self.part.values()
        yield from self.part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.in_context(self)

    def holds(self, rows: IndexRows) -> bool:
        """Hold of what the token writes itself: whether it may name the context is judged as of any reference."""
        return True


@dataclass(frozen=True, slots=True)
class InContextOf(Clause):
    """The Binary has one of `tokens`, or names as its security context a resource that carries one of `carried`.

    It narrows: an index gives these Binaries, of which `InContext` is asked (hie.store.search.context_leads).
    """

    tokens: tuple[int, ...]
    parameter: int
    carried: tuple[int, ...]
    rank: int = REFERENCE

    @property
    def by_many_types(self) -> bool:
        """Tell whether each of its own tokens is better looked up by itself."""
        return len(self.tokens) > LONG

    @property
    def by_many(self) -> bool:
        """Tell the same of those that are carried."""
        return len(self.carried) > LONG

    def shape(self) -> Shape:
        return ("context of", self.by_many_types, self.by_many)

    def values(self) -> Iterator[Any]:
        yield list(self.tokens)
        yield self.parameter
        yield list(self.carried)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.within(sql.range_keys(self))


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


@dataclass(frozen=True, slots=True)
class Holds(Clause):
    """The resource contains one that matches.

    `type`: it is of this type; None: the part tells of which. `few`: so many contain one that they are found first.
    """

    type: str | None
    part: Clause
    rank: int = WIDE
    few: bool = False

    @property
    def leads(self) -> bool:
        """Whether what is contained is where to begin: not where the index leads to nothing, or very many, there."""
        return self.part.rank < WIDE and self.rank < WIDE

    def shape(self) -> Shape:
        return ("holds", self.type, self.part.shape(), self.leads, self.few)

    def values(self) -> Iterator[Any]:
        return self.part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.holds(self)


@dataclass(frozen=True, slots=True)
class HeldBy(Clause):
    """The version that contains the resource matches; of what is not contained, this holds."""

    part: Clause
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("held", self.part.shape())

    def values(self) -> Iterator[Any]:
        return self.part.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.held_by(self.part)


@dataclass(frozen=True, slots=True)
class Fragments(Clause):
    """The contained resource has one of these ids."""

    hashes: tuple[int, ...]
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("fragments",)

    def values(self) -> Iterator[Any]:
        yield list(self.hashes)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.among(sql.row.c.fragment)


@dataclass(frozen=True, slots=True)
class Linked(Clause):
    """The resource refers to one of these places, by whatever search parameter."""

    targets: tuple[int, ...]
    rank: int = REFERENCE

    def shape(self) -> Shape:
        return ("linked",)

    def values(self) -> Iterator[Any]:
        yield list(self.targets)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.linked()


@dataclass(frozen=True, slots=True)
class Branch:
    """One way to the other end: references by `parameters` (hashes), and what the resource there must match."""

    type: str
    """The type at the other end."""
    parameters: tuple[int, ...]
    clause: Clause


@dataclass(frozen=True, slots=True)
class Joined(Clause):
    """Some resource at the other end of a reference matches.

    It is one referred to, or, `reverse`, one that refers here. `drives`: few enough match there to begin with them
    (hie.store.search.hops). `held`: or it contains one that it refers to and that matches.
    """

    branches: tuple[Branch, ...]
    reverse: bool
    drives: bool
    rank: int = WIDE
    held: tuple[Holds, ...] = ()

    def shape(self) -> Shape:
        ways = ((one.type, len(one.parameters), one.clause.shape()) for one in self.branches)
        return ("joined", self.reverse, self.drives, *ways, *(one.shape() for one in self.held))

    def values(self) -> Iterator[Any]:
        for one in self.branches:
            yield from one.parameters
            yield from one.clause.values()
        for held in self.held:
            yield from held.values()

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.joined(self)


@dataclass(frozen=True, slots=True)
class JoinedThen(Clause):
    """Some resource at the other end of a reference matched when a first page was read (hie.store.search.then).

    `now` asks of those ends that are what they were. `gone` are the places of ends that matched and are so no more, and
    `known` the keys of resources of which it is known from what they, or those that refer to them, were.
    """

    now: Joined
    gone: tuple[int, ...]
    known: tuple[int, ...]
    rank: int = WIDE

    @property
    def drives(self) -> bool:
        """Whether few enough matched there to begin with them."""
        return self.now.drives

    def shape(self) -> Shape:
        return ("then", self.now.shape(), bool(self.gone), bool(self.known))

    def values(self) -> Iterator[Any]:
        yield from self.now.values()
        if self.gone:
            yield from self.now.branches[0].parameters
            yield list(self.gone)
        if self.known:
            yield list(self.known)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.joined_then(self)


EVERYTHING, NOTHING = Constant(True), Constant(False)


def both(parts: Sequence[Clause]) -> Clause:
    """AND, flat, without needless parts, the most selective first."""
    flat: list[Clause] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Both) else (part,))
    if NOTHING in flat:
        return NOTHING
    flat = sorted((part for part in dict.fromkeys(flat) if part != EVERYTHING), key=lambda part: part.rank)
    if not flat:
        return EVERYTHING
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


def is_range(clause: Clause) -> bool:
    """Tell whether an index of numbers or dates gives the keys that match (Sql.range_keys)."""
    if isinstance(clause, Interval):
        return clause.drives or clause.leads
    if isinstance(clause, Either):
        return all(is_range(part) for part in clause.parts)
    return isinstance(clause, Led | InContextOf) or (isinstance(clause, Number) and clause.leads)


def has_keys(clause: Clause) -> bool:
    """Tell whether `keys` gives a SELECT."""
    if isinstance(clause, Joined | JoinedThen):
        return clause.drives
    if isinstance(clause, Holds):
        return clause.leads
    if isinstance(clause, Either):
        return all(has_keys(part) for part in clause.parts)
    return is_range(clause) or isinstance(clause, Token | AnyToken | AllTokens | Linked)


class Shaped:
    """A clause that equals another of the same shape: the key under which a statement is kept."""

    __slots__ = ("clause", "shape")

    def __init__(self, clause: Clause) -> None:
        self.clause, self.shape = clause, clause.shape()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shaped) and self.shape == other.shape

    def __hash__(self) -> int:
        return hash(self.shape)
