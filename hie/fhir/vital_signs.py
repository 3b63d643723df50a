"""The vital signs of R4, by the LOINC code that makes an Observation one: https://hl7.org/fhir/R4/observation-vitalsigns.html

What has such a code has to conform to the profile of it, whether it declares that or not.
"""

from __future__ import annotations

from typing import Any

_LOINC = "http://loinc.org"
_R4 = "http://hl7.org/fhir/StructureDefinition/"

PROFILES = {
    code: f"{_R4}{name}|4.0.1"
    for code, name in (
        ("85353-1", "vitalspanel"), ("9279-1", "resprate"), ("8867-4", "heartrate"), ("2708-6", "oxygensat"),
        ("8310-5", "bodytemp"), ("8302-2", "bodyheight"), ("9843-4", "headcircum"), ("29463-7", "bodyweight"),
        ("39156-5", "bmi"), ("85354-9", "bp"),
    )
}  # fmt: skip
"""The profile of each code; of the two pressures, 8480-6 and 8462-4, which are components, there is none."""


def of(resource: Any) -> list[tuple[str, str]]:
    """Give the codes of a resource that make it a vital sign, each with its profile."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Observation":
        return []
    code = resource.get("code")
    rows = code.get("coding") if isinstance(code, dict) else None
    codes = (one.get("code") for one in (rows if isinstance(rows, list) else ())
             if isinstance(one, dict) and one.get("system") == _LOINC)  # fmt: skip
    return [(one, PROFILES[one]) for one in dict.fromkeys(codes) if isinstance(one, str) and one in PROFILES]
