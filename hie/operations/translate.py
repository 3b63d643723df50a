"""ConceptMap/$translate: https://hl7.org/fhir/R4/conceptmap-operation-translate.html"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from hie.context import Context
from hie.errors import FhirError, InvalidRequest, NotFound, TooCostly
from hie.fhir import json_format
from hie.fhir.http import FhirRequest, FhirResponse
from hie.fhir.parameters import parameters, parts, value
from hie.fhir.terminology.concept_map import MOST_FORWARDED, Match, Question, translations
from hie.fhir.terminology.terminology import Terminology, split_canonical
from hie.operations import terminology_inputs as inputs
from hie.operations.terminology_inputs import Coding
from hie.registry import Operation, standard_parameters, standard_returns
from hie.store.opening import parsed
from hie.store.search.reference import relative
from hie.store.terminology import terminology

Json = dict[str, Any]

#: Dependencies that are given, and maps that one map names for what it does not have.
MOST_DEPENDENCIES, MOST_OTHERS = 20, 100
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
#: Relations that are no translation: https://hl7.org/fhir/R4/conceptmap-operation-translate.html
_NO_TRANSLATION = frozenset({"unmatched", "disjoint"})


def translate(request: FhirRequest, ctx: Context) -> FhirResponse:
    """Return the codes of another system that stand for a code."""
    asked = inputs.codings(request)
    service = terminology(ctx.store)
    matches: list[Match] = []
    missing: list[str] = []
    maps = _maps(request, ctx, service)
    for one in asked:
        question = _question(request, one)
        for concept_map in maps(one):
            found, unknown = _followed(concept_map, question, service)
            matches += found
            missing += unknown
    is_found = any(one.code is not None and one.equivalence not in _NO_TRANSLATION for one in matches)
    rows = [value("result", "Boolean", is_found)]
    if not is_found:
        codes = ", ".join(str(one) for one in asked) or "what has no code"
        told = f" The map names {', '.join(missing)[:500]} for it, which is not known here." if missing else ""
        rows.append(value("message", "String", f"There is no translation of {codes[:500]} here.{told}"))
    rows += [parts("match", list(_match(one))) for one in matches]
    return FhirResponse(200, json_format.dump(parameters(rows)))


def _question(request: FhirRequest, coding: Coding) -> Question:
    rows = [row for name, row in request.arguments if name == "dependency"]
    if len(rows) > MOST_DEPENDENCIES:
        raise TooCostly(f"$translate takes at most {MOST_DEPENDENCIES} dependencies.", expression="dependency")
    return Question(
        coding.system, coding.code, request.parameter("targetsystem"), inputs.boolean(request, "reverse") is True,
        tuple(_dependency(row) for row in rows), coding.version,
    )  # fmt: skip


def _dependency(rows: list[Json]) -> tuple[str, Json]:
    found: dict[str, Json] = {}
    for row in rows:
        if row["name"] not in ("element", "concept") or row["name"] in found:
            raise InvalidRequest("A dependency has the parts element and concept, each once; found "
                                 f"{row['name'][:80]!r}{' again' if row['name'] in found else ''}.",
                                 expression="dependency")
        found[row["name"]] = row
    element = found.get("element", {}).get("valueUri")
    concept = found.get("concept", {}).get("valueCodeableConcept")
    if concept is not None and len(concept.get("coding", [])) > inputs.MOST_CODINGS:
        raise TooCostly(f"The concept of a dependency has at most {inputs.MOST_CODINGS} codings.",
                        expression="dependency.concept")
    if element is None or concept is None:
        raise InvalidRequest("A dependency has the parts element (valueUri) and concept (valueCodeableConcept).",
                             expression="dependency")
    return element, concept


def _maps(request: FhirRequest, ctx: Context, service: Terminology) -> Callable[[Coding], list[Json]]:
    """Say which maps translate a code: the one that is named, or else those between systems and value sets that are."""
    named = _given(request, ctx, service)
    names = ("target", "source") if inputs.boolean(request, "reverse") else ("source", "target")
    wanted = {side: _names_of(text, ctx) for name, side in zip(("source", "target"), names, strict=True)
              if (text := request.parameter(name)) is not None}
    if named is not None and all(_stated(named, name) is None for name in wanted):
        wanted = {}  # it does not say which value sets it is for

    @cache
    def of_system(system: str | None) -> list[Json]:
        found = _between(request, system, service) if named is None else [named]
        return [one for one in found if all(_stated(one, name) in names for name, names in wanted.items())]

    def maps(coding: Coding) -> list[Json]:
        return of_system(coding.system)

    return maps


def _given(request: FhirRequest, ctx: Context, service: Terminology) -> Json | None:
    """Return the map that the URL or a parameter names or gives; None where none does."""
    url, given = request.parameter("url"), request.argument("conceptMap")
    if request.id is not None:
        version = request.parameter("conceptMapVersion")
        also = [name for name, found in (("url", url), ("conceptMap", given), ("conceptMapVersion", version))
                if found is not None]
        return inputs.stored(request, ctx, also)
    if given is not None and url is not None:
        raise InvalidRequest("$translate takes url or conceptMap, not both.", expression="url")
    if given is not None:
        return dict(given)
    version = request.parameter("conceptMapVersion")
    if url is None and version is not None:
        raise InvalidRequest("conceptMapVersion says which version is meant of the map that url names; there is no url "
                             "here.", expression="conceptMapVersion")
    return None if url is None else _named(url, version, service)


def _named(canonical: str, version: str | None, service: Terminology) -> Json:
    url, stated = split_canonical(canonical)
    version = version or stated
    known = service.find("ConceptMap", url, version)
    if known is None:
        in_version = "" if version is None else f" in version {version[:80]}"
        raise NotFound(f"ConceptMap {url[:200]} is not known here{in_version}.", expression="url")
    return known.resource


def _between(request: FhirRequest, system: str | None, service: Terminology) -> list[Json]:
    """Find the maps from the code's system; the parameter targetsystem narrows them.

    Without any of these all known translations are wanted, each with its source.
    """
    target = request.parameter("targetsystem")
    if system is None:
        raise InvalidRequest("$translate needs the system of the code where no map is named.", expression="system")
    ends: tuple[str | None, str | None] = (system, target)
    if inputs.boolean(request, "reverse"):
        ends = (target, system)
    names = zip(("source-system", "target-system"), ends, strict=True)
    return service.concept_maps({name: url for name, url in names if url is not None}, *ends)


def _names_of(text: str, ctx: Context) -> set[str]:
    """Return what a map may call a value set that is named by its canonical URL, or by where it is stored here."""
    url = split_canonical(text)[0]
    id_ = relative(relative(url, ctx.store.base_url), ctx.base_url).removeprefix("ValueSet/")
    if _ID.fullmatch(id_) is None:
        return {url}
    found = ctx.store.read_many([("ValueSet", id_)])
    return {url, f"ValueSet/{id_}", *(one["url"] for one in map(parsed, found.values()) if "url" in one)}


def _stated(concept_map: Json, name: str) -> str | None:
    told = concept_map.get(f"{name}Canonical", concept_map.get(f"{name}Uri"))
    return None if told is None else split_canonical(told)[0]


def _followed(concept_map: Json, question: Question, service: Terminology) -> tuple[list[Match], list[str]]:
    """Translate by a map, and by those that it names for what it does not have; return which of them are not known."""
    found: list[Match] = []
    missing: list[str] = []
    waiting, seen = [concept_map], {str(concept_map.get("url"))}
    for _ in range(MOST_FORWARDED):
        others: list[str] = []
        for one in waiting:
            matches, named = translations(one, _completed(question, one, service), service.spend)
            found += matches
            others += named
        waiting = []
        if len(others) > MOST_OTHERS and len(set(others)) > MOST_OTHERS:
            raise TooCostly(f"More than {MOST_OTHERS} other maps are named for one code.", expression="url")
        for url in dict.fromkeys(others):
            known = service.find("ConceptMap", *split_canonical(url))
            if known is None:
                missing.append(url)
            elif url not in seen:
                waiting.append(known.resource)
        seen.update(others)
        if not waiting:
            return found, missing
    raise TooCostly(f"More than {MOST_FORWARDED} maps name one another for one code.", expression="url")


def _completed(question: Question, concept_map: Json, service: Terminology) -> Question:
    """Return the question with the systems of groups that name none, where the map's value sets have one alone."""
    groups = concept_map.get("group", [])
    source, target = (_only_system(concept_map, name, service) if any(name not in one for one in groups) else None
                      for name in ("source", "target"))
    return replace(question, implied_source=source, implied_target=target)


def _only_system(concept_map: Json, name: str, service: Terminology) -> str | None:
    """Return the one code system of the value set that a map is from, or to; None where that is not known."""
    canonical = concept_map.get(f"{name}Canonical", concept_map.get(f"{name}Uri"))
    if canonical is None:
        return None
    try:
        systems = set(service.value_set(canonical).named_systems())
    except TooCostly:
        raise
    except FhirError:
        return None
    return systems.pop() if len(systems) == 1 else None


def _match(match: Match) -> Iterator[Json]:
    if match.equivalence is not None:
        yield value("equivalence", "Code", match.equivalence)
    if match.code is not None:
        told = {"system": match.system, "version": match.version, "code": match.code, "display": match.display}
        yield value("concept", "Coding", {name: text for name, text in told.items() if text is not None})
    for one in match.products:
        if "property" not in one or "value" not in one:
            continue  # an extension stands in its place
        coding = {"system": one.get("system"), "code": one["value"], "display": one.get("display")}
        yield parts("product", [
            value("element", "Uri", one["property"]),
            value("concept", "Coding", {name: text for name, text in coding.items() if text is not None}),
        ])
    if match.source is not None:
        yield value("source", "Uri", match.source)


OPERATION = Operation(
    code="translate",
    levels=frozenset({"type", "instance"}),
    types=frozenset({"ConceptMap"}),
    function=translate,
    definition="http://hl7.org/fhir/OperationDefinition/ConceptMap-translate",
    parameters=standard_parameters("translate@ConceptMap", {
        **{name: inputs.TOLD_OF_CODES[name] for name in ("code", "system", "coding", "codeableConcept")},
        "url": "The canonical URL of the map, where the address names none; with |version, too.",
        "conceptMap": "The map itself.",
        "conceptMapVersion": "The version of the map that `url` names.",
        "version": "The version of the code system.",
        "source": "The value set that the code is of: its URL, or where it is stored here.",
        "target": "The value set that is translated to: its URL, or where it is stored here.",
        "targetsystem": "The code system that is translated to.",
        "dependency": f"What a translation depends on, by POST in a Parameters resource; {MOST_DEPENDENCIES} at most.",
        "dependency.element": "The element that is meant.",
        "dependency.concept": "Its value.",
        "reverse": "true: from target to source.",
    }, required=frozenset({"dependency.element", "dependency.concept"})),
    returns=standard_returns("translate@ConceptMap", {
        "result": "Whether a match is a translation.",
        "message": "Why there is none.",
        "match": "What a map has for the code.",
        "match.equivalence": "How it stands to the code.",
        "match.concept": "The other code.",
        "match.product": "What else it depends on.",
        "match.product.element": "The element that is meant.",
        "match.product.concept": "Its value.",
        "match.source": "The map.",
    }),
    documentation="The codes of another system that stand for a code, by one map, or by all that are for it.",
)
