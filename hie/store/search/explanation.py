"""What a search will ask of the database, told before it is asked: in words, as SQL, and as the database plans it.

Values are never in it: those of the search are bound, and what is bound are keyed hashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement, Executable

from hie.store.models import resource, token
from hie.store.search import chained_order, compiling, opened_order, pages
from hie.store.search.chain import Inside, PerType, Unreferenced
from hie.store.search.clauses import NOTHING, AllTokens, AnyToken, Both, Clause, Constant, Negation, Present, Token
from hie.store.search.criteria import Criterion
from hie.store.search.ordering import Phase
from hie.store.search.query import SearchQuery

if TYPE_CHECKING:
    from hie.store.resources import ResourceStore

_INDEXED = {
    "token": "one keyed hash for each value (system and code, or one of them)",
    "string": "keyed hashes of the beginnings of each word, of the whole text, and of trigrams",
    "reference": "one keyed hash for each target",
    "date": "a sortable column of instants",
    "number": "a sortable column of numbers",
    "quantity": "a sortable column of numbers, with a keyed hash of the unit",
    "uri": "one keyed hash for each uri",
    "composite": "keyed hashes and numbers of its components taken together",
}


_WORDS = "one keyed hash for each word"
#: What is not told by the type of the parameter.
_BY_CODE = {"_text": _WORDS, "_content": _WORDS, "near": "keyed hashes of the areas that lie around a place"}
_BY_MODIFIER = {"text": _WORDS}


@dataclass(frozen=True, slots=True)
class Question:
    """One criterion in words; `verify`: matches of the index are opened and tested, as it only narrows."""

    name: str
    words: str
    verify: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """One statement, the database's plan for it, and how many rows it expects; None: it does not say."""

    words: str
    sql: str
    plan: list[str]
    rows: int | None

    @property
    def sorts(self) -> bool:
        """Tell whether all matches are sorted, rather than read in their order."""
        return any("FOR ORDER BY" in line or line.strip() == "Sort" for line in self.plan)


# ---- in words, from the search alone ---------------------------------------------------------------------------------


def questions(store: ResourceStore, query: SearchQuery) -> list[Question]:
    """Return each criterion in words."""
    return [_question(store, query, one) for one in query.criteria]


def _question(store: ResourceStore, query: SearchQuery, one: Any) -> Question:
    if isinstance(one, PerType):
        return _question(store, query, one.by_type[0][1])
    if not isinstance(one, Criterion):
        told = (type(one).__doc__ or "").strip().splitlines()[0]
        return Question(type(one).__name__.lower(), told, isinstance(one, Inside))
    parameter, number = one.parameter, len(one.values)
    name = f"{parameter.code}:{one.modifier}" if one.modifier else parameter.code
    if one.modifier == "missing":
        return Question(name, "one bit of the row says whether there is a value; no index leads to it", False)
    if parameter.code == "_id":
        told = "the id, by the primary key"
    elif parameter.code == "_lastUpdated":
        told = "the time of the last change, a column of the row"
    else:
        by_type = _INDEXED.get(parameter.type, "the index of the parameter")
        told = _BY_CODE.get(parameter.code) or _BY_MODIFIER.get(one.modifier, by_type)
    told = f"{told}; {number} values, any of them" if number > 1 else told
    if one.modifier == "not":
        return Question(name, f"none of: {told}; no index leads to what lacks a value", False)
    type_name = query.type or "Resource"
    verify = query.type is not None and compiling.compile_(one, store.blind, type_name).verify is not None
    return Question(name, told, verify)


def growth(store: ResourceStore, query: SearchQuery) -> list[str]:
    """Say what grows with the store, rather than with the page; nothing where the page costs its own rows."""
    return list(_growth(questions(store, query), query, samples=store.grant.meets_all("s")))


def _growth(asked: list[Question], query: SearchQuery, *, samples: bool) -> Iterator[str]:
    if query.total is not None and query.total != "none" and not samples:
        yield "The total counts every match; _total=none leaves it out."
    elif query.total == "accurate":
        yield "The total counts every match; _total=estimate asks a sample of many, _total=none leaves it out."
    elif query.total == "estimate":
        yield "The total counts up to some thousand matches, and of more asks a sample; _total=none leaves it out."
    if query.criteria and all(one.name.endswith((":missing", ":not")) for one in asked):
        yield "No criterion has an index that leads to its matches: resources are read until the page is full."
    if query.contained is not None:
        yield "What contained resources match is found first, in tables of their own; then the page is cut."
    if len(query.criteria) > 1:
        yield "The matches of the most selective criterion are looked at until the page is full."
    if any(isinstance(one, Unreferenced) for one in query.criteria):
        yield "Nothing leads to what nothing refers to: resources are asked until the page is full."
    if not all(isinstance(one, Criterion | Inside | Unreferenced) for one in query.criteria):
        yield "Chains and _has ask for all that matches at their far end, each hop under the grant."
    for one in asked:
        if one.verify:
            yield f"{one.name} only narrows: candidates are opened and tested until the page is full."
    over = ", ".join(one.name for one in query.sort if one.paths)
    if over:
        yield f"{over}: what matches refer to is opened too, each resource once, at most {chained_order.MOST_TARGETS}."
    met = ", ".join(one.parameter.code for one in opened_order.led(query).sort)
    if opened_order.is_needed(query) and met:
        yield f"Rows are met in the order of {met}; those alike in that are opened and sorted by the rest."
        return
    if opened_order.is_needed(query):
        yield f"No index has this order: every match is opened for each page, at most {opened_order.MOST}."
        return
    for key in query.sort:
        if key.parameter.code not in ("_id", "_lastUpdated"):
            yield f"Sorting by {key.parameter.code} sorts every match unless its own index gives the order."


# ---- as SQL, with the database's plan --------------------------------------------------------------------------------


def planned(store: ResourceStore, query: SearchQuery) -> list[Planned]:
    """Return the statements of a first page, planned and not executed."""
    connection = store.connection()
    found = []
    for phase, statement, bound in pages.first_pages(store, query):
        sql = str(statement.compile(connection.engine))  # type: ignore[attr-defined]
        plan, rows = _plan(connection, statement, bound)
        if connection.dialect.name == "sqlite" and query.contained is None:
            rows = _looked_at(connection, store.tenant, query.type, phase.clause)
        found.append(Planned(_phase(phase), " ".join(sql.split()), plan, rows))
    return found


def _phase(phase: Phase) -> str:
    clause = phase.clause
    if clause == NOTHING:
        return "Nothing can match."
    driver = clause.parts[0] if isinstance(clause, Both) else clause
    told = f"Led by: {_clause(driver)}"
    if isinstance(clause, Both):
        told += " Then: " + " ".join(_clause(part) for part in clause.parts[1:])
    if phase.keys:
        rows = {None: "", True: " of rows without the first one", False: " of rows with the first one"}
        told += f" In the order of {', '.join(key.place for key in phase.keys)}{rows[phase.first_is_null]}."
    return told


def _clause(clause: Clause) -> str:
    """Say what a clause asks: the first line of what its class says of itself."""
    if isinstance(clause, Constant):
        return "Every resource of the type." if clause.value else "Nothing."
    return (type(clause).__doc__ or "").strip().splitlines()[0]


class _Explain(Executable, ClauseElement):
    """EXPLAIN in front of a statement, in the form of the dialect."""

    inherit_cache = False

    def __init__(self, statement: Executable) -> None:
        self.statement = statement


@compiles(_Explain, "sqlite")
def _explain_sqlite(element: _Explain, compiler: Any, **options: Any) -> str:
    return f"EXPLAIN QUERY PLAN {compiler.process(element.statement, **options)}"


@compiles(_Explain, "postgresql")
def _explain_postgresql(element: _Explain, compiler: Any, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


def _plan(connection: Connection, statement: Executable, bound: dict[str, Any]) -> tuple[list[str], int | None]:
    rows = connection.execute(_Explain(statement), bound).fetchall()
    if connection.dialect.name == "sqlite":
        return [str(row[3]) for row in rows], None
    found = rows[0][0]
    top = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    limited = top["Plans"][0] if top["Node Type"] == "Limit" and top.get("Plans") else top
    return list(_nodes(top, 0)), int(limited["Plan Rows"])


def _nodes(node: dict[str, Any], depth: int) -> Iterator[str]:
    """Name the nodes of a plan; their conditions hold hashes and are left out."""
    names = (node["Node Type"], node.get("Index Name") and f"using {node['Index Name']}",
             node.get("Relation Name") and f"on {node['Relation Name']}")
    yield "  " * depth + " ".join(filter(None, names))
    for below in node.get("Plans", ()):
        yield from _nodes(below, depth + 1)


def _looked_at(connection: Connection, tenant: int, type_name: str | None, clause: Clause) -> int | None:
    """Return how many rows the leading criterion gives; SQLite keeps no statistics, so they are counted."""
    driver = clause.parts[0] if isinstance(clause, Both) else clause
    if isinstance(driver, Token | AllTokens | AnyToken):
        hashes = [driver.hash] if isinstance(driver, Token) else list(driver.hashes)
        if isinstance(driver, AllTokens):
            hashes = hashes[:1]
        statement = select(func.count()).select_from(token).where(token.c.hash.in_(hashes))
    elif isinstance(driver, Constant | Negation | Present) and (not isinstance(driver, Constant) or driver.value):
        statement = select(func.count()).select_from(resource).where(resource.c.tenant == tenant)
        if type_name is not None:
            statement = statement.where(resource.c.type == type_name)
    else:
        return None
    return int(connection.execute(statement).scalar_one())
