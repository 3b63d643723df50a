"""What refers to the resources of a graph: a search with {ref}, for many at once where a match tells whose it is.

https://hl7.org/fhir/R4/graphdefinition-definitions.html#GraphDefinition.link.target.params
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import orjson

from hie.errors import NotSupported
from hie.fhir import search_parameters
from hie.fhir.graph_definitions import REF, Parameters, Target
from hie.fhir.paging import CURSOR
from hie.fhir.search_parameters import IndexValues, SearchParameter
from hie.operations.graph.reading import Node, Reading
from hie.store.search import chain
from hie.store.search import query as search_query
from hie.store.search.reference import target as points_at
from hie.store.search.reference_walks import reference_walk
from hie.store.terminology import OfPages

#: Resources that one search asks for what refers to them, and what it answers at once.
SOURCES, PAGE = 200, 500


def found(target: Target, sources: Sequence[str], reading: Reading) -> Iterator[tuple[str, Node]]:
    """Yield what the target's search finds for each of the sources (Type/id), with its source."""
    parameter = _reference(target)
    if parameter is not None:
        allowed = chain.targets(parameter)
        sources = [one for one in sources if one.partition("/")[0] in allowed]
    if parameter is None or len(sources) == 1 or any(name in ("_count", "_sort") for name, _ in target.params):
        for source in sources:
            for node in _matches(target, source, reading):
                yield source, node
        return
    for start in range(0, len(sources), SOURCES):
        some = sources[start : start + SOURCES]
        for node in _matches(target, ",".join(some), reading):
            to = _named_by(node, parameter.code, reading)
            for source in some:
                if source in to:
                    yield source, node


def _reference(target: Target) -> SearchParameter | None:
    """Return the one reference parameter whose value is {ref} and nothing else."""
    named = [(name, value) for name, value in target.params if REF in value]
    if len(named) != 1 or named[0][1] != REF:
        return None
    parameter = search_parameters.for_type(target.type).get(named[0][0])
    return parameter if parameter is not None and parameter.type == "reference" else None


def _named_by(node: Node, code: str, reading: Reading) -> set[str]:
    resource = orjson.loads(reading.read[node.place].content or b"{}") if node.place is not None else node.resource
    values = IndexValues(resource)
    reference_walk(node.type, code)(resource, values)
    base_url = reading.ctx.store.base_url
    return {to for value in values.references if (to := points_at(value, base_url)) is not None}


def _matches(target: Target, ref: str, reading: Reading) -> Iterator[Node]:
    """Yield all that a search finds, page by page; where its params say _count, so many."""
    params: Parameters = tuple((name, value.replace(REF, ref)) for name, value in target.params)
    counted = [value for name, value in params if name == "_count"]
    cursor: str | None = None
    left: int | None = None
    while True:
        reading.fetch(f"{target.place}.params")
        page_params = params if cursor is None else (*params, (CURSOR, cursor))
        ctx = reading.ctx
        with OfPages(ctx.store, cursor) as terminology:
            query = search_query.parse(
                target.type, page_params, default_count=PAGE, max_count=ctx.settings.max_page_size,
                base_url=ctx.base_url, now=ctx.clock(), terminology=terminology,
            )  # fmt: skip
            if query.includes or query.result or query.count == 0 or query.total is not None:
                raise NotSupported("A link's search takes criteria, _sort and _count; what else is wanted, further "
                                   "links say.")
            if left is None:
                left = int(counted[-1]) if counted else query.count
            size = min(left, query.count) if counted else query.count
            page = terminology.store.search(replace(query, count=size))
        left -= len(page.matches)
        reading.take(page.matches)
        yield from (reading.node((one.type, one.id)) for one in page.matches)
        cursor = page.next_cursor
        if cursor is None or (counted and left == 0):
            return
