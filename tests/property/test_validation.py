"""Laws of the validator, for any JSON and for resources that are nearly right."""

from __future__ import annotations

import contextlib
import copy
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hie.fhir import facts, fhirpath, json_format
from hie.fhir.json_format import JsonDecimal
from hie.fhir.primitives import primitive
from hie.fhir.validation import rules, shortcuts, validate
from hie.fhir.validation.linear import LINEAR
from hie.fhir.validation.scope import Scope

TYPES = sorted(facts.RESOURCE_TYPES)
NAMES = sorted({name for type_name in facts.RESOURCE_TYPES for one in facts.children(type_name)
                for name in shortcuts.json_names(type_name, one.name.removesuffix("[x]"))})

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["2020-02-30", "Patient/1", "#a", "#", "urn:uuid:x", "<div/>", "male", "final", "Patient"])
    | st.sampled_from(["1.0", "1e9", "-0.0"]).map(JsonDecimal)
)
KEYS = st.sampled_from(NAMES) | st.sampled_from(["resourceType", "_id", "_status", "valueString", "_valueString"]) | (
    st.text(max_size=5))
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25)

EXAMPLE = {
    "resourceType": "Patient", "id": "a",
    "meta": {"profile": ["http://a"], "tag": [{"system": "http://b", "code": "c"}]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A</div>'},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "O", "partOf": {"reference": "#p"}},
                  {"resourceType": "Organization", "id": "p", "identifier": [{"value": "1"}]}],
    "extension": [{"url": "http://e", "valueQuantity": {"value": JsonDecimal("1.0"), "code": "kg",
                                                         "system": "http://unitsofmeasure.org"}}],
    "name": [{"use": "official", "given": ["A", None],
              "_given": [None, {"extension": [{"url": "u", "valueCode": "c"}]}],
              "period": {"start": "2020-01-01", "end": "2021"}}],
    "birthDate": "2000-02-29", "_birthDate": {"id": "b"}, "deceasedBoolean": False,
    "contact": [{"name": {"family": "B"}, "telecom": [{"system": "phone", "value": "1", "rank": 1}]}],
    "managingOrganization": {"reference": "#o"},
    "link": [{"other": {"reference": "Patient/2", "type": "Patient"}, "type": "seealso"}],
}


@given(st.dictionaries(KEYS, ANY_JSON, max_size=6), st.sampled_from(TYPES))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_object_is_judged_and_never_raised(value: dict[str, Any], type_name: str) -> None:
    resource = {**value, "resourceType": type_name}
    before = copy.deepcopy(resource)
    found = validate(resource)
    assert resource == before
    assert all(one.expression.startswith(type_name) and one.diagnostics for one in found)
    json_format.dump([one.diagnostics for one in found])


@given(ANY_JSON)
@settings(deadline=None)
def test_any_json_is_judged_and_never_raised(value: Any) -> None:
    if not (isinstance(value, dict) and isinstance(value.get("resourceType"), str)):
        assert [one.severity for one in validate(value)] == ["fatal"]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Name every place inside a JSON value by what holds it and its key."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    return [(value, key) for key, _ in pairs] + [place for _, inner in pairs for place in _places(inner)]


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_mutated_resource_is_judged_and_never_raised(data: st.DataObject) -> None:
    resource = copy.deepcopy(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(resource)
        if not places:
            break
        holder, key = data.draw(st.sampled_from(places))
        if data.draw(st.booleans()):
            holder[key] = data.draw(ANY_JSON)
        elif isinstance(holder, list):
            holder.insert(key, holder[key])
        else:
            del holder[key]
    validate(resource)


def test_the_example_that_is_mutated_is_valid() -> None:
    assert validate(EXAMPLE) == []


# For each primitive: nearly right texts, so that shortcut and rule are compared where they could differ.
_NEARLY = {
    "date": r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?[ \n]?",
    "dateTime": r"20[0-9]{2}-(0[1-9]|1[0-3])-[0-3][0-9]"
                r"(T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,3})?(Z|[+-]1[0-4]:[03]0)?)?",
    "instant": r"20[0-9]{2}-(0[1-9]|1[0-3])-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](Z|[+-]1[0-4]:[03]0)?",
    "time": r"[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]*)?",
    "id": r"[A-Za-z0-9\-._]{0,66}",
    "oid": r"urn:oid:[0-3](\.[0-9]{0,3}){0,4}",
    "uuid": r"urn:uuid:[0-9a-fA]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "code": r"[ab\t ]{0,6}",
}


@given(st.data(), st.sampled_from(sorted(facts.PRIMITIVE_TYPES)))
@settings(deadline=None, max_examples=1000)
def test_the_shortcut_of_a_primitive_accepts_only_what_its_rule_accepts(data: st.DataObject, name: str) -> None:
    nearly = st.from_regex(_NEARLY[name], fullmatch=True) if name in _NEARLY else st.nothing()
    value = data.draw(nearly | st.text("a \t\n\x01\xa0#é", max_size=5) | SCALARS | st.lists(st.none(), max_size=1))
    kind = primitive(name)
    try:
        accepted = bool(kind.test(value))
    except TypeError:
        accepted = False
    assert not accepted or kind.problem(value) is None
    if accepted and name in ("uri", "url", "canonical"):
        assert not value.startswith("#")


def _invariant(key: str) -> rules.Invariant:
    return next(one for type_name in TYPES for one in rules.invariants(type_name) if one.key == key)


_PATHS = st.sampled_from(["Patient", "Patient.a", "Patient.b.c", "Patientx.a", "Group", "Group.a", "A.b"])
_ELEMENTS = st.lists(st.fixed_dictionaries({"path": _PATHS}), min_size=1, max_size=4)
_CODING = st.fixed_dictionaries({}, optional={
    "system": st.sampled_from(["http://a", "http://b"]), "code": st.sampled_from(["x", "y"]),
    "userSelected": st.booleans()})
_CODE = st.fixed_dictionaries({}, optional={"coding": st.lists(_CODING.filter(bool), min_size=1, max_size=3)})
_VERSIONS = st.lists(st.sampled_from(["4.0.1", "4.0.0", "3.0.1"]), min_size=1, max_size=3)
_IDS = st.sampled_from(["a", "b", "c"])
_GUIDE = st.fixed_dictionaries({
    "resourceType": st.just("ImplementationGuide"), "fhirVersion": _VERSIONS,
    "definition": st.fixed_dictionaries({
        "resource": st.lists(st.fixed_dictionaries({}, optional={"groupingId": _IDS, "fhirVersion": _VERSIONS}),
                             min_size=1, max_size=3)},
        optional={"grouping": st.lists(st.fixed_dictionaries({"name": _IDS}, optional={"id": _IDS}),
                                       min_size=1, max_size=3)})})
_OBSERVATION = st.fixed_dictionaries(
    {"resourceType": st.just("Observation"), "code": _CODE},
    optional={"valueString": st.just("a"), "component": st.lists(
        st.fixed_dictionaries({"code": _CODE}), min_size=1, max_size=3)})
_STRUCTURE = st.fixed_dictionaries({
    "resourceType": st.just("StructureDefinition"), "kind": st.sampled_from(["logical", "resource"]),
    "type": st.sampled_from(["Patient", "Group"]), "snapshot": st.fixed_dictionaries({"element": _ELEMENTS}),
    "differential": st.fixed_dictionaries({"element": _ELEMENTS})})
_RESOURCES = {"ig-1": _GUIDE, "ig-2": _GUIDE, "obs-7": _OBSERVATION, "sdf-8": _STRUCTURE, "sdf-8a": _STRUCTURE}


@given(st.data(), st.sampled_from(sorted(LINEAR)))
@settings(deadline=None, max_examples=800)
def test_an_invariant_said_in_one_pass_is_false_where_its_fhirpath_is(data: st.DataObject, key: str) -> None:
    invariant, resource = _invariant(key), data.draw(_RESOURCES[key])
    value = resource
    for name in invariant.path.split(".")[1:]:
        value = value[name]
    published = fhirpath.compile(invariant.expression, invariant.path).holds(value, resource=resource)
    assert LINEAR[key](value, Scope(resource, resource, True)) is (published is not False)


INVARIANTS = [one for type_name in [*TYPES, *sorted(facts.DATA_TYPES)] for one in rules.invariants(type_name)
              if one.key not in rules.ELSEWHERE and one.key not in rules.WRITTEN
              and shortcuts.shortcut(fhirpath.corrected(one.expression), one.path)]


@cache
def _object(path: str, depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Make objects with the names and kinds of values that an element's definition allows."""
    values = {}
    for element in facts.children(path):
        for name in shortcuts.json_names(path, element.name.removesuffix("[x]")):
            strategy = _value(element, name, depth)
            if strategy is not None:
                values[name] = st.lists(strategy, min_size=1, max_size=2) if element.is_list else strategy
    return _some_of(values)


@st.composite
def _some_of(draw: st.DrawFn, values: dict[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
    """Draw few of the properties: an Observation has too many to draw each."""
    names = draw(st.lists(st.sampled_from(sorted(values)), max_size=6, unique=True)) if values else []
    return {name: draw(values[name]) for name in names}


def _value(element: facts.Element, name: str, depth: int) -> st.SearchStrategy[Any] | None:
    if element.content_reference:
        return _object(element.content_reference, depth - 1) if depth else None
    stem = element.name.removesuffix("[x]")
    type_name = next(one for one in element.types if name == stem or name.lower() == (stem + one).lower())
    if type_name in ("BackboneElement", "Element"):
        return _object(element.path, depth - 1) if depth else None
    codes = facts.required_codes(element.required_value_set or "")
    if codes and type_name == "code":
        return st.sampled_from([code for one in codes.values() for code in one])
    if type_name in facts.DATA_TYPES:
        return _object(type_name, depth - 1) if depth and type_name not in ("Extension", "Meta") else None
    return _SIMPLE.get(type_name)


_DATES = st.sampled_from(["2020", "2020-02", "2020-02-03", "2021-01-01"])
_TIMES = st.sampled_from(["2020-02-03T10:00:00Z", "2020-02-03T11:00:00+02:00", "2020-02-03T10:00:00.5Z"])
_SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(), "integer": st.integers(-2, 3), "unsignedInt": st.integers(0, 3),
    "positiveInt": st.integers(1, 3), "decimal": st.sampled_from(["-1.0", "0", "1.50", "2"]).map(JsonDecimal),
    "date": _DATES, "dateTime": _DATES | _TIMES, "instant": _TIMES, "time": st.sampled_from(["10:00:00", "11:00:00"]),
    "string": st.sampled_from(["a", "b", "*", "1"]), "markdown": st.just("a"),
    "code": st.sampled_from(["a", "kg", "1"]),
    "uri": st.sampled_from(["http://unitsofmeasure.org", "http://a/_history/1", "http://a"]),
    "url": st.just("http://a"), "canonical": st.just("http://a"), "id": st.just("a"), "S.String": st.just("a"),
}


@given(st.data())
@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_shortcut_says_that_an_invariant_holds_only_where_its_fhirpath_is_not_false(data: st.DataObject) -> None:
    invariant = data.draw(st.sampled_from(INVARIANTS))
    value = data.draw(_object(invariant.path))
    expression = fhirpath.corrected(invariant.expression)
    spared = shortcuts.shortcut(expression, invariant.path)
    assert spared is not None
    if spared(value):
        resource = value | {"resourceType": invariant.path} if invariant.path in facts.RESOURCE_TYPES else value
        with contextlib.suppress(fhirpath.FhirPathError):  # undecided, as a comparison of 1 kg with 1 s
            assert fhirpath.compile(expression, invariant.path).holds(value, resource=resource) is not False
