"""$graphql: https://hl7.org/fhir/R4/graphql.html

`request` reads what was sent, `document` the query itself, `execution` answers it, a level of the query at a time.
"""

from __future__ import annotations

from hie.operations.graphql.request import OPERATION

__all__ = ["OPERATION"]
