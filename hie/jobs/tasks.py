"""The Task by which clients follow a job: https://hl7.org/fhir/R4/task.html"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from hie.context import Context
from hie.errors import MultipleMatches
from hie.fhir import json_format
from hie.fhir.http import Conditions, FhirRequest
from hie.fhir.instants import instant
from hie.operations.ai_results import first_made

DIAGNOSE = "image-diagnosis"
#: A Task in one of these states is not worked on any more.
ENDED = frozenset({"completed", "failed", "cancelled", "rejected", "entered-in-error"})


def diagnosis_task(identity: str, focus: str, patient: str | None, binary: str | None, now: str) -> dict[str, Any]:
    """A Task that asks for the judgement of one image, requested."""
    from fhir_adapters import ai_codes

    task: dict[str, Any] = {
        "resourceType": "Task",
        "identifier": [{"system": ai_codes.TASK_IDENTIFIER, "value": identity}],
        "status": "requested",
        "intent": "order",
        "code": ai_codes.own(DIAGNOSE),
        "focus": {"reference": focus},
        "authoredOn": now,
        "lastModified": now,
    }
    if binary is not None:
        task["basedOn"] = [{"reference": binary}]
    if patient is not None:
        task["for"] = {"reference": patient}
    return task


def ask(task: dict[str, Any], ctx: Context) -> str | None:
    """Store a Task, or ask again by the one with its identifier where that failed; its id if there is work to do."""
    id_, is_new = create(task, ctx)
    if is_new:
        return id_
    known = read(id_, ctx)
    if known["status"] != "failed":
        return None
    update({**_reopened(known), "status": "requested", "lastModified": task["lastModified"]}, ctx)
    return id_


def create(task: dict[str, Any], ctx: Context) -> tuple[str, bool]:
    """Store a Task unless one with its identifier is there; its id, and whether it is new."""
    identifier = task["identifier"][0]
    asked = ("identifier", f"{identifier['system']}|{identifier['value']}")
    conditions = Conditions(if_none_exist=urlencode([asked]))
    try:
        answer = ctx.dispatch(
            FhirRequest("create", "Task", resource=task, conditions=conditions, method="POST"), ctx
        )
    except MultipleMatches:  # somebody copied it
        return first_made("Task", [asked], ctx)[0], False
    _, id_ = answer.entity or ("Task", "")  # a create names what it stored or found
    return id_, answer.status == 201


def read(task_id: str, ctx: Context) -> dict[str, Any]:
    """The Task as it is stored; NotFound or Gone where it is not."""
    task: dict[str, Any] = json_format.parse(ctx.store.read("Task", task_id).content or b"{}")
    return task


def update(task: dict[str, Any], ctx: Context) -> None:
    """Store the next version of a Task, if nobody else did meanwhile; PreconditionFailed otherwise."""
    ctx.dispatch(
        FhirRequest("update", "Task", task["id"], resource=task, conditions=Conditions(if_match=_version(task)),
                    method="PUT"),
        ctx,
    )  # fmt: skip


def entry(task: dict[str, Any]) -> dict[str, Any]:
    """The entry of a transaction that stores the next version of a Task, if nobody else did meanwhile."""
    request = {"method": "PUT", "url": f"Task/{task['id']}", "ifMatch": _version(task)}
    return {"resource": task, "request": request}


def in_progress(task: dict[str, Any], ctx: Context) -> dict[str, Any]:
    """The Task while a worker is at it."""
    return {**_reopened(task), "status": "in-progress", "lastModified": instant(ctx.clock())}


def _reopened(task: dict[str, Any]) -> dict[str, Any]:
    """The Task without how it ended before."""
    return {name: value for name, value in task.items() if name not in ("statusReason", "output")}


def failed(task: dict[str, Any], reason: str, ctx: Context) -> dict[str, Any]:
    """The Task that came to nothing, and why."""
    return {**task, "status": "failed", "statusReason": {"text": reason}, "lastModified": instant(ctx.clock())}


def reject(task: dict[str, Any], reason: str, ctx: Context) -> None:
    """Store a Task that is not begun, and why; where it is there, for whatever reason before, it says this one."""
    wanted = {**task, "status": "rejected", "statusReason": {"text": reason}}
    id_, is_new = create(wanted, ctx)
    known = wanted if is_new else read(id_, ctx)
    if known.get("statusReason") != wanted["statusReason"]:
        update({**known, **{name: wanted[name] for name in ("status", "statusReason", "lastModified")}}, ctx)


def _version(task: dict[str, Any]) -> str:
    return f'W/"{task["meta"]["versionId"]}"'
