"""What a search asks of other resources: those referred to, those that refer here, what is contained, what stands now.

Nodes of the tree of hie.store.search.clauses; how they become SQL: joins, sql, security_context.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement

from hie.store.search.clauses import LONG, REFERENCE, WIDE, Clause, Shape

if TYPE_CHECKING:
    from hie.store.search.index import IndexRows
    from hie.store.search.sql import Sql


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
class Referred(Clause):
    """Some resource that matches refers here, by whatever element.

    `type`: it is of this type; None: the part tells of which. `known` are the keys of those that one referred to whose
    version of then is past (hie.store.search.then).
    """

    type: str | None
    part: Clause
    known: tuple[int, ...] = ()
    rank: int = WIDE

    def shape(self) -> Shape:
        return ("referred", self.type, self.part.shape(), bool(self.known))

    def values(self) -> Iterator[Any]:
        yield from self.part.values()
        yield from self.part.values()
        if self.known:
            yield list(self.known)

    def sql(self, sql: Sql) -> ColumnElement[bool]:
        return sql.referred(self)


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
