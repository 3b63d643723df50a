"""$explain: what a search will ask of the database, before it is asked; an operation of this server's own.

`[type]/$explain?<search>`, `$explain?<search>` over all types, or `$explain?search=Type%3F<search>`. Whoever may search
the type is told in words; SQL, the plan and the expected rows follow from what others have stored, so they are for a
token that has the scope `admin` too.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from hie.context import Context
from hie.errors import FhirError, InvalidRequest
from hie.fhir.capability import CONTROLS
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import dump
from hie.fhir.routes import parse
from hie.registry import Operation, Parameter
from hie.store.search import explanation, grants
from hie.store.search import query as search_query
from hie.store.search.query import SearchQuery
from hie.store.terminology import Later

Row = dict[str, Any]


def explain(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Tell how a search would be answered."""
    meant = _search(request)
    query = search_query.parse(
        meant.type,
        meant.parameters,
        handling=request.preferences.handling,
        default_count=ctx.settings.default_page_size,
        max_count=ctx.settings.max_page_size,
        base_url=ctx.base_url,
        now=ctx.clock(),
        terminology=Later(ctx.store),
        compartment=meant.compartment,
        contained=True,
    )
    restricted = _grant(query, ctx)
    asked = urlencode(query.self_link, safe=":|,/$", quote_via=quote)
    path = "/".join(filter(None, (*(meant.compartment or ()), query.type)))
    rows: list[Row] = [_text("search", f"{path}?{asked}"), _text("grant", restricted)]
    for question in explanation.questions(ctx.store, query):
        rows.append({"name": "criterion", "part": [
            _text("parameter", question.name), _text("index", question.words),
            {"name": "verified", "valueBoolean": question.verify},
        ]})  # fmt: skip
    rows += [_text("includes", told) for told in _includes(query)]
    growth = explanation.growth(ctx.store, query)
    if ctx.store.grant.admin:
        planned = explanation.planned(ctx.store, query)
        rows += [_statement(one) for one in planned]
        if any(one.sorts and (one.rows is None or one.rows > query.count) for one in planned):
            growth.append("By this plan all matches are sorted before the first is given.")
    rows += [_text("growth", told) for told in growth or ["Nothing: a page costs its own rows."]]
    return FhirResponse(200, dump({"resourceType": "Parameters", "parameter": rows}))


def _search(request: FhirRequest) -> FhirRequest:
    """Return the search that is meant, read through the route table as any other."""
    given = [value for name, value in request.parameters if name == "search"]
    if request.type is not None or (request.parameters and not given):
        return request
    if len(given) != 1 or len(request.parameters) != 1:
        raise InvalidRequest("$explain of the system takes one parameter, search, such as "
                             "search=Observation%3Fpatient%3D1, or those of a search over all types; or use "
                             "[type]/$explain.",
                             expression="search")
    path, _, query = given[0].removeprefix("/").partition("?")
    try:
        meant = parse("GET", path, query)
    except FhirError as error:
        raise type(error)(error.diagnostics, expression="search") from None
    if not meant.interaction.startswith("search"):
        raise InvalidRequest(f"search is {given[0][:80]!r}, which is no search but a {meant.interaction}.",
                             expression="search")
    return meant


def _grant(query: SearchQuery, ctx: Context) -> str:
    """Say what the token's scopes add to every statement; Forbidden where it may not search."""
    asked = grants.over_types(ctx.store, "s") if query.type is None else grants.clause(ctx.store, query.type, "s")
    if asked is None:
        return "The token may search every resource of the type."
    return "The conditions of the token's scopes are part of every statement, before its limit."


def _includes(query: SearchQuery) -> list[str]:
    return [
        f"{'_revinclude' if one.reverse else '_include'} {one.text}: one more statement for the "
        "page, under the grant of the included type."
        for one in query.includes
    ]


def _statement(one: explanation.Planned) -> Row:
    parts = [_text("words", one.words), _text("sql", one.sql), *(_text("plan", line) for line in one.plan)]
    if one.rows is not None:
        parts.append({"name": "rows", "valueDecimal": one.rows})
    return {"name": "statement", "part": parts}


def _text(name: str, value: str) -> Row:
    return {"name": name, "valueString": value}


_RETURNS = (
    Parameter("search", "string", 1, documentation="The search as it was understood."),
    Parameter("grant", "string", 1, documentation="Whether the token's scopes add conditions."),
    Parameter("criterion", "", max="*", documentation="One criterion of the search.", parts=(
        Parameter("parameter", "string", 1, documentation="The search parameter, with its modifier."),
        Parameter("index", "string", 1, documentation="The index that answers it."),
        Parameter("verified", "boolean", 1, documentation="Whether its matches are verified on opened resources."),
    )),
    Parameter("includes", "string", max="*", documentation="What including costs."),
    Parameter("statement", "", max="*", documentation="One statement: for tokens with the scope admin.", parts=(
        Parameter("words", "string", 1, documentation="What leads it."),
        Parameter("sql", "string", 1, documentation="The statement."),
        Parameter("plan", "string", max="*", documentation="A line of the database's plan."),
        Parameter("rows", "decimal", documentation="So many rows are expected."),
    )),
    Parameter("growth", "string", 1, "*", documentation="What costs more as the store grows."),
)

OPERATION = Operation(
    code="explain",
    levels=frozenset({"system", "type"}),
    function=explain,
    parameters=(Parameter("search", "string", documentation="Of the system: the URL of a search, relative to the base, "
                          "such as Observation?patient=1, in place of all other parameters."),),
    returns=_RETURNS,
    documentation="What a search will ask of the database, before it does. It takes the parameters of that search, "
                  "those of the type, with their modifiers and chains; SQL, plans and rows are told to tokens with "
                  "the scope admin as well.",
    takes_search=frozenset(one["name"] for one in CONTROLS) - {"_offset", "_asOf"},
)
