"""Patient/$summary: what is current in a patient's record as a document of the International Patient Summary.

http://hl7.org/fhir/uv/ips/OperationDefinition/summary
"""

from __future__ import annotations

from hie.operations.patient_summary.operation import OPERATION

__all__ = ["OPERATION"]
