"""Whether a snapshot can be made of a profile, for who writes it: https://hl7.org/fhir/R4/profiling.html#snapshot"""

from __future__ import annotations

from typing import Any

from hie.errors import TooCostly
from hie.fhir.snapshots.generating import Definitions, generated
from hie.fhir.snapshots.problems import SnapshotError
from hie.fhir.validation.issue import Issue, Severity
from hie.fhir.working_time import WorkingTime

#: A base that is not here may be right elsewhere; what would be too much has not been looked at.
_TOLD: dict[str, Severity] = {"not-found": "warning", "too-costly": "information"}


def problems(definition: dict[str, Any], definitions: Definitions, time: WorkingTime) -> list[Issue]:
    """Give the reasons why no snapshot can be made of a profile's differential: errors, unless it has a snapshot, by
    which it can be used nevertheless.
    """
    if definition.get("derivation") != "constraint" or not definition.get("differential", {}).get("element"):
        return []
    if not time.is_left:
        return [Issue("error", "too-costly", f"No snapshot was made of it: {time.told}", "StructureDefinition")]
    try:
        with time:
            generated(definition, definitions)
    except SnapshotError as error:
        worst: Severity = "warning" if definition.get("snapshot", {}).get("element") else "error"
        return [Issue(_TOLD.get(one.code, worst), one.code, one.diagnostics, one.expression or "StructureDefinition")
                for one in error.issues]
    except TooCostly as error:
        return [Issue("information", "too-costly", error.diagnostics, "StructureDefinition.differential")]
    return []
