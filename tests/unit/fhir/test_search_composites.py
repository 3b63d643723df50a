"""The composites that resources are found by: https://hl7.org/fhir/R4/search.html#combining"""

from __future__ import annotations

from hie.fhir import facts
from hie.fhir.fhirpath.paths import routes
from hie.fhir.search_parameters import for_type, is_comparable
from tests.unit.fhir.extracted import bounds, resource, values


def test_components_of_a_composite_come_from_the_same_element() -> None:
    observation = resource(
        "Observation",
        code={"coding": [{"system": "s", "code": "bp"}]},
        component=[
            {"code": {"coding": [{"system": "s", "code": "sys"}]}, "valueQuantity": {"value": 120}},
            {"code": {"coding": [{"system": "s", "code": "dia"}]}, "valueQuantity": {"value": 80}},
            {"code": {"coding": [{"system": "s", "code": "map"}]}},
            {"code": {"text": "no code"}, "valueQuantity": {"value": 1}},
        ],
    )
    assert values(observation, "composites", "component-code-value-quantity") == [
        (([("s", "sys")], [(120, 120, None, None, None)]),),
        (([("s", "dia")], [(80, 80, None, None, None)]),),
    ]
    assert values(observation, "composites", "code-value-quantity") == []


def test_every_component_leads_to_what_it_compares() -> None:
    """R4's registry crosses the paths of DocumentReference-relationship."""
    for type_name in facts.RESOURCE_TYPES:
        for parameter in for_type(type_name).values():
            for one in parameter.components:
                elements = routes(parameter.expression or "", type_name) or ()
                found = {way.type for element in elements for way in routes(one.expression, element.type) or ()}
                assert any(is_comparable(one.type, kind) for kind in found), (type_name, parameter.code, one)


def test_a_composite_of_the_whole_resource() -> None:
    observation = resource("Observation", code={"coding": [{"code": "a"}, {"code": "b"}]}, valueDateTime="2012")
    assert values(observation, "composites", "code-value-date") == [
        (([("", "a"), ("", "b")], [(*bounds("2012"), "2012")]),)
    ]


def test_a_composite_may_reach_for_the_resource_around() -> None:
    sequence = resource(
        "MolecularSequence",
        referenceSeq={"chromosome": {"coding": [{"code": "1"}]}},
        variant=[{"start": 5, "end": 6}, {"start": 7}],
    )
    assert values(sequence, "composites", "chromosome-variant-coordinate") == [(([("", "1")], [(5, 5)], [(6, 6)]),)]


def test_a_composite_of_a_usage_context() -> None:
    context = {"code": {"system": "s", "code": "age"}, "valueRange": {"low": {"value": 1}, "high": {"value": 5}}}
    library = resource("Library", useContext=[context])
    assert values(library, "composites", "context-type-quantity") == [(([("s", "age")], [(1, 5, None, None, None)]),)]
