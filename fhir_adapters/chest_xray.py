"""Whether an image may be given to a chest radiograph model, as far as its record tells; pixels are the model's gate.

Only what contradicts refuses: a record that says nothing leaves the decision to the gate. DICOM: PS3.3 C.7.3.1.1.1
(modality), PS3.16 annex L (body part); codes in Media: https://hl7.org/fhir/R4/media.html
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from fhir_adapters.ai_codes import DICOM_CODES, HL7, SNOMED
from fhir_adapters.codings import OID_SYSTEMS
from fhir_adapters.imaging import Image
from fhir_adapters.imaging.image import Code

MODALITIES = frozenset({"CR", "DX", "RG", "OT", "SC"})
"""Computed, digital and film radiography; "other" and secondary captures, which do not say what they are."""
BODY_PARTS = frozenset({"CHEST", "THORAX", "LUNG"})
VIEWS = frozenset({"AP", "PA"})
CHEST_SITES = {"51185008": "Thoracic structure", "816094009": "Chest", "39607008": "Lung structure"}
"""SNOMED CT body structures that a chest radiograph shows, as R4's own examples, Synthea and DICOM code them."""
FRONTAL_VIEWS = {"399348003": "Antero-posterior projection", "272479007": "Postero-anterior projection"}
"""Of DICOM's CID 4010 (PS3.16) in SNOMED CT."""
_OLD_REGIONS, _OLD_VIEWS = frozenset({"T-D3000", "T-28000"}), frozenset({"R-10206", "R-10214"})
"""The same in SNOMED RT, which files of before 2020 have."""
_SNOMED_SCHEMES = frozenset({"SCT", "SRT", "SNM3", "99SDM"})
_BY_OID = {**OID_SYSTEMS, "urn:oid:1.2.840.10008.2.16.4": DICOM_CODES}


def objection(media: dict[str, Any], image: Image) -> str | None:
    """Why the model must not be shown this image; None: nothing speaks against it."""
    return _of_dicom(image) or _of_media(media) or _of_colours(image)


def _of_dicom(image: Image) -> str | None:
    facts = image.header.facts
    if facts is None:
        return None
    if facts.modality is not None and facts.modality not in MODALITIES:
        return f"The DICOM header says modality {facts.modality}, which is no radiograph."
    if facts.body_part is not None and facts.body_part not in BODY_PARTS:
        return f"The DICOM header says body part {facts.body_part}, which is not the chest."
    if facts.view_position is not None and facts.view_position not in VIEWS:
        return f"The DICOM header says view {facts.view_position}; the model reads frontal views (AP, PA)."
    region = _other_than(CHEST_SITES.keys() | _OLD_REGIONS, facts.regions)
    if region is not None:
        return f"The DICOM header says anatomic region {region}, which is not known to be the chest."
    view = _other_than(FRONTAL_VIEWS.keys() | _OLD_VIEWS, facts.views)
    if view is not None:
        return f"The DICOM header says view {view}, which is not known to be frontal (AP, PA)."
    return None


def _other_than(known: Set[str], said: tuple[Code, ...]) -> str | None:
    """What is said by codes of SNOMED of which none is known; None where one is, or nothing is said."""
    codes = [code for scheme, code in said if scheme in _SNOMED_SCHEMES]
    return codes[0] if codes and known.isdisjoint(codes) else None


def _of_media(media: dict[str, Any]) -> str | None:
    for code in _codes(media, "modality", DICOM_CODES):
        if code not in MODALITIES:
            return f"Media.modality says {code}, which is no radiograph."
    for code in _codes(media, "modality", f"{HL7}/media-modality"):
        return f"Media.modality says {code}, which is no radiograph."
    sites = list(_codes(media, "bodySite", SNOMED))
    if sites and not any(code in CHEST_SITES for code in sites):
        return f"Media.bodySite says SNOMED CT {sites[0]}, which is not known to be the chest."
    views = list(_codes(media, "view", SNOMED))
    if views and not any(code in FRONTAL_VIEWS for code in views):
        return f"Media.view says SNOMED CT {views[0]}, which is not known to be a frontal view."
    return None


def _of_colours(image: Image) -> str | None:
    return "The image is in colours; a radiograph is grey." if image.colourful else None


def _codes(media: dict[str, Any], name: str, system: str) -> Iterator[str]:
    for coding in media.get(name, {}).get("coding", ()):
        named = coding.get("system")
        if _BY_OID.get(named, named) == system and "code" in coding:
            yield coding["code"]
