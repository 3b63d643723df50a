"""$export: https://hl7.org/fhir/uv/bulkdata/STU2/export.html"""

from __future__ import annotations

from hie.operations.export.operations import OPERATIONS

__all__ = ["OPERATIONS"]
