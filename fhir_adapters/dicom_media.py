"""A DICOM image in a Binary as the Media that describes it: https://hl7.org/fhir/R4/media.html

Which element comes from which attribute: docs/adapters/imaging.md. R4's Media has no place for the series.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from fhir_adapters import ai_codes as codes
from fhir_adapters.ai_model import typed
from fhir_adapters.imaging import DICOM, DicomFacts, Header

DICOM_UID = "urn:dicom:uid"
"""Identifier system of DICOM unique identifiers: https://hl7.org/fhir/R4/imagingstudy.html#notes"""

_CHEST = frozenset({"CHEST", "THORAX"})


def media(header: Header, data: bytes, binary: str, subject: str) -> dict[str, Any]:
    """The Media of a DICOM file that is stored as `binary` (Binary/id) and shows `subject` (Patient/id).

    It says by size and hash which file is meant: a Binary may be given another.
    """
    facts = header.facts or DicomFacts()
    plain: dict[str, Any] = {
        "resourceType": "Media",
        "status": "completed",
        "type": codes.IMAGE,
        "subject": {"reference": subject},
        "height": header.rows,
        "width": header.columns,
        "content": {"contentType": DICOM, "url": binary, "size": len(data), "hash": sha1(data)},
    }
    if facts.sop_instance:
        plain["identifier"] = [sop_instance(facts.sop_instance)]
    if facts.modality:
        plain["modality"] = codes.concept(codes.coding(codes.DICOM_CODES, facts.modality))
    if facts.body_part:
        plain["bodySite"] = codes.THORAX if facts.body_part in _CHEST else {"text": facts.body_part}
    if facts.view_position:
        plain["view"] = {"text": facts.view_position}
    if facts.acquired:
        plain["createdDateTime"] = facts.acquired
    if facts.device_name:
        plain["deviceName"] = facts.device_name
    return typed(plain)


def sha1(data: bytes) -> str:
    """Attachment.hash: https://hl7.org/fhir/R4/datatypes.html#Attachment"""
    return base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode("ascii")


def sop_instance(uid: str) -> codes.Element:
    """The identifier of a DICOM object."""
    return {"system": DICOM_UID, "value": f"urn:oid:{uid}"}
