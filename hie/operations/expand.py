"""ValueSet/$expand: https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.terminology.expansion import Wishes, expanded
from hie.fhir.terminology.value_set import ValueSet
from hie.operations import terminology_inputs as inputs
from hie.registry import Operation, Parameter, standard_parameters
from hie.store.terminology import terminology

_PARAMETERS = (*standard_parameters("expand@ValueSet"), Parameter("property", "string", max="*"),
               inputs.USED_SUPPLEMENTS)
#: How expansion.parameter shows an input of each type: https://hl7.org/fhir/R4/valueset.html
_SHOWN = {"uri": "Uri", "canonical": "Uri", "code": "Code", "string": "String"}


def expand(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the value set with the codes that are in it."""
    inputs.refuse_date(request)
    service = inputs.use_supplements(request, terminology(ctx.store, inputs.versions(request)))
    resource = inputs.value_set_of(request, ctx, service)
    answer = expanded(ValueSet(resource, service), _wishes(request), ctx.new_id(), ctx.clock())
    return FhirResponse(200, json_format.dump(answer))


def _wishes(request: FhirRequest) -> Wishes:
    return Wishes(
        text=request.parameter("filter"),
        offset=inputs.integer(request, "offset") or 0,
        count=inputs.integer(request, "count"),
        with_designations=inputs.boolean(request, "includeDesignations") is True,
        designations=frozenset(inputs.all_of(request, "designation")),
        with_definition=inputs.boolean(request, "includeDefinition") is True,
        without_expressions=inputs.boolean(request, "excludePostCoordinated") is True,
        active_only=inputs.boolean(request, "activeOnly") is True,
        nested=inputs.boolean(request, "excludeNested") is False,
        selectable_only=inputs.boolean(request, "excludeNotForUI") is True,
        languages=inputs.languages(request),
        properties=inputs.all_of(request, "property"),
        without_systems=inputs.all_of(request, "exclude-system"),
        told=tuple(_told(request)),
    )


def _told(request: FhirRequest) -> Iterator[dict[str, Any]]:
    if request.parameter("contextDirection") not in (None, "incoming", "outgoing"):
        raise InvalidRequest(f"contextDirection is {request.parameter('contextDirection')!r:.80}; it must be incoming "
                             "or outgoing.", expression="contextDirection")
    if request.parameter("contextDirection") is not None and request.parameter("context") is None:
        raise InvalidRequest("contextDirection says for what the codes of a context are used; there is no context "
                             "here.", expression="contextDirection")
    types = {one.name: one.type for one in _PARAMETERS}
    for name, text in request.parameters:
        if not text.strip():  # of a filter nothing is typed yet
            continue
        match types[name]:
            case "boolean":
                yield {"name": name, "valueBoolean": text == "true"}
            case "integer":
                yield {"name": name, "valueInteger": int(text)}
            case type_name:
                yield {"name": name, f"value{_SHOWN[type_name]}": text}


OPERATION = Operation(
    code="expand",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"ValueSet"}),
    function=expand,
    definition="http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
    parameters=_PARAMETERS,
)
