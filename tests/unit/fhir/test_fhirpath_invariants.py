"""R4's invariants as expressions: each compiles, and says what its text says."""

from __future__ import annotations

from typing import Any

import pytest

from hie.fhir import facts, fhirpath
from hie.fhir.fhirpath.invariants import _CORRECTED

ROWS = [
    (key, path, expression)
    for rows in facts.load()["invariants"].values()
    for key, (path, _, expression, _) in rows.items()
]


def test_every_invariant_compiles() -> None:
    assert len({key for key, _, _ in ROWS}) == 237
    for _, path, expression in ROWS:
        fhirpath.compile(expression, path)
        fhirpath.compile(fhirpath.corrected(expression), path)


def test_each_correction_is_of_a_published_expression() -> None:
    assert _CORRECTED.keys() <= {expression for _, _, expression in ROWS}


def holds(key: str, element: Any, resource: dict[str, Any] | None = None) -> bool:
    """Tell whether the corrected invariant is not violated."""
    own = element.get("resourceType") if isinstance(element, dict) else None
    path, expression = next((path, expression) for one, path, expression in ROWS if one == key and own in (None, path))
    compiled = fhirpath.compile(fhirpath.corrected(expression), path)
    return compiled.holds(element, resource=resource) is not False


def of(type_name: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": type_name, **elements}


CODING = {"system": "http://s", "code": "c"}
UCUM = "http://unitsofmeasure.org"
UNIQUE = {"coding": [CODING]}
TEXT = of("Patient", id="c", meta={"lastUpdated": "2020-01-01T00:00:00Z"})
RESOLVED = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("obs-6", of("Observation", valueString="x"), of("Observation", valueString="x", dataAbsentReason=UNIQUE)),
        (
            "obs-7",
            of("Observation", code=UNIQUE, valueString="x", component=[{"code": {"coding": [{"code": "o"}]}}]),
            of("Observation", code=UNIQUE, valueString="x", component=[{"code": UNIQUE}]),
        ),
        ("obs-3", {"low": {"value": 1}}, {"age": {}}),
        ("per-1", {"start": "2020", "end": "2020-05"}, {"start": "2020-06", "end": "2020-05"}),
        ("per-1", {"start": "2020-01-01T10:00:00Z", "end": "2020-01-01"}, {"start": "2020-01-03", "end": "2020-01-01"}),
        ("rng-2", {"low": {"value": 1}, "high": {"value": 2}}, {"low": {"value": 3}, "high": {"value": 2}}),
        ("qty-3", {"value": 1, "unit": "x"}, {"value": 1, "code": "mg"}),
        ("cpt-2", {"system": "phone", "value": "1"}, {"value": "1"}),
        ("att-1", {"url": "http://x"}, {"data": "YQ=="}),
        ("pat-1", {"name": {"family": "x"}}, {"gender": "male"}),
        (
            "con-4",
            of("Condition", abatementString="x", clinicalStatus={"coding": [RESOLVED]}),
            of("Condition", abatementString="x"),
        ),
        (
            "dom-2",
            of("Patient", contained=[of("Patient", id="c")]),
            of("Patient", contained=[of("Patient", contained=[of("Patient")])]),
        ),
        ("dom-4", of("Patient", contained=[of("Patient", id="c")]), of("Patient", contained=[TEXT])),
        (
            "dom-3",
            of("Patient", contained=[of("Organization", id="o")], managingOrganization={"reference": "#o"}),
            of("Patient", contained=[of("Organization", id="o")]),
        ),
        (
            "dom-3",
            of("PlanDefinition", contained=[of("Library", id="l")], library=["#l"]),
            of("PlanDefinition", contained=[of("Library", id="l")], library=["#m"]),
        ),
        (
            "bdl-7",
            of("Bundle", type="collection", entry=[{"fullUrl": "a"}, {"fullUrl": "b"}]),
            of("Bundle", type="collection", entry=[{"fullUrl": "a"}, {"fullUrl": "a"}]),
        ),
        (
            "bdl-11",
            of("Bundle", type="document", entry=[{"resource": of("Composition")}]),
            of("Bundle", type="document", entry=[{"resource": of("Patient")}]),
        ),
        ("bdl-11", of("Bundle", type="searchset"), of("Bundle", type="document")),
        ("bdl-8", {"resource": of("Patient")}, {"fullUrl": "http://x/Patient/1/_history/1"}),
        (
            "que-2",
            of("Questionnaire", item=[{"linkId": "1", "item": [{"linkId": "2"}]}]),
            of("Questionnaire", item=[{"linkId": "1", "item": [{"linkId": "1"}]}]),
        ),
        ("que-7", {"operator": "exists", "answerBoolean": True}, {"operator": "exists", "answerString": "x"}),
        ("que-12", {"enableWhen": [{}], "linkId": "1"}, {"enableWhen": [{"question": "a"}, {"question": "b"}]}),
        ("que-13", {"repeats": True, "initial": [{}, {}]}, {"initial": [{"valueInteger": 1}, {"valueInteger": 2}]}),
        ("vsd-9", {"abstract": True, "display": "x"}, {"display": "x"}),
        ("opd-2", {"searchType": "token", "type": "string"}, {"searchType": "token"}),
        ("drt-1", {"value": 1, "code": "a", "system": UCUM}, {"value": 1, "code": "a"}),
        ("age-1", {"value": 1, "code": "a", "system": UCUM}, {"value": 0, "code": "a", "system": UCUM}),
        ("cnt-3", {"value": 1, "code": "1", "system": UCUM}, {"value": 1, "code": "2", "system": UCUM}),
        ("tim-9", {"offset": 1, "when": ["ACM"]}, {"offset": 1, "when": ["C"]}),
        ("msq-3", of("MolecularSequence", coordinateSystem=0), of("MolecularSequence", coordinateSystem=2)),
        (
            "sdf-8a",
            {"element": [{"path": "Patient"}, {"path": "Patient.name"}]},
            {"element": [{"path": "Patient"}, {"path": "Other.name"}]},
        ),
        (
            "csd-1",
            of("CodeSystem", concept=[{"code": "a"}, {"code": "b"}]),
            of("CodeSystem", concept=[{"code": "a", "concept": [{"code": "a"}]}]),
        ),
        ("ras-1", {"low": {"value": 1, "code": "%", "system": UCUM}}, {"low": {"value": 1, "code": "%"}}),
        ("ras-2", {"probabilityDecimal": 100}, {"probabilityDecimal": 101}),
        (
            "txt-1",
            "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>",
            "<div xmlns='http://www.w3.org/1999/xhtml'><script>x</script></div>",
        ),
        (
            "inv-1",
            of("Task", lastModified="2020-05-02", authoredOn="2020-05"),
            of("Task", lastModified="2020-04", authoredOn="2020-05"),
        ),
    ],
)
def test_an_invariant_tells_right_from_wrong(key: str, right: Any, wrong: Any) -> None:
    around = of("StructureDefinition", kind="resource", type="Patient", differential={"element": [{"path": "Patient"}]})
    resource = around if key == "sdf-8a" else None
    assert holds(key, right, resource)
    assert not holds(key, wrong, resource)


def test_references_to_contained_resources_are_looked_up_in_the_root() -> None:
    invariant = fhirpath.compile(next(expression for key, _, expression in ROWS if key == "ref-1"), "Reference")
    root = of("Patient", contained=[of("Organization", id="o")])
    assert invariant.holds({"reference": "#o"}, resource=root, root_resource=root) is True
    assert invariant.holds({"reference": "#x"}, resource=root, root_resource=root) is False
    assert invariant.holds({"reference": "Patient/1"}, resource=root, root_resource=root) is True
    assert invariant.holds({"display": "x"}, resource=root, root_resource=root) is None
