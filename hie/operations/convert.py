"""$convert: https://hl7.org/fhir/R4/resource-operation-convert.html

What is read in one format is written in the other by the web edge, as any answer; here the resource is only judged.
"""

from __future__ import annotations

from hie.context import Context
from hie.errors import InvalidRequest
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.json_format import dump
from hie.fhir.resource import type_of, validated
from hie.registry import Operation, standard_parameters, standard_returns


def convert(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Answer with the resource that was sent, in the format that is wanted; nothing is stored."""
    if request.resource is None:
        raise InvalidRequest("$convert takes a resource: as the body, or as the parameter input of a Parameters.",
                             expression="input")
    validated(request.resource, type_of(request.resource))
    return FhirResponse(200, dump(request.resource))


OPERATION = Operation(
    code="convert",
    levels=frozenset({"system"}),
    function=convert,
    definition="http://hl7.org/fhir/OperationDefinition/Resource-convert",
    parameters=standard_parameters("convert@Resource", {
        "input": "The resource, in JSON or XML; it must be valid."}),
    returns=standard_returns("convert@Resource", {
        "output": "The same resource, which is the answer itself, in the format that Accept or _format asks for."}),
    documentation="The resource that is sent in the format that is wanted. Nothing is stored.",
)
