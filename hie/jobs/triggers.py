"""Writes that ask for a judgement: a Media with an image, and a Binary that is a DICOM file.

Inside the transaction of the write: an image that cannot be one is refused with it, and nothing is stored. What is
stored has its Task and its job in the same commit (D12).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import Forbidden, Gone, NotFound, OutcomeIssue, Unprocessable
from hie.fhir import binary
from hie.fhir.http import Conditions, FhirRequest
from hie.fhir.instants import instant
from hie.jobs import dicom_patient, tasks
from hie.jobs.diagnosis import CODE
from hie.operations import media_image
from hie.operations.server_context import as_server
from hie.registry import Trigger
from hie.store.opening import parsed
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
    identity = f"{_identity(stored, media, ctx)}/{patient}"
    now = instant(ctx.clock())
    based_on = f"Binary/{held_by}" if held_by else None
    task = tasks.diagnosis_task(identity, f"Media/{stored.id}", patient, based_on, now)
    inside = as_server(ctx)
    task_id = tasks.ask(task, inside)
    if task_id is not None:
        inside.store.enqueue(CODE, {"media": stored.id, "task": task_id, "binary": held_by})


def _reads(binary_id: str, ctx: Context) -> bool:
    try:
        ctx.store.read("Binary", binary_id)
    except (NotFound, Gone, Forbidden):
        return False
    return True


def _identity(stored: StoredVersion, media: dict[str, Any], ctx: Context) -> str:
    """The Media and its image; the image's address where a later entry of the same transaction brings it."""
    if media_image.is_reachable(media, ctx.store):
        image = media_image.image_of(media, ctx.store)
        _inspect(image.data, image.content_type, image.expression)
        which = image.sha256
    else:  # otherwise the server would read for the client what its token does not cover
        ctx.store.await_("Binary", media_image.binary_of(media, ctx.store.base_url) or "")
        which = hashlib.sha256(str(media["content"]["url"]).encode()).hexdigest()
    return f"Media/{stored.id}/{which}"


def is_dicom(resource: dict[str, Any]) -> bool:
    """Tell whether a Binary is a DICOM file."""
    from fhir_adapters.imaging import content_type_of

    return "data" in resource and content_type_of(str(resource.get("contentType", ""))) == _DICOM


def describe_dicom(stored: StoredVersion, resource: dict[str, Any], ctx: Context) -> None:
    """Make the Media of a DICOM file whose patient is known here; else leave a rejected Task that says why."""
    from fhir_adapters import dicom_media

    data, content_type = binary.opened(resource)
    header = _inspect(data, content_type, "Binary.data")
    inside = as_server(ctx)
    address = f"Binary/{stored.id}"
    if _is_described(stored, resource, inside):
        return None
    if header is None:
        return _reject(address, "The DICOM file holds a kind of image that is not read here.", inside)
    type_name, _, named_id = (binary.security_context(resource, ctx.store.base_url) or "").partition("/")
    named = named_id if type_name == "Patient" else None
    is_trusted = named is not None and dicom_patient.may_name(named, ctx)
    reads_all = ctx.store.grant.queries("Patient", "r") is None
    subject, reason = dicom_patient.find(header.patient, named, is_trusted, reads_all, inside)
    if subject is None:
        return _reject(address, reason, inside)
    media = dicom_media.media(header, address, subject)
    request = FhirRequest("create", "Media", resource=media, method="POST")
    if "identifier" in media:
        known = f"identifier={dicom_media.DICOM_UID}|{media['identifier'][0]['value']}&subject={subject}"
        request = replace(request, conditions=Conditions(if_none_exist=known))
    if inside.dispatch(request, inside).status == 200:
        _reject(address, "This DICOM object (SOP Instance UID) is already known for this patient.", inside)
    return None


def _is_described(stored: StoredVersion, resource: dict[str, Any], ctx: Context) -> bool:
    """Tell whether an update left the file as it was, and it has its Media: a label asks for nothing."""
    if stored.vid == 1:
        return False
    asked = [("based-on", f"Binary/{stored.id}"), ("status:not", "rejected")]
    if not conditions.match(ctx.store, "Task", asked):
        return False
    try:
        before = parsed(ctx.store.vread("Binary", stored.id, stored.vid - 1))
    except (NotFound, Gone):
        return False
    return all(before.get(name) == resource.get(name) for name in ("data", "contentType", "securityContext"))


def _reject(address: str, reason: str, ctx: Context) -> None:
    task = tasks.diagnosis_task(address, address, None, address, instant(ctx.clock()))
    tasks.create(tasks.rejected(task, reason), ctx)


def _inspect(data: bytes, content_type: str | None, expression: str) -> Any:
    """The image's header; None where it is an image of a kind that is not read; Unprocessable where it is none."""
    from fhir_adapters import imaging
    from fhir_adapters.base import AdapterError, NoImage, Unsupported

    try:
        return imaging.inspect(data, content_type)
    except AdapterError as error:
        if isinstance(error, Unsupported) and not isinstance(error, NoImage):
            return None
        issue = OutcomeIssue(error.code, error.diagnostics, expression)
        raise Unprocessable(error.diagnostics, issues=[issue]) from error


MEDIA = Trigger("judge-media", "Media", has_image, judge_media)
DICOM = Trigger("describe-dicom", "Binary", is_dicom, describe_dicom)
