"""$subset and $implements of CapabilityStatements.

https://hl7.org/fhir/R4/capabilitystatement-operation-subset.html,
https://hl7.org/fhir/R4/capabilitystatement-operation-implements.html

Where neither the address nor a parameter names the server's statement, this server's own is meant.
"""

from __future__ import annotations

from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, NotFound, OutcomeIssue, Unprocessable
from hie.fhir import capability_comparison, facts, json_format, outcome
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.terminology.terminology import split_canonical
from hie.interactions import capabilities
from hie.operations import terminology_inputs as inputs
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.terminology import StoredTerminology

Json = dict[str, Any]


def subset(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return what a statement says of some resource types."""
    types = [part.strip() for text in inputs.all_of(request, "resource") for part in text.split(",")]
    for one in types:
        if one not in facts.RESOURCE_TYPES:
            raise InvalidRequest(f"resource names {one[:80]!r}, which is no resource type of FHIR R4.",
                                 expression="resource")
    found = _server(request, ctx)
    if "rest" not in found:
        raise Unprocessable("The CapabilityStatement has no REST part of which there could be a subset.",
                            expression="CapabilityStatement.rest")
    return FhirResponse(200, json_format.dump(capability_comparison.subset(found, types)))


def implements(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Tell whether a server offers all that a client's statement asks for: 422 names what it does not."""
    given, named = request.argument("resource"), request.parameter("client")
    if (given is None) is (named is None):
        raise InvalidRequest("$implements needs the client's statement: one of client and resource.",
                             expression="client")
    client = given if given is not None else _known(named or "", "client", ctx)
    issues = capability_comparison.missing(_server(request, ctx), client)
    if issues:
        raise _NotImplemented(f"The server does not offer {len(issues)} things that the client asks for.",
                              issues=issues)
    told: OutcomeIssue = outcome.information("The server offers all that the client's statement asks for.")
    return FhirResponse(200, outcome.dump([told]))


class _NotImplemented(Unprocessable):
    code = "not-supported"


def _server(request: FhirRequest, ctx: Context) -> Json:
    """Return the server's statement: that of the address, the one that `server` names, or this server's own."""
    named = request.parameter("server")
    if request.id is not None:
        return inputs.stored(request, ctx, ["server"] if named is not None else [])
    return _own(ctx) if named is None else _known(named, "server", ctx)


def _known(canonical: str, name: str, ctx: Context) -> Json:
    url, version = split_canonical(canonical)
    if url in (f"{ctx.base_url}/metadata", ctx.base_url):
        own = _own(ctx)
        if version in (None, own["version"]):
            return own
    known = StoredTerminology(ctx.store).find("CapabilityStatement", url, version)
    if known is None:
        raise NotFound(f"CapabilityStatement {canonical[:200]} is not known here.", expression=name)
    return known.resource


def _own(ctx: Context) -> Json:
    found: Json = json_format.parse(capabilities.statement(ctx))
    return found


_TOLD_OF_SUBSET = {
    "server": "The canonical URL of the statement; without it that of the address, or this server's own.",
    "resource": "A resource type that is wanted; repeated, or with commas.",
}
_TOLD_OF_IMPLEMENTS = {
    "server": "The canonical URL of the server's statement; without it that of the address, or this server's own.",
    "client": "The canonical URL of the client's statement.",
    "resource": "The client's statement itself, in place of `client`.",
}

OPERATIONS = tuple(
    Operation(
        code=code,
        levels=frozenset({"type", "instance"}),
        types=frozenset({"CapabilityStatement"}),
        function=function,
        definition=f"http://hl7.org/fhir/OperationDefinition/CapabilityStatement-{code}",
        parameters=standard_parameters(f"{code}@CapabilityStatement", told),
        returns=standard_returns(f"{code}@CapabilityStatement", {"return": answer}),
        documentation=documentation,
    )
    for code, function, told, answer, documentation in (
        ("subset", subset, _TOLD_OF_SUBSET, "The part of the statement, tagged SUBSETTED.",
         "What a CapabilityStatement says of some resource types."),
        ("implements", implements, _TOLD_OF_IMPLEMENTS, "Says that nothing is lacking; what is lacking is told by the "
         "issues of a refusal (422).",
         "Whether a server offers all that the CapabilityStatement of a client asks for."),
    )
)
