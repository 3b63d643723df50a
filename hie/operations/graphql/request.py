"""What a client sends to $graphql, and what it is answered: https://hl7.org/fhir/R4/graphql.html#service"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidJson, InvalidRequest, NotSupported
from hie.fhir import json_format, modifiers
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import JsonError
from hie.fhir.paging import AS_OF
from hie.fhir.routes import ANSWER_PARAMETERS
from hie.interactions import as_of
from hie.operations import answer_parameters
from hie.operations.graphql import document, mutations, schema
from hie.operations.graphql.answer import written
from hie.operations.graphql.execution import Execution
from hie.operations.graphql.states import one_state
from hie.registry import Operation, Parameter, standard_parameters, standard_returns

JSON, GRAPHQL = "application/json", "application/graphql"
LONGEST = 100_000
PROVENANCE = "http.X-Provenance"
#: So much of a query that came in a body goes into the audit record.
_AUDITED = 2_000


@dataclass(frozen=True, slots=True)
class _Sent:
    """A query as it was sent."""

    query: str
    variables: dict[str, Any]
    operation: str | None


def graphql(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Answer a query on the system, or on one resource."""
    sent = _sent(request)
    if len(sent.query) > LONGEST:
        raise InvalidRequest(f"The query is longer than {LONGEST} characters.", expression="query")
    ctx.store.entry.query = ctx.store.entry.query or sent.query[:_AUDITED]
    asked = document.read(sent.query, sent.variables, sent.operation)
    pretty = request.parameter("_pretty") == "true"
    if asked.is_mutation:
        if request.parameter(AS_OF) is not None:
            raise InvalidRequest(f"A mutation changes what is there now; {AS_OF} is for queries.", expression=AS_OF)
        answer = mutations.perform(request, asked.selections, ctx)
        return FhirResponse(200, json_format.dump(answer, pretty=pretty), content_type=JSON)
    if request.provenance is not None:
        raise NotSupported("X-Provenance is for what is stored; a query stores nothing.", expression=PROVENANCE)
    ctx = as_of.context(request, ctx)
    selections = asked.selections
    if request.id is None and schema.asks_for_schema("Query", selections):
        return FhirResponse(200, json_format.dump({"data": schema.answered(None, selections)}), content_type=JSON)
    with one_state(ctx, selections, of_system=request.id is None) as then:
        stored = None if request.id is None else then.store.read(request.type or "", request.id)
        if stored is not None and schema.asks_for_schema(stored.type, selections):
            told = schema.answered(stored.type, selections)
            return FhirResponse(200, json_format.dump({"data": told}), content_type=JSON)
        execution = Execution(then, ctx)
        if stored is None:
            row = execution.of_system(selections)
        else:
            row = execution.of_resource(json_format.parse(stored.content or b"{}"), selections)
    answer = {"data": written(row)}
    if execution.errors:
        answer["errors"] = execution.errors
    entity = (request.type or "", request.id) if request.id is not None else None
    return FhirResponse(200, json_format.dump(answer, pretty=pretty), content_type=JSON, entity=entity)


def writes(request: FhirRequest) -> bool:
    """Tell whether a request has mutations; one that cannot be read has none."""
    try:
        sent = _sent(request)
        return len(sent.query) <= LONGEST and document.read(sent.query, sent.variables, sent.operation).is_mutation
    except FhirError:
        return False


def _sent(request: FhirRequest) -> _Sent:
    """Read the query from the URL, a body of its own format, JSON, or a Parameters resource."""
    given = {name: value for name, value in request.parameters
             if name not in ANSWER_PARAMETERS and name != AS_OF}
    if request.resource is not None:  # an entry of a Bundle
        given |= _of_parameters(request.resource)
    elif request.content_type == GRAPHQL:
        given["query"] = _decoded(request.body)
    elif request.body:
        given |= _of_json(request.body)
    unknown = set(given) - {"query", "variables", "operationName"}
    if unknown:
        raise InvalidRequest(f"$graphql has no parameter {min(unknown)[:80]!r}; it has query, variables and "
                             "operationName.", expression=min(unknown)[:80])
    query, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise InvalidRequest("$graphql needs a query.", expression="query")
    if isinstance(variables, str) and variables:
        variables = _json(variables.encode(), "variables")
    if not isinstance(variables, dict | None):
        raise InvalidRequest("variables is an object of names and values.", expression="variables")
    if not isinstance(name, str | None):
        raise InvalidRequest("operationName is a name.", expression="operationName")
    return _Sent(query, variables or {}, name or None)


def _of_json(body: bytes) -> dict[str, Any]:
    content = _json(body, "query")
    if not isinstance(content, dict):
        raise InvalidRequest("The body is an object with query, variables and operationName.", expression="query")
    return _of_parameters(content) if "resourceType" in content else content


def _of_parameters(resource: Any) -> dict[str, Any]:
    rows = resource.get("parameter") if isinstance(resource, dict) else None
    if not isinstance(rows, list) or resource.get("resourceType") != "Parameters":
        raise InvalidRequest("$graphql takes its query in the URL, as application/graphql, as JSON, or in a "
                             "Parameters resource.", expression="query")
    modifiers.refuse(resource)
    return {str(row.get("name")): row.get("valueString") for row in rows if isinstance(row, dict)}


def _json(text: bytes, expression: str) -> Any:
    try:
        return json_format.parse(text)
    except JsonError as error:
        raise InvalidJson(str(error), expression=expression) from error


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The query is not UTF-8.", expression="query") from None


OPERATION = Operation(
    code="graphql",
    levels=frozenset({"system", "instance"}),
    function=graphql,
    definition="http://hl7.org/fhir/OperationDefinition/Resource-graphql",
    parameters=(
        *standard_parameters("graphql@Resource", {"query": "The query, or mutations, in GraphQL."}),
        Parameter("variables", "string", documentation="The values of the query's variables, as a JSON object."),
        Parameter("operationName", "string", documentation="Which of several operations of the query is meant."),
        answer_parameters.AS_OF,
    ),
    returns=standard_returns("graphql@Resource", {
        "result": "The answer itself, as application/json: `data`, and `errors` where something is missing in it."}),
    documentation="Answers a query in GraphQL, on the system or on one resource. Mutations create, update and delete; "
                  "they are for POST, to the system. The body of a POST may also be of the type application/graphql "
                  "or application/json.",
    takes_body=frozenset({JSON, GRAPHQL, "application/fhir+json"}),
    answers_in=JSON,
    writes=writes,
    stores_by_post=True,
    conditions=frozenset({"if_match", "if_none_match", "if_none_exist", "if_unmodified_since"}),
    hands_on_provenance=True,
)
