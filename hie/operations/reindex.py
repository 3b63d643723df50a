"""$reindex: write the index rows of stored resources anew; an operation of this server's own, for the scope `admin`.

POST starts a run over the system or a type, or does one resource at once; GET tells of runs.
"""

from __future__ import annotations

from typing import Any

from hie.context import Context
from hie.errors import Forbidden, InvalidRequest, NotFound
from hie.fhir import outcome
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.json_format import dump
from hie.registry import Operation, Parameter
from hie.store import custom_parameters, index_runs
from hie.store.index_runs import Run
from hie.store.resources import ResourceStore

_SHOWN = 20


def reindex(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Start a run, or tell how far runs are."""
    if not ctx.store.grant.admin:
        raise Forbidden("$reindex needs a token with the scope admin.")
    if request.method != "POST":
        return _told(request, ctx)
    if request.parameter("run") is not None:
        raise InvalidRequest("run names a run that GET tells of; POST starts one.", expression="run")
    if request.id is not None:
        return _one(request, ctx)

    def start(store: ResourceStore) -> FhirResponse:
        number = store.start_index_run([request.type] if request.type else [])
        found = index_runs.find(store.connection(), store.keys, number)
        return _answer([] if found is None else [found], ctx.within(store))

    return ctx.store.transact(start)


def _one(request: FhirRequest, ctx: Context) -> FhirResponse:
    type_name, id_ = request.instance

    def anew(store: ResourceStore) -> FhirResponse:
        if not store.index_anew(type_name, id_):
            raise NotFound(f"{type_name}/{id_} is not known here, or was deleted.", expression=type_name)
        return FhirResponse(200, outcome.dump([outcome.information(f"{type_name}/{id_} was indexed anew.")]))

    return ctx.store.transact(anew)


def _told(request: FhirRequest, ctx: Context) -> FhirResponse:
    connection, tenant, text = ctx.store.connection(), ctx.store.keys, request.parameter("run")
    if text is None:
        return _answer(index_runs.latest(connection, tenant, _SHOWN), ctx)
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidRequest(f"run is {text[:80]!r}; it must be the number of a run.", expression="run")
    found = index_runs.find(connection, tenant, int(text))
    if found is None:
        raise NotFound(f"There is no run {text}.", expression="run")
    return _answer([found], ctx)


def _answer(runs: list[Run], ctx: Context) -> FhirResponse:
    rows = [{"name": "run", "part": list(_parts(run, ctx))} for run in runs]
    content: dict[str, Any] = {"resourceType": "Parameters"}
    return FhirResponse(200, dump(content | {"parameter": rows} if rows else content))


def _parts(run: Run, ctx: Context) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": "number", "valueInteger": run.number},
        {"name": "state", "valueCode": run.state},
        *({"name": "type", "valueCode": name} for name in run.types),
        {"name": "done", "valueInteger": run.done},
    ]
    if run.total is not None:
        rows.append({"name": "total", "valueInteger": run.total})
    rows.append({"name": "created", "valueInstant": instant(run.created)})
    if run.finished is not None:
        rows.append({"name": "finished", "valueInstant": instant(run.finished)})
    for id_, code, state in custom_parameters.described(ctx.store.connection(), ctx.store.keys, run.number):
        rows.append({"name": "parameter", "part": [
            {"name": "code", "valueCode": code},
            {"name": "state", "valueCode": state},
            {"name": "resource", "valueReference": {"reference": f"SearchParameter/{id_}"}},
        ]})  # fmt: skip
    return rows


_RETURNS = (
    Parameter("run", "", max="*", documentation="A run, the last 20 unless one is named.", parts=(
        Parameter("number", "integer", 1, documentation="Its number."),
        Parameter("state", "code", 1, documentation="waiting, running or done."),
        Parameter("type", "code", max="*", documentation="The types that it is for; none: all."),
        Parameter("done", "integer", 1, documentation="So many resources are done."),
        Parameter("total", "integer", documentation="Of so many, once it runs."),
        Parameter("created", "instant", 1, documentation="When it was asked for."),
        Parameter("finished", "instant", documentation="When it was done."),
        Parameter("parameter", "", max="*", documentation="A custom search parameter that it is for.", parts=(
            Parameter("code", "code", 1, documentation="Its code."),
            Parameter("state", "code", 1, documentation="indexing, ready or removing."),
            Parameter("resource", "Reference", 1, documentation="The SearchParameter."),
        )),
    )),
)

OPERATION = Operation(
    code="reindex",
    levels=frozenset({"system", "type", "instance"}),
    function=reindex,
    parameters=(Parameter("run", "positiveInt", documentation="By GET: the number of the run that is asked for."),),
    returns=_RETURNS,
    documentation="Writes index rows anew: POST of one resource at once, of a type or the system by a run in the "
                  "background; GET tells how far runs are. For tokens with the scope admin. Of one resource the answer "
                  "is an OperationOutcome.",
    stores_by_post=True,
)
