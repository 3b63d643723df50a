"""The profiles and extensions of R4 itself, which need not be installed: https://hl7.org/fhir/R4/profilelist.html"""

from __future__ import annotations

from typing import Any

from hie.fhir import structures

from . import judging
from .slimming import slim

Json = dict[str, Any]

#: The package that they are of.
PACKAGE = f"hl7.fhir.r4.core#{structures.VERSION}"


def find(url: str) -> Json | None:
    """Return one of R4's profiles and extensions, as far as validation needs it; None where R4 has none."""
    found = structures.find(url)
    return slim(found) if found is not None and judging.usable(found) else None
