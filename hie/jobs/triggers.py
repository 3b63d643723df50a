"""Writes that ask for a judgement: a Media with an image, and a Binary that is a DICOM file.

Inside the transaction of the write: an image that cannot be one is refused with it, and nothing is stored. What is
stored has its Task and its job in the same commit (D12).
"""

from __future__ import annotations

import hashlib
from typing import Any

from hie.context import Context
from hie.errors import Forbidden, Gone, NotFound
from hie.fhir.instants import instant
from hie.jobs import dicom_files, tasks
from hie.jobs.diagnosis import CODE
from hie.operations import media_image
from hie.operations.server_context import as_server
from hie.registry import Trigger
from hie.store.search import conditions
from hie.store.versions import StoredVersion

_AIAST = "AIAST"
_WAITED_FOR = frozenset({"completed", "in-progress", "stopped", "unknown"})
_DICOM = "application/dicom"


def has_image(media: dict[str, Any]) -> bool:
    """Tell whether a Media is a finished image of a patient in a format that is read, and not made by a model."""
    from fhir_adapters.imaging import is_image_type

    content = media.get("content", {})
    return (
        is_image_type(content.get("contentType"))
        and ("data" in content or "url" in content)
        and media.get("status") in _WAITED_FOR
        and "Patient/" in media.get("subject", {}).get("reference", "")
        and not ("modifierExtension" in media or "implicitRules" in media)  # it may mean anything
        and not any(label.get("code") == _AIAST for label in media.get("meta", {}).get("security", ()))
    )


def judge_media(stored: StoredVersion, media: dict[str, Any], ctx: Context) -> None:
    """Ask for the judgement of a Media's image, once for each image and patient; Unprocessable where it is none."""
    patient = media_image.patient_of(media, ctx.store.base_url)
    held_by = media_image.binary_of(media, ctx.store.base_url)
    if patient is None or ("url" in media["content"] and "data" not in media["content"] and held_by is None):
        return  # somebody else's patient or image: nothing here that could be judged
    if held_by is not None and not ctx.store.grant.covers_all("Binary", "r"):
        known = [("focus", f"Media/{stored.id}"), ("based-on", f"Binary/{held_by}"), ("patient", patient)]
        if conditions.match(as_server(ctx).store, "Task", known) and not _reads(held_by, ctx):
            return  # of this image that was asked already; who may not read it changes something else
    sha256 = _image(media, ctx)
    which = sha256 or hashlib.sha256(str(media["content"]["url"]).encode()).hexdigest()
    identity = f"Media/{stored.id}/{which}/{patient}"
    now = instant(ctx.clock())
    based_on = f"Binary/{held_by}" if held_by else None
    task = tasks.diagnosis_task(identity, f"Media/{stored.id}", patient, based_on, now)
    inside = as_server(ctx)
    task_id = tasks.ask(task, inside)
    if task_id is not None:
        inside.store.enqueue(CODE, {"media": stored.id, "task": task_id, "binary": held_by, "sha256": sha256})


def _reads(binary_id: str, ctx: Context) -> bool:
    try:
        ctx.store.read("Binary", binary_id)
    except (NotFound, Gone, Forbidden):
        return False
    return True


def _image(media: dict[str, Any], ctx: Context) -> str | None:
    """The SHA-256 of the image; None where a later entry of the same transaction brings it."""
    if media_image.is_reachable(media, ctx.store):
        image = media_image.image_of(media, ctx.store)
        media_image.inspected(image)
        return image.sha256
    # Otherwise the server would read for the client what its token does not cover.
    ctx.store.await_("Binary", media_image.binary_of(media, ctx.store.base_url) or "")
    return None


def is_dicom(resource: dict[str, Any]) -> bool:
    """Tell whether a Binary is a DICOM file."""
    from fhir_adapters.imaging import content_type_of

    return "data" in resource and content_type_of(str(resource.get("contentType", ""))) == _DICOM


MEDIA = Trigger("judge-media", "Media", has_image, judge_media)
DICOM = Trigger("describe-dicom", "Binary", is_dicom, dicom_files.describe)
