"""$versions: https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html"""

from __future__ import annotations

from hie.context import Context
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import dump
from hie.registry import Operation, standard_returns

#: Major and minor number of the FHIR versions that are spoken here.
VERSION = "4.0"


def versions(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Tell which versions of FHIR this server speaks, and which without being asked."""
    rows = [{"name": "version", "valueCode": VERSION}, {"name": "default", "valueCode": VERSION}]
    return FhirResponse(200, dump({"resourceType": "Parameters", "parameter": rows}))


OPERATION = Operation(
    code="versions",
    levels=frozenset({"system", "type"}),
    types=frozenset({"CapabilityStatement"}),
    function=versions,
    definition="http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions",
    returns=standard_returns("versions@CapabilityStatement", {
        "version": "A version of FHIR that is spoken here: major and minor number.",
        "default": "The version that is spoken without being asked for one.",
    }),
    documentation="The versions of FHIR that this server speaks.",
)
