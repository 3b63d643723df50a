"""Whose DICOM file it is: the Patient that its sender names, or the one whose identifier is the file's Patient ID.

A Patient ID is unique only where it was issued, and a sender may err: the file must not say somebody else's, and birth
date and sex must not differ where both sides have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.errors import Forbidden, Gone, NotFound
from hie.fhir import json_format
from hie.store.search import conditions

if TYPE_CHECKING:
    from fhir_adapters.imaging import DicomPatient


#: One answer whatever the reason: whoever may not read the Patient learns nothing of it by files with guessed headers.
_NOT_BOTH = (
    "The token does not read the Patient that the Binary's securityContext names; then the file's Patient ID must be "
    "an identifier of that Patient alone, and neither birth date nor sex may differ."
)


#: So many records of one person may have been merged.
_MOST_MERGED = 20
#: So many Patients with one identifier are looked at.
_MOST_LOOKED_AT = 1000

_NOT_ONE = (
    "The file's Patient ID must be an identifier of one Patient alone, and neither birth date nor sex may differ; what "
    "fails is told a token that reads every Patient."
)


def may_name(id_: str, ctx: Context) -> bool:
    """Tell whether the token's word counts for whose image it is: it may read this Patient."""
    queries = ctx.store.grant.queries("Patient", "r")
    if not queries:
        return queries is None
    try:
        ctx.store.read("Patient", id_)
    except (NotFound, Gone, Forbidden):
        return False
    return True


def find(
    wanted: DicomPatient, named: str | None, is_trusted: bool, reads_all: bool, ctx: Context, sender: Context
) -> tuple[str | None, str]:
    """Patient/id and nothing, or None and the reason; the reason never quotes what the file says.

    `named` is the id of the Patient that the Binary's securityContext names, `is_trusted` whether it may be named;
    `reads_all`: whether the sender may read every Patient, and so be told what of a guess is wrong. `ctx` has the
    server's grant, `sender` that of the request.
    """
    if named is not None and is_trusted:
        return _named(wanted, named, ctx, sender)
    subject, reason = _identified(wanted, ctx)
    if named is not None and subject != f"Patient/{named}":
        return None, _NOT_BOTH
    return subject, reason if reads_all or subject is not None or wanted.id is None else _NOT_ONE


def _identified(wanted: DicomPatient, ctx: Context) -> tuple[str | None, str]:
    if wanted.id is None:
        return None, "The DICOM file has no Patient ID, so it is not known whose image it is."
    stored = conditions.match(ctx.store, "Patient", _identified_by(wanted), _MOST_MERGED)
    everybody = [json_format.parse(one.content or b"{}") for one in stored]
    found = [patient for patient in everybody if not _is_replaced(patient)]
    if not everybody:
        return None, "No Patient has the file's Patient ID as an identifier."
    if not found:
        return None, "The Patient with the file's Patient ID was replaced by another, who has it not."
    if len(found) > 1 or len(everybody) == _MOST_MERGED:
        return None, "More than one Patient has the file's Patient ID as an identifier."
    differing = _differing(wanted, found[0])
    if differing is not None:
        return None, f"The Patient with the file's Patient ID has another {differing}."
    return f"Patient/{found[0]['id']}", ""


def _is_replaced(patient: dict[str, Any]) -> bool:
    """Tell whether the record is no longer to be used: https://hl7.org/fhir/R4/valueset-link-type.html"""
    return any(link.get("type") == "replaced-by" for link in patient.get("link", ()))


def _named(wanted: DicomPatient, id_: str, ctx: Context, sender: Context) -> tuple[str | None, str]:
    try:
        patient = json_format.parse(ctx.store.read("Patient", id_).content or b"{}")
    except (NotFound, Gone):  # without it the request fails
        return None, "The Patient that the Binary's securityContext names is not stored yet; store it before the file."
    theirs = [one.get("value") for one in patient.get("identifier", ())]
    if wanted.id is not None and wanted.id not in theirs and _is_anothers(wanted, ctx, sender):
        return None, "The file's Patient ID is that of another Patient than the Binary's securityContext names."
    differing = _differing(wanted, patient)
    if differing is not None:
        return None, f"The Patient that the Binary's securityContext names has another {differing} than the file says."
    return f"Patient/{id_}", ""


def _is_anothers(wanted: DicomPatient, ctx: Context, sender: Context) -> bool:
    """Tell whether a Patient that the sender may read has the file's Patient ID: of others nothing is told."""
    found = conditions.match_ids(ctx.store, "Patient", _identified_by(wanted), _MOST_LOOKED_AT)
    return any(may_name(id_, sender) for id_ in found)


def _identified_by(wanted: DicomPatient) -> list[tuple[str, str]]:
    return [("identifier", _token(wanted.id or ""))]


def _differing(wanted: DicomPatient, patient: dict[str, Any]) -> str | None:
    birth_date = patient.get("birthDate")
    if wanted.birth_date and birth_date and not wanted.birth_date.startswith(birth_date):
        return "birth date"
    gender = patient.get("gender")
    if wanted.gender in ("male", "female") and gender in ("male", "female") and wanted.gender != gender:
        return "sex"
    return None


def _token(text: str) -> str:
    """A value of a token search with nothing that the search syntax would take for its own."""
    return "".join(f"\\{character}" if character in "\\,|$" else character for character in text)
