"""The job that judges the image of a Media; what it writes is one transaction with the end of its Task."""

from __future__ import annotations

from typing import Any

from hie.context import Context
from hie.errors import Gone, NotFound, Unprocessable
from hie.fhir import json_format
from hie.fhir.instants import instant
from hie.jobs import tasks
from hie.operations import ai_results, diagnose, media_image
from hie.operations.server_context import own_record
from hie.registry import JobKind

CODE = "diagnose"


def run(payload: dict[str, Any], ctx: Context) -> None:
    """Judge the image of `payload["media"]` unless its Task has ended, for instance because it was cancelled.

    One that failed is begun anew: an administrator had the job tried again.
    """
    task = tasks.read(payload["task"], ctx)
    if task["status"] in tasks.ENDED - {"failed"}:
        return
    if task["status"] != "in-progress":
        tasks.update(tasks.in_progress(task, ctx), own_record(ctx, "job-begin"))
        task = tasks.read(payload["task"], ctx)
    media = json_format.parse(ctx.store.read("Media", payload["media"]).content or b"{}")
    _refuse_another_patient(media, task, ctx)
    _refuse_another_binary(media, payload, ctx)
    bundle = diagnose.result(media, ctx, payload.get("sha256"))  # jobs of before name none
    bundle["entry"].append(tasks.entry(_ended(task, bundle, ctx)))
    ai_results.write(bundle, own_record(ctx, "job-result"))


def _refuse_another_patient(media: dict[str, Any], task: dict[str, Any], ctx: Context) -> None:
    """Leave a Media that was given to its right patient meanwhile to the Task that the update made."""
    asked, now = (media_image.patient_of({"subject": one}, ctx.store.base_url)
                  for one in (task.get("for", {}), media.get("subject", {})))
    if asked is not None and now is not None and asked != now:
        raise Unprocessable("The image is that of another patient now, for whom another Task asks.",
                            expression="Media.subject")


def _refuse_another_binary(media: dict[str, Any], payload: dict[str, Any], ctx: Context) -> None:
    """Read no Binary but the one that the client could read when it asked: the job's own grant has no bounds."""
    now = None if "data" in media.get("content", {}) else media_image.binary_of(media, ctx.store.base_url)
    if now is not None and now != payload.get("binary", now):  # jobs of before name none
        raise Unprocessable("The image is in another Binary now, which nobody asked to judge.",
                            expression="Media.content.url")


def _ended(task: dict[str, Any], bundle: dict[str, Any], ctx: Context) -> dict[str, Any]:
    from fhir_adapters.results import completed

    ended = completed(task, bundle, instant(ctx.clock()))
    observation = bundle["entry"][0]["resource"]
    reason = observation.get("dataAbsentReason", {}).get("coding", [{}])[0].get("code")
    if reason == "error":
        return tasks.failed(ended, observation["note"][0]["text"], ctx)
    return ended


def gave_up(payload: dict[str, Any], reason: str, ctx: Context) -> None:
    """Mark the Task failed; one that is gone or has ended needs nothing."""
    try:
        task = tasks.read(payload["task"], ctx)
    except (NotFound, Gone):
        return
    if task["status"] not in tasks.ENDED:
        tasks.update(tasks.failed(task, reason, ctx), own_record(ctx, "job-failed"))


KIND = JobKind(CODE, run, gave_up)
