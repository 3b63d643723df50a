"""$meta, $meta-add, $meta-delete: https://hl7.org/fhir/R4/resource-operations.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hie.context import Context
from hie.errors import TooCostly
from hie.fhir import json_format
from hie.fhir.conditions import wanted_versions
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.meta import added, united, without
from hie.fhir.parameters import parameters, value
from hie.fhir.profiles import declared
from hie.fhir.resource import validated
from hie.interactions.accepting import accepted
from hie.operations import scanning
from hie.registry import Operation, Parameter, standard_parameters
from hie.store.opening import parsed
from hie.store.resources import ResourceStore
from hie.store.search.query import parse

Json = dict[str, Any]

#: Resources that are opened for what a type or the system uses; the index holds no values that could be listed.
MOST_OPENED = 20_000
_PAGE = 500


def meta(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the meta of a resource or version, or all profiles, tags and labels that a type or the system uses."""
    if request.vid is not None:
        return _answer(parsed(ctx.store.vread(*request.instance, int(request.vid))).get("meta", {}))
    if request.id is not None:
        return _answer(parsed(ctx.store.read(*request.instance)).get("meta", {}))
    return _answer(united(_used(request, ctx)))


def _answer(found: Json) -> FhirResponse:
    told = parameters([value("return", "Meta", found)]) if found else {"resourceType": "Parameters"}
    return FhirResponse(200, json_format.dump(told))


def _used(request: FhirRequest, ctx: Context) -> Iterator[Json]:
    left = MOST_OPENED
    kept = scanning.Kept("ask for one type, or search by _profile, _tag or _security.", "http.url")
    for name in ("_profile", "_security", "_tag"):
        asked = ((f"{name}:missing", "false"), ("_count", str(_PAGE)), ("_total", "none"))
        query = parse(request.type, asked, max_count=_PAGE, base_url=ctx.base_url, now=ctx.clock())
        while True:
            page = ctx.store.search(query)
            left -= len(page.matches)
            if left < 0:
                raise TooCostly(f"More than {MOST_OPENED} resources would have to be opened; ask for one type, or "
                                "search by _profile, _tag or _security.", expression="http.url")
            for one in page.matches:
                found = united([parsed(one).get("meta", {})])
                kept.take(len(json_format.dump(found)))
                yield found
            if page.next_cursor is None:
                break
            query = replace(query, cursor=page.next_cursor)


def meta_add(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Add profiles, tags and labels to a resource."""
    return _changed(request, ctx, added)


def meta_delete(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Take profiles, tags and labels from a resource; those that it has not are no error."""
    return _changed(request, ctx, without)


def _changed(request: FhirRequest, ctx: Context, change: Callable[[Json, Json], Json]) -> FhirResponse:
    type_name, id_ = request.instance
    given, if_match = request.argument("meta"), wanted_versions(request.conditions)

    def unit(store: ResourceStore) -> FhirResponse:
        before = store.read_to_change(type_name, id_, if_match=if_match)
        resource = parsed(before)
        changed = resource | {"meta": change(resource.get("meta", {}), given)}
        if not set(declared(changed)) <= set(declared(resource)):
            accepted(changed, type_name, ctx.within(store))
        else:  # a label for what was stored before profiles were asked is welcome
            validated(changed, type_name)
        stored = store.update(type_name, id_, changed, if_match=before.vid)
        if stored.vid != before.vid:
            inside = ctx.within(store)
            inside.registry.after_write(stored, changed, inside)
        answer = _answer(parsed(stored).get("meta", {}))
        return replace(answer, version_id=stored.vid, last_modified=stored.updated, entity=(type_name, id_))

    return ctx.store.transact(unit)


_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-"
_NEW_META = Parameter("return", "Meta", documentation="The new meta. Not there where there is none.")

OPERATIONS = (
    Operation(
        code="meta",
        levels=frozenset({"system", "type", "instance", "version"}),
        function=meta,
        definition=f"{_DEFINITION}meta",
        returns=(Parameter("return", "Meta", documentation="The meta; of a type or the system every profile, label and "
                           "tag once. Not there where there is none."),),
        documentation="The profiles, security labels and tags of a resource, of a version of it, or of all resources "
                      "of a type or the system that the token may search.",
    ),
    Operation(
        code="meta-add",
        levels=frozenset({"instance"}),
        function=meta_add,
        definition=f"{_DEFINITION}meta-add",
        parameters=standard_parameters("meta-add@Resource", {"meta": "What is added."}),
        returns=(_NEW_META,),
        documentation="Adds profiles, security labels and tags to a resource, as a version of its own.",
        affects_state=True,
        conditions=frozenset({"if_match", "if_unmodified_since"}),
    ),
    Operation(
        code="meta-delete",
        levels=frozenset({"instance"}),
        function=meta_delete,
        definition=f"{_DEFINITION}meta-delete",
        parameters=standard_parameters("meta-delete@Resource", {"meta": "What is taken away, where it is there."}),
        returns=(_NEW_META,),
        documentation="Takes profiles, security labels and tags from a resource, as a version of its own.",
        affects_state=True,
        conditions=frozenset({"if_match", "if_unmodified_since"}),
    ),
)
