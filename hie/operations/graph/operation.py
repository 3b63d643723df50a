"""[type]/[id]/$graph: https://hl7.org/fhir/R4/resource-operation-graph.html"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.context import Context
from hie.errors import InvalidSearch, Unprocessable
from hie.fhir import bundle, graph_definitions, json_format, outcome, summary
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import Fragment
from hie.fhir.summary import Selection
from hie.interactions import as_of
from hie.operations import answer_parameters
from hie.operations.graph import definition
from hie.operations.graph.reading import Reading
from hie.operations.graph.walk import Walk
from hie.operations.page_state import page_state
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.versions import StoredVersion


def graph(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return a resource and what a GraphDefinition's links lead to, as far as the token may see it."""
    selection = summary.asked(request)
    if selection is not None and selection.counts_only:
        raise InvalidSearch("_summary=count asks for a total, which a collection has not.", expression="_summary")
    then = as_of.context(request, ctx)  # the definition is as it is now: it says what is wanted, and is no record
    with page_state(then, None) as state:
        focus = state.then.store.read(*request.instance)
        walk = followed(focus, request.parameter("graph") or "", ctx, state.then)
    content = bundle.listing("collection", ctx.new_id(), ctx.clock(), (), _entries(walk, selection, ctx.base_url))
    return FhirResponse(200, content, entity=request.instance)


def followed(focus: StoredVersion, text: str, ctx: Context, then: Context) -> Walk:
    """Follow the definition that a client names from a resource on; `then`: the context to read records by."""
    asked = graph_definitions.read(definition.find(text, ctx))
    if not asked.starts_at(focus.type):
        raise Unprocessable(f"The GraphDefinition {text[:200]} starts at {asked.start}; {focus.type}/{focus.id} is "
                            "none.", expression="graph")
    walk = Walk(asked, Reading(then))
    walk.begin(focus)
    return walk


def _entries(walk: Walk, selection: Selection | None, base_url: str) -> Iterator[dict[str, Any]]:
    for (type_name, id_), stored in walk.found.items():
        yield {"fullUrl": f"{base_url}/{type_name}/{id_}", "resource": _shown(stored, selection)}
    if walk.reading.warnings:
        yield {"resource": outcome.outcome(walk.reading.warnings)}


def _shown(stored: StoredVersion, selection: Selection | None) -> Fragment | dict[str, Any]:
    content = stored.content or b"{}"
    return Fragment(content) if selection is None else selection.of(json_format.parse(content))


OPERATION = Operation(
    code="graph",
    levels=frozenset({"instance"}),
    function=graph,
    definition="http://hl7.org/fhir/OperationDefinition/Resource-graph",
    parameters=(
        *standard_parameters("graph@Resource", {
            "graph": "The GraphDefinition that is followed: its canonical URL, its name, or where it is stored here."}),
        answer_parameters.AS_OF, answer_parameters.SUMMARY, answer_parameters.ELEMENTS,
    ),
    returns=standard_returns("graph@Resource", {
        "result": "A Bundle of the type collection, which is the answer itself: the resource, and what was found."}),
    documentation="A resource and all that the links of a stored GraphDefinition lead to from it.",
)
