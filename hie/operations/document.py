"""Composition/$document: https://hl7.org/fhir/R4/composition-operation-document.html, documents.html

A document is the Composition with all that it refers to, directly or not, or with what it names itself and what the
links of a GraphDefinition lead to. One that would lack what the Composition itself names is not made.
"""

from __future__ import annotations

from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, MethodNotAllowed, NotSupported, TooCostly, Unprocessable
from hie.fhir import compartments, json_format, references
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.instants import instant
from hie.fhir.json_format import Fragment
from hie.fhir.routes import checked_id
from hie.operations import graph, surroundings
from hie.operations.page_state import page_state
from hie.registry import Operation, Parameter, standard_parameters
from hie.store.named_versions import NamedVersions, number
from hie.store.search.reference import relative
from hie.store.versions import StoredVersion

Named = tuple[str, str, str | None]
"""Type, id and version of what the Composition names."""


def document(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Make the document of a Composition; with persist store it as a Bundle too."""
    persist = _persist(request)
    id_ = _id(request, ctx)
    with page_state(ctx, None) as state:  # what is read together is of one state
        stored = state.then.store.read("Composition", id_)
        composition = json_format.parse(stored.content or b"{}")
        bundle = _bundle(stored, _contents(stored, composition, request.parameter("graph"), state.then), ctx)
    if not persist:
        return FhirResponse(200, json_format.dump(bundle), entity=("Composition", id_))
    made = json_format.parse(json_format.dump(bundle))  # the parts as JSON, for the Bundle's own validation
    answer = ctx.dispatch(FhirRequest("create", "Bundle", resource=made, method="POST",
                                      conditions=request.conditions), ctx)
    return FhirResponse(200, answer.content, answer.version_id, answer.last_modified, location=answer.location,
                        entity=("Composition", id_))


def _persist(request: FhirRequest) -> bool:
    text = request.parameter("persist")
    if text not in (None, "true", "false"):
        raise InvalidRequest(f"persist is {str(text)[:80]!r}; it must be true or false.", expression="persist")
    if text == "true" and request.method in ("GET", "HEAD"):
        error = MethodNotAllowed("$document with persist=true stores a Bundle; send it by POST.",
                                 expression="http.method")
        error.headers["Allow"] = "POST"
        raise error
    if text != "true" and request.conditions.if_none_exist is not None:
        raise NotSupported("If-None-Exist is for a document that is stored: persist=true.",
                           expression="http.If-None-Exist")
    if text == "true" and request.conditions.if_none_match is not None:
        raise NotSupported("If-None-Match is no condition of a document that is stored; use If-None-Exist.",
                           expression="http.If-None-Match")
    return text == "true"


def _id(request: FhirRequest, ctx: Context) -> str:
    """Return the Composition's id: of the URL, or of the parameter id, which may be a URL of this server."""
    text = request.parameter("id")
    if request.id is not None:
        if text is not None:
            raise InvalidRequest("id is for Composition/$document; here the URL names the Composition.",
                                 expression="id")
        return request.id
    if text is None:
        raise InvalidRequest("Composition/$document needs the parameter id; or use Composition/[id]/$document.",
                             expression="id")
    here = relative(relative(text, ctx.store.base_url), ctx.base_url)
    if "://" in here:
        raise NotSupported("Documents are made of this server's own Compositions only.", expression="id")
    return checked_id(here.removeprefix("Composition/"), "Composition")


def _contents(
    stored: StoredVersion, composition: dict[str, Any], graph_name: str | None, ctx: Context
) -> list[StoredVersion]:
    """Return what the document holds beside its Composition; nothing of the record of somebody else."""
    patients = set(compartments.patient_of(composition, ctx.store.base_url))

    def of_others(resource: dict[str, Any]) -> bool:
        owners = set(compartments.patient_of(resource, ctx.store.base_url))
        return bool(owners) and owners.isdisjoint(patients)

    named = [(path, to) for path, reference in references.iterate(composition)
             if (to := _here(reference, ctx)) is not None]  # fmt: skip
    if graph_name is None:
        found, is_cut = surroundings.around([stored], of_others, ctx)
    else:
        every = _by_graph(stored, [to for _, to in named], graph_name, ctx)
        found = [one for one in every if not of_others(json_format.parse(one.content or b"{}"))]
        is_cut = len(found) > surroundings.MOST
    if is_cut:
        raise TooCostly(f"The Composition refers to more than {surroundings.MOST} resources, or to more than "
                        f"{surroundings.MOST_BYTES} bytes of them, or to more than {surroundings.MOST_VERSIONS} "
                        "superseded versions.")
    there: set[tuple[str, str, str | None]] = set()
    for one in (stored, *found):
        there |= {(one.type, one.id, None), (one.type, one.id, str(one.vid))}
    for path, to in named:
        if to not in there:
            what = "/".join(to[:2]) + (f"/_history/{to[2]}" if to[2] else "")
            raise Unprocessable(f"The document would be incomplete: {what} cannot be part of it.", expression=path)
    return found


def _here(reference: dict[str, Any], ctx: Context) -> Named | None:
    to = references.parse(relative(str(reference.get("reference", "")), ctx.store.base_url))
    is_here = to.kind == "relative" and to.type is not None and to.id is not None
    return (str(to.type), str(to.id), to.version) if is_here else None


def _by_graph(stored: StoredVersion, named: list[Named], graph_name: str, ctx: Context) -> list[StoredVersion]:
    """Return what the Composition itself names, and what a GraphDefinition leads to from it."""
    walk = graph.followed(stored, graph_name, ctx, ctx)
    if walk.lacking is not None:
        raise Unprocessable(walk.lacking.diagnostics, issues=[walk.lacking])
    walk.reading.read_all(to[:2] for to in named)
    found = {(one.type, one.id, one.vid): one for one in walk.found.values()}
    versions = NamedVersions(ctx.store, surroundings.MOST_VERSIONS)
    for type_name, id_, version in named:
        current = walk.reading.read.get((type_name, id_))
        for one in versions.of(current, {number(version)}) if current is not None else ():
            found.setdefault((one.type, one.id, one.vid), one)
    del found[stored.type, stored.id, stored.vid]
    return list(found.values())


def _bundle(stored: StoredVersion, found: list[StoredVersion], ctx: Context) -> dict[str, Any]:
    now = instant(ctx.clock())
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{ctx.new_id()}"},
        "type": "document",
        "timestamp": now,
        "entry": [
            {"fullUrl": f"{ctx.base_url}/{one.type}/{one.id}", "resource": Fragment(one.content or b"{}")}
            for one in (stored, *found)
        ],
    }


OPERATION = Operation(
    code="document",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"Composition"}),
    function=document,
    definition="http://hl7.org/fhir/OperationDefinition/Composition-document",
    parameters=standard_parameters("document@Composition", {
        "id": "The Composition, where the address names none: its id, or its URL on this server.",
        "persist": "true, by POST: the document is stored, and Location says where.",
        "graph": "A GraphDefinition that says what comes with the Composition, as for $graph.",
    }),
    returns=(Parameter("return", "Bundle", 1, documentation="The document, the Composition first; its id where it is "
                       "stored."),),
    documentation="The document of a Composition: a Bundle with all that it refers to, directly or not.",
    stores_by_post=True,
    is_done_once=True,
    conditions=frozenset({"if_none_exist", "if_none_match"}),
)
