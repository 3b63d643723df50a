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
from hie.registry import Operation, Parameter, standard_parameters, standard_returns
from hie.store.terminology import terminology

_TOLD = inputs.TOLD_OF_VALUE_SETS | inputs.TOLD_OF_VERSIONS | {
    "contextDirection": "incoming or outgoing, beside a `context`; elements are bound in both alike.",
    "filter": "Words that have to occur in the code, its display or a designation; it may be empty.",
    "offset": "So many codes are left out first.",
    "count": "So many codes at most.",
    "includeDesignations": "Whether designations are answered.",
    "designation": "Designations of this use or language alone: system|code, or the code alone.",
    "includeDefinition": "Whether the compose is repeated.",
    "activeOnly": "Whether inactive codes are left out.",
    "excludeNested": "false: codes are nested by the hierarchy, unless a page or a filter is asked for.",
    "excludeNotForUI": "Whether abstract codes are left out.",
    "excludePostCoordinated": "true: it is not told that a grammar makes further codes.",
    "exclude-system": "A code system, or a version of it, whose codes are left out.",
}
_PARAMETERS = (
    *standard_parameters("expand@ValueSet", _TOLD, inputs.NO_DATE),
    Parameter("property", "string", max="*", documentation="A property that is told of each code, by its code or URI; "
              "* for all. A parameter of R5."),
    inputs.USED_SUPPLEMENTS,
)
#: How expansion.parameter shows an input of each type: https://hl7.org/fhir/R4/valueset.html
_FORMS = {"uri": "Uri", "canonical": "Uri", "code": "Code", "string": "String"}


def expand(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the value set with the codes that are in it."""
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
        told=tuple(_shown(request)),
    )


def _shown(request: FhirRequest) -> Iterator[dict[str, Any]]:
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
                yield {"name": name, f"value{_FORMS[type_name]}": text}


OPERATION = Operation(
    code="expand",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"ValueSet"}),
    function=expand,
    definition="http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
    parameters=_PARAMETERS,
    returns=standard_returns("expand@ValueSet", {"return": "The value set with its expansion."}),
    documentation="The codes that are in a value set.",
)
