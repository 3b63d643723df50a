"""CodeSystem/$subsumes: https://hl7.org/fhir/R4/codesystem-operation-subsumes.html"""

from __future__ import annotations

from hie.context import Context
from hie.errors import InvalidRequest, NotFound, Unprocessable
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.parameters import parameters, value
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.terminology import Terminology
from hie.operations import terminology_inputs as inputs
from hie.operations.terminology_inputs import Coding
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.terminology import terminology


def subsumes(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Tell how two codes of one code system stand to one another."""
    first, second = _asked(request, "A"), _asked(request, "B")
    system = _system(request, ctx, first, second, terminology(ctx.store))
    if not system.is_subsuming:
        raise Unprocessable(f"The hierarchy of {system.url} means {system.hierarchy_meaning}: no code of it subsumes "
                            "another.", expression="system")
    codes = []
    for one in (first, second):
        concept = system.get(one.code)
        if concept is None:
            raise NotFound(f"The code {one.code[:200]} is not in the code system {system.url}.", expression="code")
        codes.append(concept.code)
    return FhirResponse(200, json_format.dump(parameters([value("outcome", "Code", _outcome(system, *codes))])))


def _asked(request: FhirRequest, letter: str) -> Coding:
    code, coding = request.parameter(f"code{letter}"), request.argument(f"coding{letter}")
    url, stated = inputs.named_system(request)
    version = inputs.one_version("version", request.parameter("version"), stated)
    if code is not None and coding is None:
        return Coding(url, code, version)
    if code is None and coding is not None and "code" in coding:
        return inputs.completed(inputs.as_coding(coding), f"coding{letter}", url, version)
    raise InvalidRequest(f"$subsumes needs code{letter}, or coding{letter} with a code.", expression=f"code{letter}")


def _system(request: FhirRequest, ctx: Context, first: Coding, second: Coding, service: Terminology) -> CodeSystem:
    if request.id is not None:
        also = ["system"] if request.parameter("system") is not None else []
        found = service.with_codes(CodeSystem(inputs.stored(request, ctx, also)))
        named: set[str | None] = {one.system for one in (first, second) if one.system is not None}
        named.add(found.url)
    else:
        named = {one.system for one in (first, second)}
    if len(named) != 1 or None in named:
        raise InvalidRequest("$subsumes compares two codes of one code system; found "
                             f"{' and '.join(sorted(str(one or 'none')[:200] for one in named))}.", expression="system")
    version = inputs.one_version("version", first.version, second.version)
    if request.id is None:
        return service.code_system(str(named.pop()), version)
    if version is not None:
        inputs.one_version("version", found.version or "none", version)
    return found


def _outcome(system: CodeSystem, first: str, second: str) -> str:
    if first == second:
        return "equivalent"
    if system.subsumes(first, second):
        return "subsumes"
    return "subsumed-by" if system.subsumes(second, first) else "not-subsumed"


OPERATION = Operation(
    code="subsumes",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"CodeSystem"}),
    function=subsumes,
    definition="http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes",
    parameters=standard_parameters("subsumes@CodeSystem", {
        "codeA": "The first code, of `system` or of the code system at the address.",
        "codeB": "The second code.",
        "system": "The code system, where the address names none; url|version, too.",
        "version": "Its version.",
        "codingA": "The first code as a Coding: in a Parameters resource.",
        "codingB": "The second code as a Coding: in a Parameters resource.",
    }),
    returns=standard_returns("subsumes@CodeSystem", {
        "outcome": "equivalent, subsumes, subsumed-by or not-subsumed: how the first stands to the second."}),
    documentation="How two codes of one code system stand to one another in its hierarchy.",
)
