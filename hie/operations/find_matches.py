"""CodeSystem/$find-matches: https://hl7.org/fhir/R4/codesystem-operation-find-matches.html"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hie.context import Context
from hie.errors import InvalidRequest, NotSupported, TooCostly
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.parameters import parts, value
from hie.fhir.terminology.code_system import CodeSystem
from hie.fhir.terminology.matching import Match, Property, matches
from hie.fhir.terminology.terminology import Terminology, split_canonical
from hie.operations import terminology_inputs as inputs
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.terminology import terminology

Json = dict[str, Any]

MOST_ASKED = 20
#: Characters of all values that are asked for: each match tells again which of them it has not.
MOST_CHARACTERS = 4_000
MOST_RETURNED = 1_000


def find_matches(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the codes that have the properties which are asked for, or as many of them as any code has."""
    inputs.boolean(request, "compositional")  # expressions may be answered, and nothing here is post-coordinated
    asked = [_property(rows) for name, rows in request.arguments if name == "property"]
    if len(asked) > MOST_ASKED:
        raise TooCostly(f"$find-matches takes at most {MOST_ASKED} properties.", expression="property")
    if sum(len(str(one.value)) for one in asked) > MOST_CHARACTERS:
        raise TooCostly(f"The values of the properties have more than {MOST_CHARACTERS} characters together.",
                        expression="property")
    service = terminology(ctx.store)
    system = _system(request, ctx, service)
    by_words = inputs.boolean(request, "exact") is False
    found = matches(system, asked, by_words=by_words, spend=service.spend)
    if len(found) > MOST_RETURNED:
        raise TooCostly(f"{len(found)} codes match equally well; ask for more properties, so that at most "
                        f"{MOST_RETURNED} do.", expression="property")
    rows = [parts("match", list(_told(system, one, asked))) for one in found]
    answer: Json = {"resourceType": "Parameters"}
    return FhirResponse(200, json_format.dump(answer | {"parameter": rows} if rows else answer))


def _property(rows: Sequence[Json]) -> Property:
    """Read the parts of a property: its code and its value."""
    code = type_ = content = None
    for row in rows:
        values = [(name, found) for name, found in row.items() if name.startswith("value")]
        match row["name"]:
            case "code" if code is None and values and values[0][0] in ("valueCode", "valueString"):
                code = values[0][1]
            case "value" if type_ is None and values:
                type_, content = values[0]
            case "subproperty":
                raise NotSupported("Properties of a CodeSystem have no properties of their own.",
                                   expression="property.subproperty")
            case other:
                raise InvalidRequest("A property has the parts code (valueCode) and value, each once; found "
                                     f"{other[:80]!r}.", expression="property")
    if code is None or type_ is None:
        raise InvalidRequest("A property has the parts code (valueCode) and value.", expression="property")
    return Property(code, type_, content)


def _system(request: FhirRequest, ctx: Context, service: Terminology) -> CodeSystem:
    url, version = request.parameter("system"), request.parameter("version")
    if request.id is not None:
        also = [name for name, given in (("system", url), ("version", version)) if given is not None]
        return service.with_codes(CodeSystem(inputs.stored(request, ctx, also)))
    if url is None:
        raise InvalidRequest("$find-matches needs system, or the address of a code system.", expression="system")
    canonical, stated = split_canonical(url)
    return service.code_system(canonical, inputs.one_version("version", version, stated), supplemented=True)


def _told(system: CodeSystem, match: Match, asked: Sequence[Property]) -> Iterator[Json]:
    concept = match.concept
    told = {"system": system.url, "version": system.version, "code": concept.code, "display": concept.display}
    yield value("code", "Coding", {name: text for name, text in told.items() if text})
    for number, one in enumerate(asked):
        if number not in match.exact | match.possible:
            yield parts("unmatched", [value("code", "Code", one.code), {"name": "value", one.type: one.value}])
    if match.possible:
        names = ", ".join(dict.fromkeys(asked[number].code for number in sorted(match.possible)))
        yield value("comment", "String", f"A possible match: the words that were asked for are in its {names}.")


OPERATION = Operation(
    code="find-matches",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"CodeSystem"}),
    function=find_matches,
    definition="http://hl7.org/fhir/OperationDefinition/CodeSystem-find-matches",
    parameters=standard_parameters("find-matches@CodeSystem", {
        "system": "The code system, where the address names none; url|version, too.",
        "version": "Its version.",
        "property": f"A property that is asked for, by POST in a Parameters resource; {MOST_ASKED} at most.",
        "property.code": "The property: as in filters of value sets, or display, designation, definition.",
        "property.value": "Its value.",
        "exact": "false: a text is a possible match of what has all its words, in any case.",
        "compositional": "Accepted; nothing here is post-coordinated.",
    }, refused={"property.subproperty": "Properties of a CodeSystem have no properties of their own."},
       required=frozenset({"property.value"})),
    returns=standard_returns("find-matches@CodeSystem", {
        "match": "A code that no other one betters.",
        "match.code": "The code.",
        "match.unmatched": "A property that was asked for, and that it has not.",
        "match.unmatched.code": "The property.",
        "match.unmatched.value": "The value that was asked for.",
        "match.comment": "Says that it is a possible match, and by what.",
    }),
    documentation="The codes of a code system that have the properties which are asked for, or most of them.",
)
