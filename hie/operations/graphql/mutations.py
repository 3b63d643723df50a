"""Mutations of $graphql: https://hl7.org/fhir/R4/graphql.html, https://spec.graphql.org/October2021/#sec-Mutation

Each goes through the interaction that a request of its own would go through (create, update, delete), in a transaction
and with an audit record of its own, one after the other. One that fails is null and told in `errors`; what went before
stays, what follows is done. What means nothing is refused before the first is done.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, MethodNotAllowed, NotSupported, TooCostly
from hie.fhir import facts, json_format, outcome
from hie.fhir.http import Conditions, FhirRequest, FhirResponse, Preferences
from hie.fhir.routes import checked_id
from hie.operations.graphql.answer import Cell, Row, place, written
from hie.operations.graphql.checking import check, check_plain, invalid, merged
from hie.operations.graphql.document import Field, Selection
from hie.operations.graphql.execution import Execution
from hie.operations.graphql.failures import failure
from hie.operations.graphql.inputs import Inputs
from hie.store import away

log = logging.getLogger("hie.operations.graphql")

MOST_MUTATIONS = 100
_VERSION = re.compile(r"[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of mutation: the interaction, its arguments, and the type of what it gives, with the fields."""

    interaction: str
    method: str
    arguments: tuple[str, ...]
    payload: str
    fields: tuple[str, ...]


#: By what stands behind the type's name in a mutation's, as in PatientCreate.
ACTIONS = {
    "Create": Action("create", "POST", ("resource", "res"), "Creation", ("location", "resource", "information")),
    "Update": Action("update", "PUT", ("id", "resource", "res", "ifMatch"), "Update", ("resource", "information")),
    "Delete": Action("delete", "DELETE", ("id", "ifMatch"), "Delete", ("information",)),
}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mutation that was read; `request` is None of __typename."""

    field: Field
    payload: str
    request: FhirRequest | None


def perform(request: FhirRequest, selections: Sequence[Selection], ctx: Context) -> dict[str, Any]:
    """Do the mutations of a request, in order, and return the answer."""
    _refuse_elsewhere(request, ctx)
    mutations = _read(request, selections, ctx)
    ctx.store.entry.query = "mutation " + ", ".join(one.field.name for one in mutations)  # and nothing of the data
    execution, row = Execution(ctx), Row()
    for one in mutations:
        place(row, one.field.key, _answered(one, execution, ctx))
    answer: dict[str, Any] = {"data": written(row)}
    return answer | {"errors": execution.errors} if execution.errors else answer


def _refuse_elsewhere(request: FhirRequest, ctx: Context) -> None:
    """Refuse a mutation where it could not be what it says."""
    if request.method != "POST":
        error = MethodNotAllowed("A mutation changes what is stored; send it by POST.", expression="http.method")
        error.headers["Allow"] = "OPTIONS, POST"
        raise error
    if request.id is not None:
        raise invalid("A mutation is asked of the system ([base]/$graphql), not of a resource.")
    if ctx.store.in_transaction:
        raise NotSupported("A mutation is done by itself, whatever becomes of others, and so not inside of a "
                           "transaction; its entries create, update and delete.", expression="query")
    given = request.conditions
    if given.if_match or given.if_none_match or given.if_none_exist or given.if_unmodified_since:
        raise InvalidRequest("A condition in a header would be one of all mutations; the version that an update or "
                             "deletion means is its argument ifMatch.", expression="http.If-Match")


# ---- reading ---------------------------------------------------------------------------------------------------------


def _read(request: FhirRequest, selections: Sequence[Selection], ctx: Context) -> list[Mutation]:
    fields = merged("Mutation", selections)
    if len(fields) > MOST_MUTATIONS:
        raise TooCostly(f"The request has {len(fields)} mutations; at most {MOST_MUTATIONS} are done at once.",
                        expression="query")
    inputs = Inputs(ctx.settings.max_body_bytes)
    return [_mutation(one, request, inputs) for one in fields]


def _mutation(one: Field, outer: FhirRequest, inputs: Inputs) -> Mutation:
    if one.name == "__typename":
        check_plain(one)
        return Mutation(one, "Mutation", None)
    type_name, suffix = one.name[:-6], one.name[-6:]
    action = ACTIONS.get(suffix)
    if action is None or type_name not in facts.RESOURCE_TYPES:
        raise invalid(f"There is no mutation {one.name[:80]}; there are PatientCreate, PatientUpdate, PatientDelete, "
                       "and those of each other type.")
    check_plain(one, *action.arguments)
    payload = f"{type_name}{action.payload}"
    _check_selections(one, type_name, payload, action)
    id_ = _id(one, type_name) if "id" in action.arguments else None
    resource = _resource(one, type_name, id_, inputs) if "resource" in action.arguments else None
    if outer.provenance is not None and action.interaction == "delete":
        raise NotSupported("X-Provenance is for what is created or updated; not for deletions.",
                           expression="http.X-Provenance")
    request = FhirRequest(
        action.interaction, type_name, id_, resource=resource, method=action.method,
        conditions=Conditions(if_match=_if_match(one)), provenance=outer.provenance,
        preferences=Preferences("representation", outer.preferences.handling))  # fmt: skip
    return Mutation(one, payload, request)


def _check_selections(one: Field, type_name: str, payload: str, action: Action) -> None:
    """Refuse what the payload has not, before anything is done."""
    parts = merged(payload, one.selections)
    if not parts:
        raise invalid(f"{one.name} gives a {payload}, of which some fields must be selected: "
                      f"{', '.join(action.fields)}.")
    for part in parts:
        check_plain(part)
        if part.name not in (*action.fields, "__typename"):
            raise invalid(f"{payload} has no field {part.name[:80]}; it has {', '.join(action.fields)}.")
        is_plain = part.name in ("location", "__typename")
        if is_plain == bool(part.selections):
            raise invalid(f"{payload}.{part.name} " + ("is a plain value and has no fields." if is_plain else
                                                       "has fields, some of which must be selected."))
        if not is_plain:
            check(type_name if part.name == "resource" else "OperationOutcome", part.selections)


def _id(one: Field, type_name: str) -> str:
    found = one.arguments.get("id")
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise invalid(f"{one.name} needs the argument id: that of the {type_name}.")
    return checked_id(str(found), type_name)


def _resource(one: Field, type_name: str, id_: str | None, inputs: Inputs) -> dict[str, Any]:
    given = [one.arguments[name] for name in ("resource", "res") if name in one.arguments]
    if len(given) != 1:
        raise invalid(f"{one.name} needs the {type_name} as one of the arguments resource and res.")
    found = inputs.resource(type_name, given[0])
    return found if id_ is None or "id" in found else found | {"id": id_}


def _if_match(one: Field) -> str | None:
    """Return the argument as the header would have it: the version id alone is taken, too."""
    found = one.arguments.get("ifMatch")
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise invalid(f"ifMatch of {one.name} is the version id of the resource, or its ETag.")
    return f'W/"{found}"' if _VERSION.fullmatch(str(found)) else str(found)


# ---- doing -----------------------------------------------------------------------------------------------------------


def _answered(one: Mutation, execution: Execution, ctx: Context) -> Cell:
    """Do a mutation and return what is selected of what it gives; nothing where it fails, and an error."""
    if one.request is None:
        return Cell(["Mutation"])
    key, before = one.field.key, len(execution.errors)
    done: FhirResponse | None = None
    try:
        execution.begin()
        done = _done(one.request, ctx)
        found = _selected(one, done, execution)
    except FhirError as error:
        told = "" if done is None else "It was done, but what is selected of it cannot be told: "
        del execution.errors[before:]
        execution.errors.append(failure([key], error, told))
        return Cell()
    return Cell([found])


def _done(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Do it as a request of its own, with an audit record of its own."""
    audited = replace(ctx.store.entry, at=ctx.clock(), interaction=request.interaction, type=request.type,
                      id=request.id, patient=request.id if request.type == "Patient" else None, query="", touched=(),
                      recorded=False)  # fmt: skip
    try:
        answer = ctx.dispatch(request, ctx.within(replace(ctx.store, entry=audited)))
        audited.status = answer.status
        return answer
    except FhirError as error:
        audited.status = error.status
        raise
    except Exception as error:  # its neighbours have nothing to do with it, and some of them are already stored
        log.exception("a mutation failed", extra={"request_id": ctx.request_id})
        failed = away.refusal(error) or FhirError(
            f"Unexpected failure; the log has it under request id {ctx.request_id}.")
        audited.status = failed.status
        raise failed from error
    finally:
        if not audited.recorded:
            ctx.store.database.record(audited)


def _selected(one: Mutation, done: FhirResponse, execution: Execution) -> Row:
    content = json_format.parse(done.content or b"{}")
    is_deletion = one.request is not None and one.request.interaction == "delete"
    row, key = Row(), one.field.key
    for part in merged(one.payload, one.field.selections):
        match part.name:
            case "__typename":
                found: Any = one.payload
            case "location":
                found = f"{execution.ctx.base_url}/{done.location}"
            case "resource":
                found = execution.of_resource(content, part.selections, key, part.key)
            case _:
                told = content if is_deletion else outcome.outcome(done.issues)
                found = execution.of_resource(told, part.selections, key, part.key)
        place(row, part.key, Cell([found]))
    return row
