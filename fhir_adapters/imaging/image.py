"""What is known of an image before and after it is decoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Code = tuple[str, str]
"""Coding Scheme Designator and Code Value: PS3.3 8."""


@dataclass(frozen=True, slots=True)
class DicomFacts:
    """What a DICOM header says of the picture; None: absent, or not readable as what it should be.

    `regions` and `views` are the codes of Anatomic Region and View Code Sequence;
    `acquired` is a FHIR date, or a dateTime where the header has the time and the offset from UTC.
    """

    sop_class: str | None = None
    sop_instance: str | None = None
    study: str | None = None
    series: str | None = None
    modality: str | None = None
    body_part: str | None = None
    view_position: str | None = None
    regions: tuple[Code, ...] = ()
    views: tuple[Code, ...] = ()
    acquired: str | None = None
    device_name: str | None = None


@dataclass(frozen=True, slots=True)
class DicomPatient:
    """Whose picture a DICOM header says it is; birth date as a FHIR date, sex as a FHIR gender."""

    id: str | None = None
    issuer: str | None = None
    birth_date: str | None = None
    gender: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in front of the pixels; `apart` tells that they are decoded in a process of their own."""

    content_type: str
    rows: int
    columns: int
    apart: bool
    facts: DicomFacts | None = None
    patient: DicomPatient | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Grey pixels as a reader would see them (0 black, 255 white), and the header they came with.

    `colourful` tells that the source had colours that its grey values do not show.
    """

    pixels: NDArray[np.uint8]
    header: Header
    colourful: bool = False
