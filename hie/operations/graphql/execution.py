"""Answers a query level by level: what all parents of a level need of the store is asked for together.

https://hl7.org/fhir/R4/graphql.html. Everything is fetched by ctx.store, so that grant and audit hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from hie.context import Context
from hie.errors import Forbidden, Gone, NotFound, TooCostly
from hie.fhir import facts
from hie.fhir.paging import CURSOR
from hie.fhir.routes import checked_id
from hie.fhir.search_parameters import IndexValues
from hie.operations.graphql import searching
from hie.operations.graphql.answer import Cell, Row, add, lift, place
from hie.operations.graphql.budget import Budget
from hie.operations.graphql.checking import (
    check,
    check_found,
    check_plain,
    check_refers,
    check_resource,
    element,
    invalid,
    merged,
    name_of,
    refuse_slice,
    searched,
)
from hie.operations.graphql.choosing import Choosing, number_of
from hie.operations.graphql.document import Field, Selection
from hie.operations.graphql.failures import note
from hie.operations.graphql.nodes import Key, Node, Target, below, path_to, resource_node, target
from hie.operations.graphql.searching import Asked
from hie.store.named_versions import NamedVersions
from hie.store.search import ordering
from hie.store.search.cursors import NONE, Cursors
from hie.store.search.reference import target as points_at
from hie.store.search.reference_walks import reference_walk
from hie.store.terminology import Later, OfPages

#: Parents whose referring resources one search asks for, and the most that it may find.
PARENTS, REFERRING = 200, 1_000

@dataclass(frozen=True, slots=True)
class Shown:
    """What a connection shows: a page with its size, the number of all matches, and the ways to other pages."""

    nodes: list[Node]
    scores: list[Any]
    size: int
    total: int | None
    leading: Cursors
    sealed: Callable[[str | None], str] | None
    offset: int | None = None
    """Matches before the page: none before the first one; of further pages they are not counted."""


_CONNECTION = ("count", "offset", "pagesize", "edges", "first", "previous", "next", "last")
Errors = list[dict[str, Any]]


@dataclass(slots=True)
class Execution:
    """One query on its way; `errors` are what is missing in the answer, and why."""

    ctx: Context
    held_by: Context | None = None
    """The context whose state `ctx` holds."""
    errors: Errors = field(default_factory=list)
    _budget: Budget = field(default_factory=Budget)
    _choosing: Choosing = field(init=False)
    _read: dict[Target, Node | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._choosing = Choosing(self._budget, self.ctx.allowance)

    def begin(self) -> None:
        """Begin with one mutation of several: what was read before it may be another now."""
        self._budget.fetch(1)
        self._budget.spend(1)
        self._read.clear()

    # -- the roots -------------------------------------------------------------------------------------------------

    def of_system(self, selections: Sequence[Selection]) -> Row:
        """Answer a query of the system: reads and searches."""
        row: Row = {}
        for one in merged("Query", selections):
            _check_root(one)
        for one in merged("Query", selections):
            self._put_cell(row, one, self._root(one))
        return row

    def of_resource(self, resource: dict[str, Any], selections: Sequence[Selection], *keys: Key) -> Row:
        """Answer a query of one resource, which stands somewhere in the answer."""
        check(str(resource["resourceType"]), selections)
        return self._select([resource_node(resource).at(None, *keys)], selections)[0]

    def _root(self, one: Field) -> Cell:
        if one.name == "__typename":
            check_plain(one)
            return Cell(["Query"])
        try:
            if one.name in facts.RESOURCE_TYPES:
                return Cell(self._select(self._one(one), one.selections))
            type_name, kind = searched(one.name)
            if type_name is not None:
                return self._searched(one, type_name, kind)
        except (Forbidden, NotFound, Gone) as error:
            note(self.errors, [one.key], error)
            return Cell()
        raise invalid(f"The system has no field {one.name[:80]}; it has each resource type, such as Patient(id: …), "
                       "PatientList(…) and PatientConnection(…).")

    def _one(self, one: Field) -> list[Node]:
        id_ = one.arguments.get("id")
        if set(one.arguments) != {"id"} or isinstance(id_, bool) or not isinstance(id_, str | int):
            raise invalid(f"{one.name} takes one argument, id; {one.name}List searches.")
        checked_id(str(id_), one.name)
        self._budget.fetch(1)
        return [resource_node(self._budget.opened(self.ctx.store.read(one.name, str(id_)))).at(None, one.key)]

    # -- selections ------------------------------------------------------------------------------------------------

    def _select(self, nodes: Sequence[Node], selections: Sequence[Selection]) -> list[Row]:
        """Return a row for each node; nodes of one type are answered together."""
        rows: list[Row] = [{} for _ in nodes]
        by_type: dict[str, list[int]] = {}
        for number, node in enumerate(nodes):
            by_type.setdefault(node.type, []).append(number)
        for type_name, numbers in by_type.items():
            some, their_rows = [nodes[n] for n in numbers], [rows[n] for n in numbers]
            for one in merged(type_name, selections):
                self._fill(type_name, some, their_rows, one)
        return rows

    def _fill(self, type_name: str, nodes: list[Node], rows: list[Row], one: Field) -> None:
        self._budget.spend(len(nodes))
        referring, kind = searched(one.name)
        if one.name == "__typename":
            for row in rows:
                place(row, one.key, Cell([name_of(type_name)], kind="__typename"))
        elif one.name == "resource" and type_name == "Reference":
            self._resolve(nodes, rows, one)
        elif referring is not None and type_name in facts.RESOURCE_TYPES:
            self._reverse(nodes, rows, one, referring, kind)
        else:
            self._elements(type_name, nodes, rows, one)

    def _elements(self, type_name: str, nodes: list[Node], rows: list[Row], one: Field) -> None:
        form, is_list, plain = element(type_name, one)
        found = [self._choosing.items(node, one, form) for node in nodes]
        inside = [below(node, one.name, item, form, _keys(one, number, is_list=is_list))
                  for node, items in zip(nodes, found, strict=True) for number, item in enumerate(items)
                  if item is not None]
        self._budget.spend(len(inside))
        values = iter([one_.value for one_ in inside] if plain else self._select(inside, one.selections))
        shown = [None if item is None else next(values) for items in found for item in items]
        if plain:
            self._budget.spend_texts(value for value in shown if isinstance(value, str))
        start = 0
        for row, items in zip(rows, found, strict=True):
            self._put(row, one, items, shown[start : start + len(items)], form, is_list=is_list)
            start += len(items)

    def _put(self, row: Row, one: Field, items: list[Any], shown: list[Any], form: str, *, is_list: bool) -> None:
        if "flatten" in one.directives:
            for number, (item, below) in enumerate(zip(items, shown, strict=True)):
                if not isinstance(below, dict):
                    raise invalid(f"@flatten stands at {one.name}, which has no fields to flatten.")
                lift(row, {self._choosing.sliced(one, key, form, number, item): cell for key, cell in below.items()})
            return
        single = "singleton" in one.directives
        if "slice" not in one.directives:
            _check_single(one, shown)
            place(row, one.key, Cell(shown, is_list and not single, single, kind=form))
            return
        for number, (item, value) in enumerate(zip(items, shown, strict=True)):
            key = self._choosing.sliced(one, one.key, form, number, item)
            add(row, key, Cell([value], is_list=not single, single=single, kind=form))

    # -- references, both ways -------------------------------------------------------------------------------------

    def _resolve(self, nodes: list[Node], rows: list[Row], one: Field) -> None:
        """Read what the references of a level refer to, with one call of the store."""
        only = check_resource(one)
        targets = [target(node, self.ctx) for node in nodes]
        self._read_all(to for to in targets if isinstance(to, tuple) and only in (None, to[0]))
        found: list[tuple[Row, Node]] = []
        for node, row, to in zip(nodes, rows, targets, strict=True):
            if "flatten" not in one.directives:
                place(row, one.key, Cell(kind="Resource"))
            there = to[0] if isinstance(to, tuple) else None if to is None else to.type
            if only not in (None, there):
                continue
            led = self._read.get(to) if isinstance(to, tuple) else to
            if led is not None:
                found.append((row, led.at(node, *_keys(one, 0, is_list=False))))
            elif one.arguments.get("optional") not in (True, "true"):
                told = str(node.value.get("reference", "no literal reference"))[:200]
                note(self.errors, path_to(node, one.key), NotFound(f"The reference ({told}) cannot be resolved."))
        for (row, _), shown in zip(found, self._select([node for _, node in found], one.selections), strict=True):
            if "flatten" in one.directives:
                lift(row, shown)
            else:
                row[one.key].items.append(shown)

    def _read_all(self, targets: Iterable[Target]) -> None:
        wanted = [to for to in dict.fromkeys(targets) if to not in self._read]
        if not wanted:
            return
        self._read.update(dict.fromkeys(wanted))
        vids: dict[tuple[str, str], set[int | None]] = {}
        for type_name, id_, vid in wanted:
            vids.setdefault((type_name, id_), set()).add(vid)
        self._budget.fetch(len(vids))
        versions = NamedVersions(self.ctx.store, sum(len(some - {None}) for some in vids.values()))
        for current in self.ctx.store.each_read(vids):
            for vid in vids[current.type, current.id]:
                if vid not in (None, current.vid):
                    self._budget.read_version()
                (stored,) = versions.of(current, {vid})
                self._read[current.type, current.id, vid] = resource_node(self._budget.opened(stored))

    def _reverse(self, nodes: list[Node], rows: list[Row], one: Field, type_name: str, kind: str) -> None:
        """Find what refers to the resources of a level, with one search for many of them."""
        code = check_refers(one, type_name)
        rest = replace(one, arguments=searching.without(one.arguments, "_reference"))
        led: list[tuple[str, Node, Row]] = []
        for node, row in zip(nodes, rows, strict=True):
            if node.place is not None:
                led.append((node.place, node, row))
            else:  # nothing that is stored can refer to it
                self._put_cell(row, one, self._none(rest, type_name, kind))
        if kind == "Connection":
            for place_, node, row in led:
                self._connect(node, row, rest, type_name, (code, place_))
            return
        for start in range(0, len(led), PARENTS):
            some = led[start : start + PARENTS]
            try:
                cells = self._referring(rest, type_name, code, [(place_, node) for place_, node, _ in some])
            except Forbidden as error:
                note(self.errors, path_to(some[0][1], one.key), error)
                cells = [Cell(is_list=True, kind=type_name) for _ in some]
            for (_, _, row), cell in zip(some, cells, strict=True):
                self._put_cell(row, one, cell)

    def _none(self, one: Field, type_name: str, kind: str) -> Cell:
        """Return what a search gives that finds nothing."""
        if kind == "List":
            return Cell(is_list=True, found=True, kind=type_name)
        query = searching.asked(one, type_name).query(self.ctx, Later(self.ctx.store))
        return Cell([self._connection(one, type_name, Shown([], [], query.count, 0, NONE, None, 0))], kind=one.name)

    def _referring(self, one: Field, type_name: str, code: str, to: list[tuple[str, Node]]) -> list[Cell]:
        """Return for each place the resources that refer to it, in the order of the search."""
        places = [place_ for place_, _ in to]
        each = number_of(one, "_count", REFERRING)
        named = ((code, ",".join(dict.fromkeys(places))),)
        asked = replace(searching.asked(one, type_name, named), count=None)
        path, query = asked.path, asked.query(self.ctx, Later(self.ctx.store))
        # Of one alone no more is read than is asked for; of several, how many each has is known when all are read.
        are_first = path is None and len(set(places)) == 1 and each < REFERRING
        page = self.ctx.store.search(replace(query, count=each if are_first else REFERRING, total="none"))
        if page.next_cursor is not None and not are_first and len(page.matches) == REFERRING:
            raise TooCostly(f"{one.name}: more than {REFERRING} resources refer to what was found; ask of "
                                "fewer, or with more criteria.", expression="query")
        resources = self._budget.found(page, each if are_first else REFERRING)
        chosen: list[list[int]] = [[] for _ in places]
        for number, resource in enumerate(resources):
            if path is not None and not self._choosing.is_true(path, type_name, resource, one):
                continue
            referred = self._references(resource, type_name, code)
            for place_, numbers in zip(places, chosen, strict=True):
                if (are_first or place_ in referred) and len(numbers) < each:
                    numbers.append(number)
        used: dict[int, Node] = {}  # one that refers to several is shown with each, and stands with the first
        for (_, node), numbers in zip(to, chosen, strict=True):
            for position, number in enumerate(numbers):
                if number not in used:
                    used[number] = resource_node(resources[number]).at(node, *_keys(one, position, is_list=True))
        shown = dict(zip(used, self._select(list(used.values()), one.selections), strict=True))
        return [Cell([shown[number] for number in numbers], is_list=True, found=True, kind=type_name)
                for numbers in chosen]

    def _references(self, resource: dict[str, Any], type_name: str, code: str) -> set[str]:
        values = IndexValues(resource)
        reference_walk(type_name, code)(resource, values)
        return {to for value in values.references if (to := points_at(value, self.ctx.store.base_url)) is not None}

    def _connect(self, node: Node, row: Row, one: Field, type_name: str, criterion: tuple[str, str]) -> None:
        try:
            self._put_cell(row, one, self._paged(one, searching.asked(one, type_name, (criterion,)), node))
        except Forbidden as error:
            note(self.errors, path_to(node, one.key), error)
            place(row, one.key, Cell())

    def _put_cell(self, row: Row, one: Field, cell: Cell) -> None:
        refuse_slice(one)
        if "first" in one.directives:
            cell.items = cell.items[:1]
        if "flatten" in one.directives:
            for below in cell.items:
                lift(row, below)
            return
        _check_single(one, cell.items)
        if "singleton" in one.directives:
            cell = Cell(cell.items, single=True, kind=cell.kind)
        place(row, one.key, cell)

    # -- searches --------------------------------------------------------------------------------------------------

    def _searched(self, one: Field, type_name: str, kind: str) -> Cell:
        """Answer a list or a connection of the system."""
        if kind == "Connection":
            asked = searching.led_on(one, type_name, self.held_by or self.ctx)
            return self._paged(one, asked)
        if CURSOR in one.arguments:
            raise invalid(f"{one.name} has no pages that _cursor could lead to; {type_name}Connection has.")
        asked = searching.asked(one, type_name, leaves_out=True)
        is_whole = asked.count is None  # graphql.html#list: everything, or an error
        with OfPages(self.ctx.store, None) as terminology:
            query = asked.query(self.ctx, terminology)
            size = self.ctx.settings.max_page_size if is_whole else query.count
            page = terminology.store.search(replace(query, count=size, total="none"))
        resources = self._budget.found(page, size)
        if page.next_cursor is not None and (is_whole or number_of(one, "_count", 0) > size):
            raise TooCostly(f"{one.name}: more than {size} resources match; narrow the search, say how many by "
                            f"_count, or page through them by {type_name}Connection.", expression="query")
        chosen = [node for node in map(resource_node, resources)
                  if asked.path is None or self._choosing.is_true(asked.path, type_name, node.value, one)]
        nodes = [node.at(None, *_keys(one, number, is_list=True)) for number, node in enumerate(chosen)]
        return Cell(list(self._select(nodes, one.selections)), is_list=True, found=True, kind=type_name)

    def _paged(self, one: Field, asked: Asked, parent: Node | None = None) -> Cell:
        """Answer a connection: what is below a further page is read as of what the first one saw."""
        counting = ("count", "last")  # the last page is known by counting
        total = "accurate" if any(f.name in counting for f in merged(one.name, one.selections)) else "none"
        outer = self.held_by or self.ctx
        ctx = self.ctx if asked.cursor is None else outer
        with OfPages(ctx.store, asked.cursor) as terminology:
            query = asked.query(ctx, terminology)
            page = terminology.store.search(replace(query, total=total))
        inside = self
        if asked.cursor is not None and (first := ordering.first_page(outer.store, asked.cursor)) is not None:
            inside = self._reading(outer.within(outer.store.as_of(*first)))
        found = [resource_node(resource) for resource in self._budget.found(page, len(page.matches))]
        fits = [row.get("score") for row in page.told] or [None] * len(found)
        told = [(node, score) for node, score in zip(found, fits, strict=True)
                if asked.path is None or self._choosing.is_true(asked.path, asked.type, node.value, one)]
        shown = Shown([node.at(parent) for node, _ in told], [score for _, score in told], query.count, page.total,
                      page.cursors, asked.sealing(outer), 0 if asked.cursor is None else None)
        return Cell([inside._connection(one, asked.type, shown)], kind=one.name)

    def _reading(self, ctx: Context) -> Execution:
        """Return what goes on with the same query at another state of the store."""
        other = copy(self)
        other.ctx, other._read = ctx, {}
        return other

    def _connection(self, one: Field, type_name: str, shown: Shown) -> Row:
        row: Row = {}
        leading = shown.leading
        plain = {"count": shown.total, "offset": shown.offset, "pagesize": shown.size, "__typename": one.name}
        for part in merged(one.name, one.selections):
            value: Any = None
            if part.name == "edges":
                edges: list[Row] = [{} for _ in shown.nodes]
                nodes = [node.at(node.parent, *_keys(one, 0, is_list=False), *_keys(part, number, is_list=True))
                         for number, node in enumerate(shown.nodes)]
                for each in merged(f"{type_name}Edge", part.selections):
                    self._edges(each, type_name, nodes, shown.scores, edges)
                self._put_cell(row, part, Cell(list(edges), is_list=True, found=True, kind="Edge"))
                continue
            if part.name in ("previous", "next", "last", "first"):
                cursor = getattr(leading, part.name)
                if shown.sealed is not None and (cursor is not None or part.name == "first"):
                    value = shown.sealed(cursor)
            elif part.name in plain:
                value = plain[part.name]
            else:
                raise invalid(f"{one.name} has no field {part.name[:80]}; it has {', '.join(_CONNECTION)}.")
            place(row, part.key, Cell([] if value is None else [value], kind=part.name))
        return row

    def _edges(
        self, each: Field, type_name: str, nodes: list[Node], scores: list[Any], edges: list[Row]
    ) -> None:
        if each.name == "resource":
            inside = [node.at(node.parent, *node.keys, *_keys(each, 0, is_list=False)) for node in nodes]
            for row, shown in zip(edges, self._select(inside, each.selections), strict=True):
                self._put_cell(row, each, Cell([shown], kind=type_name))
            return
        if each.name not in ("mode", "score", "__typename"):
            raise invalid(f"edges has no field {each.name[:80]}; it has mode, score and resource.")
        for row, score in zip(edges, scores, strict=True):
            known = {"mode": "match", "score": score, "__typename": f"{type_name}Edge"}[each.name]
            place(row, each.key, Cell([] if known is None else [known], kind=each.name))

    # -- bounds ----------------------------------------------------------------------------------------------------


def _check_root(one: Field) -> None:
    type_name, kind = searched(one.name)
    if type_name is not None:
        check_found(one, type_name, kind)
    elif one.name in facts.RESOURCE_TYPES:
        check(one.name, one.selections)


def _keys(one: Field, number: int, *, is_list: bool) -> tuple[Key, ...]:
    """Return the steps in the answer to an item of a field; what is flattened is none."""
    if "flatten" in one.directives:
        return ()
    return (one.key, number) if is_list and "singleton" not in one.directives else (one.key,)


def _check_single(one: Field, items: Sequence[Any]) -> None:
    if "singleton" in one.directives and len(items) > 1:
        raise invalid(f"{one.key} has @singleton, and more than one value.")
