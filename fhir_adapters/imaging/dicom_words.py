"""Elements of a DICOM data set as plain values: text, whole numbers, dates, codes; None where they are unreadable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time
from typing import TYPE_CHECKING, Any

from fhir_adapters.imaging.image import Code, DicomFacts, DicomPatient

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SAMPLES = {"MONOCHROME1": 1, "MONOCHROME2": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3}
"""Photometric interpretations that are read, and their samples by pixel: PS3.3 C.7.6.3.1.2"""

_GENDERS = {"M": "male", "F": "female", "O": "other"}
_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_OFFSET = re.compile(r"[+-]((0[0-9]|1[0-3])[0-5][0-9]|1400)", re.ASCII)  # what FHIR has
_DAY = re.compile(r"[0-9]{8}", re.ASCII)
_DEVICE_NAME_LENGTH = 200
_CODE_LENGTH = 64


def value(source: Dataset, keyword: str) -> Any:
    """The element's value as pydicom reads it, the first of several; None where it is absent or unreadable."""
    found = _read(source, keyword)
    if _is_list(found):
        return found[0] if len(found) else None
    return found


def text(source: Dataset, keyword: str) -> str | None:
    """Text without padding, several values as they stand in the file; None where it is absent or empty."""
    found = _read(source, keyword)
    whole_text = "\\".join(map(str, found)) if _is_list(found) else "" if found is None else str(found)
    return whole_text.strip(" \0") or None


def _read(source: Dataset, keyword: str) -> Any:
    try:
        return source.get(keyword)
    except Exception:  # an unreadable element says nothing; what an image cannot do without is checked by the caller
        return None


def _is_list(found: Any) -> bool:
    return isinstance(found, list) or (hasattr(found, "__getitem__") and not isinstance(found, (str, bytes)))


def whole(source: Dataset, keyword: str, default: int | None = None) -> int | None:
    """A whole number; the default where the element is absent, None where it is no whole number."""
    found = value(source, keyword)
    if found is None:
        return default
    try:
        return int(found)
    except (TypeError, ValueError, OverflowError):
        return None


def facts(source: Dataset) -> DicomFacts:
    """What the header says of the picture."""
    name = _line(" ".join(filter(None, (text(source, "Manufacturer"), text(source, "ManufacturerModelName")))))
    return DicomFacts(
        sop_class=_uid(source, "SOPClassUID"),
        sop_instance=_uid(source, "SOPInstanceUID"),
        study=_uid(source, "StudyInstanceUID"),
        series=_uid(source, "SeriesInstanceUID"),
        modality=_code(source, "Modality"),
        body_part=_code(source, "BodyPartExamined"),
        view_position=_code(source, "ViewPosition"),
        regions=_codes(source, "AnatomicRegionSequence"),
        views=_codes(source, "ViewCodeSequence"),
        acquired=_acquired(source),
        device_name=name[:_DEVICE_NAME_LENGTH] or None,
    )


def patient(source: Dataset) -> DicomPatient:
    """Whose picture the header says it is."""
    return DicomPatient(
        id=text(source, "PatientID"),
        issuer=text(source, "IssuerOfPatientID"),
        birth_date=_date(text(source, "PatientBirthDate")),
        gender=_GENDERS.get((text(source, "PatientSex") or "").upper()),
    )


def kind_of_object(source: Dataset) -> str:
    """The name of the object's SOP class, for example `12-lead ECG Waveform Storage`."""
    from pydicom.uid import UID

    uid = _uid(source, "SOPClassUID")
    if uid is None:
        return "an object without SOP class"
    return UID(uid).name if UID(uid).name != uid else f"an object of SOP class {uid}"


def _uid(source: Dataset, keyword: str) -> str | None:
    found = text(source, keyword)
    return found if found and len(found) <= 64 and _UID.fullmatch(found) else None


def _code(source: Dataset, keyword: str) -> str | None:
    """A code string (CS) in upper case; what is none, as it is too long, still says something else than one."""
    return _line((text(source, keyword) or "").upper())[:_CODE_LENGTH].strip() or None


def _codes(source: Dataset, keyword: str) -> tuple[Code, ...]:
    """The codes of a sequence of codes; none of what is no such sequence."""
    found = _read(source, keyword)
    items = found if isinstance(found, Sequence) else ()
    pairs = ((_code(item, "CodingSchemeDesignator"), _code(item, "CodeValue")) for item in items)
    return tuple((scheme, code) for scheme, code in pairs if scheme and code)


def _line(found: str) -> str:
    """Text as FHIR's strings and codes may have it: no control characters, single spaces."""
    return " ".join("".join(one if one.isprintable() else " " for one in found).split())


def _date(found: str | None) -> str | None:
    try:
        return date.fromisoformat(found).isoformat() if found is not None and _DAY.fullmatch(found) else None
    except ValueError:
        return None


def _acquired(source: Dataset) -> str | None:
    """Date and time of acquisition, else of the study; the time only with an offset, which FHIR demands beside it."""
    whole_text = text(source, "AcquisitionDateTime") or ""
    offset = text(source, "TimezoneOffsetFromUTC") or ""
    candidates = [(whole_text[:8], re.sub(r"[+-].*", "", whole_text[8:]), whole_text[-5:])]
    candidates += [
        (text(source, f"{of}Date") or "", text(source, f"{of}Time") or "", offset) for of in ("Acquisition", "Study")
    ]
    for day, clock, zone in candidates:
        iso_day = _date(day)
        if iso_day is not None:
            return iso_day + _time(clock, zone if _OFFSET.fullmatch(zone) else offset)
    return None


def _time(clock: str, zone: str) -> str:
    digits = clock.partition(".")[0]
    if len(digits) != 6 or not _OFFSET.fullmatch(zone):
        return ""
    try:
        return f"T{time.fromisoformat(digits).isoformat()}{zone[:3]}:{zone[3:]}"
    except ValueError:
        return ""
