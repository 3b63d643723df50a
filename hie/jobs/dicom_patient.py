"""Whose DICOM file it is: the one Patient whose identifier is the file's Patient ID, if nothing speaks against it.

A Patient ID is unique only where it was issued, so birth date and sex must not differ where both sides have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hie.context import Context
from hie.fhir import json_format
from hie.store.search import engine

if TYPE_CHECKING:
    from fhir_adapters.imaging import DicomPatient


def find(wanted: DicomPatient, ctx: Context) -> tuple[str | None, str]:
    """Patient/id and nothing, or None and the reason; the reason never quotes what the file says."""
    if wanted.id is None:
        return None, "The DICOM file has no Patient ID, so it is not known whose image it is."
    found = engine.match(ctx.store, "Patient", [("identifier", _token(wanted.id))])
    if not found:
        return None, "No Patient has the file's Patient ID as an identifier."
    if len(found) > 1:
        return None, "More than one Patient has the file's Patient ID as an identifier."
    patient = json_format.parse(found[0].content or b"{}")
    differing = _differing(wanted, patient)
    if differing is not None:
        return None, f"The Patient with the file's Patient ID has another {differing}."
    return f"Patient/{found[0].id}", ""


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
