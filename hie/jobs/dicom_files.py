"""A Binary that is a DICOM file: the Media that describes it, or a rejected Task that says why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import Gone, MultipleMatches, NotFound, Unprocessable
from hie.fhir import binary, json_format, references
from hie.fhir.http import Conditions, FhirRequest
from hie.fhir.instants import instant
from hie.jobs import dicom_patient, tasks
from hie.operations import media_image
from hie.operations.media_image import MediaImage
from hie.operations.server_context import as_server
from hie.store.opening import parsed
from hie.store.search import conditions
from hie.store.versions import StoredVersion

Resource = dict[str, Any]

#: What a Media has of the file; the rest of it is whoever's who changed it.
_OF_FILE = ("identifier", "modality", "bodySite", "view", "createdDateTime", "deviceName", "height", "width", "content")
_NOT_THEIRS = (
    "The Binary is the image of a Media. Another file takes its place only where it is known to be of the same "
    "Patient: let securityContext name them, or store the file as a Binary of its own."
)
#: So many Tasks of one Binary are looked at.
_MOST_TASKS = 100


def describe(stored: StoredVersion, resource: Resource, ctx: Context) -> None:
    """Make the Media of a DICOM file whose patient is known here; else leave a rejected Task that says why."""
    image = MediaImage(*binary.opened(resource), "Binary.data")
    header = media_image.inspected(image)
    inside = as_server(ctx)
    address = f"Binary/{stored.id}"
    before = _before(stored, resource, inside)
    asked = [] if before is None else _asked(stored, inside)
    if before is not None and asked and _is_same(before, resource):
        return  # a label asks for nothing, nor does the same file again
    subject, reason = None, "The DICOM file holds a kind of image that is not read here."
    if header is not None:
        subject, reason = _whose(header.patient, resource, ctx, inside)
    shown_by = list(_shown_by(asked, stored, inside))
    if any(media_image.patient_of(one, inside.store.base_url) != subject for one in shown_by):
        raise Unprocessable(_NOT_THEIRS, expression="Binary.data")  # one answer, whoever else it may be of
    if subject is None:
        return _reject(address, reason, inside)
    _make(header, image, address, subject, [one for one in shown_by if _describes(one, before)], inside)


def _whose(wanted: Any, resource: Resource, ctx: Context, inside: Context) -> tuple[str | None, str]:
    type_name, _, named_id = (binary.security_context(resource, ctx.store.base_url) or "").partition("/")
    named = named_id if type_name == "Patient" else None
    is_trusted = named is not None and dicom_patient.may_name(named, ctx)
    reads_all = ctx.store.grant.queries("Patient", "r") is None
    return dicom_patient.find(wanted, named, is_trusted, reads_all, inside, ctx)


def _make(
    header: Any, image: MediaImage, address: str, subject: str, describing: list[Resource], ctx: Context
) -> None:
    """Create the Media, or let those that describe what the file was before describe it as it is."""
    from fhir_adapters import dicom_media

    media = dicom_media.media(header, image.data, address, subject)
    for old in describing:
        kept = {name: value for name, value in old.items() if name not in _OF_FILE}
        fresh = kept | {name: media[name] for name in _OF_FILE if name in media}
        ctx.dispatch(FhirRequest("update", "Media", old["id"], resource=fresh, method="PUT"), ctx)
    if describing:
        return
    request = FhirRequest("create", "Media", resource=media, method="POST")
    if "identifier" in media:
        known = f"identifier={dicom_media.DICOM_UID}|{media['identifier'][0]['value']}&subject={subject}"
        request = replace(request, conditions=Conditions(if_none_exist=known))
    try:
        is_known = ctx.dispatch(request, ctx).status == 200
    except MultipleMatches:  # somebody made a second one
        is_known = True
    if is_known:
        _reject(address, "This DICOM object (SOP Instance UID) is already known for this patient.", ctx)


def _before(stored: StoredVersion, resource: Resource, ctx: Context) -> Resource | None:
    """The Binary before this update, which may have changed nothing; None where there is none."""
    if stored.came_into_being:
        return None
    if ("Binary", stored.id) not in ctx.store.touched():
        return resource
    try:
        return parsed(ctx.store.vread("Binary", stored.id, stored.vid - 1))
    except (NotFound, Gone):
        return None


def _asked(stored: StoredVersion, ctx: Context) -> list[Resource]:
    """The Tasks that ask for a judgement of this Binary."""
    asked = [("based-on", f"Binary/{stored.id}"), ("status:not", "rejected")]
    found = conditions.match(ctx.store, "Task", asked, _MOST_TASKS)
    return [json_format.parse(one.content or b"{}") for one in found]


def _is_same(before: Resource, resource: Resource) -> bool:
    return all(before.get(name) == resource.get(name) for name in ("data", "contentType", "securityContext"))


def _shown_by(asked: list[Resource], stored: StoredVersion, ctx: Context) -> Iterator[Resource]:
    """The Media whose image the Binary is, of those that the Tasks are about."""
    for id_ in dict.fromkeys(references.parse(one["focus"]["reference"]).id for one in asked if "focus" in one):
        try:
            media = parsed(ctx.store.read("Media", id_ or ""))
        except (NotFound, Gone):
            continue
        if "data" not in media.get("content", {}) and media_image.binary_of(media, ctx.store.base_url) == stored.id:
            yield media


def _describes(media: Resource, before: Resource | None) -> bool:
    """Tell whether a Media says, by its hash, that it describes what the Binary held before."""
    from fhir_adapters import dicom_media

    if before is None or "data" not in before:
        return False
    return bool(media["content"].get("hash") == dicom_media.sha1(binary.opened(before)[0]))


def _reject(address: str, reason: str, ctx: Context) -> None:
    task = tasks.diagnosis_task(address, address, None, address, instant(ctx.clock()))
    tasks.reject(task, reason, ctx)
