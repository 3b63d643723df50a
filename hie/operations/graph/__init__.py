"""[type]/[id]/$graph: a resource with all that the links of a GraphDefinition lead to.

https://hl7.org/fhir/R4/resource-operation-graph.html
"""

from __future__ import annotations

from hie.operations.graph.operation import OPERATION, followed

__all__ = ["OPERATION", "followed"]
