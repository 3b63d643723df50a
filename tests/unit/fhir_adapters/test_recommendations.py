"""Recommendations as Observations that the server's own validator accepts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from fhir_adapters import ai_codes, recommendations
from fhir_adapters.ai_model import ModelFacts
from hie.fhir import json_format, validation
from ml.recommender.history import History, Item
from ml.recommender.model import Recommendation

NOW = "2026-01-02T03:04:05.600Z"
SNOMED = "http://snomed.info/sct"
MODEL = ModelFacts("recommender", "abc", "Recommendations", ai_codes.MACHINE_LEARNING, "No advice.")
DIABETES = Item("condition", SNOMED, "44054006", "Diabetes", "2020-01-01", ("Condition/7",))
FOUND = Recommendation(
    "medication", "http://www.nlm.nih.gov/research/umls/rxnorm", "860975", "Metformin", score=0.75, rank=1,
    basis="history", contributions=((DIABETES, 0.5),), content=(("age 50-59", 0.25),),
)  # fmt: skip


def bundle(*found, state="s"):
    made = recommendations.recommendation_bundle(found or [FOUND], "Patient/1", state, MODEL, NOW)
    return json_format.parse(json_format.dump(made))


def components(observation):
    return {one["code"]["coding"][0]["code"]: one for one in observation["component"]}


@pytest.mark.parametrize(
    "found",
    [FOUND, replace(FOUND, display=None), replace(FOUND, basis="content", contributions=())],
    ids=["from history", "without a display", "from sex and age"],
)
def test_every_resource_is_valid(found):
    for entry in bundle(found)["entry"]:
        issues = validation.validate(entry["resource"])
        assert [issue for issue in issues if issue.severity not in ("warning", "information")] == []


def test_an_observation_names_the_item_its_score_and_its_reasons():
    observation = bundle()["entry"][0]["resource"]
    assert observation["meta"]["security"][0]["code"] == "AIAST"
    assert observation["code"]["coding"][0]["code"] == "recommended-medication"
    assert observation["valueCodeableConcept"]["coding"][0]["code"] == "860975"
    assert observation["valueCodeableConcept"]["coding"][0]["display"] == "Metformin"
    parts = components(observation)
    assert float(parts["score"]["valueQuantity"]["value"]) == 0.75
    assert parts["rank"]["valueInteger"] == 1
    assert parts["basis"]["valueCodeableConcept"]["coding"][0]["code"] == "history"
    assert float(parts["trait"]["valueQuantity"]["value"]) == 0.25
    item, source = parts["contribution"]["extension"]
    assert item["valueCodeableConcept"]["coding"][0]["code"] == "44054006"
    assert source["valueReference"] == {"reference": "Condition/7"}


def test_parts_of_a_score_add_up_to_it_however_many_there_are():
    many = tuple((replace(DIABETES, code=str(i), sources=(f"Condition/{i}",)), 0.125) for i in range(30))
    observation = bundle(replace(FOUND, score=4.0, contributions=many))["entry"][0]["resource"]
    kinds = Counter(one["code"]["coding"][0]["code"] for one in observation["component"])
    assert (kinds["contribution"], kinds["remainder"]) == (10, 1)
    parts = [
        float(one["valueQuantity"]["value"])
        for one in observation["component"]
        if one["code"]["coding"][0]["code"] in ("contribution", "remainder", "trait")
    ]
    assert sum(parts) == 4.0


def test_of_many_records_of_an_item_the_oldest_and_the_latest_are_named():
    many = tuple(f"Condition/{i}" for i in range(3000))
    often = replace(DIABETES, sources=many, display="x" * 5000)
    entries = bundle(replace(FOUND, contributions=((often, 0.5),)))["entry"]
    part = components(entries[0]["resource"])["contribution"]
    item, *sources = part["extension"]
    named = [one["valueReference"]["reference"] for one in sources]
    assert named == [f"Condition/{i}" for i in (0, 1, 2, 3, 4, 2995, 2996, 2997, 2998, 2999)]
    assert part["code"]["text"] == "x" * 200 + ", and 2990 more records"
    assert item["valueCodeableConcept"]["coding"][0]["display"] == "x" * 200
    assert [one["what"]["reference"] for one in entries[-1]["resource"]["entity"]] == ["Patient/1", *named]


def test_addresses_that_are_no_records_are_no_references():
    odd = replace(DIABETES, sources=("urn:uuid:1", "Condition/7/x", "Condition/8"))
    observation = bundle(replace(FOUND, contributions=((odd, 0.5),)))["entry"][0]["resource"]
    _, *sources = components(observation)["contribution"]["extension"]
    assert [one["valueReference"]["reference"] for one in sources] == ["Condition/8"]


def test_the_provenance_lists_the_records_behind_the_scores():
    provenance = bundle()["entry"][-1]["resource"]
    assert [one["what"]["reference"] for one in provenance["entity"]] == ["Patient/1", "Condition/7"]
    assert len(provenance["target"]) == 1


def test_no_recommendation_makes_an_empty_bundle():
    assert recommendations.recommendation_bundle([], "Patient/1", "s", MODEL, NOW)["entry"] == []


def test_another_state_of_the_record_is_another_result():
    one, two = (bundle(state=state)["entry"][0]["resource"]["identifier"] for state in ("s", "t"))
    assert one != two


@pytest.mark.parametrize(
    ("other", "age"),
    [
        (History("1", sex="male", items=(DIABETES,)), 50),
        (History("1", sex="female", items=(DIABETES,)), 51),
        (History("1", sex="female", items=()), 50),
    ],
    ids=["sex", "age", "items"],
)
def test_the_state_of_a_record_follows_what_the_model_looks_at(other, age):
    before = recommendations.record_state(History("1", sex="female", items=(DIABETES,)), 50)
    assert recommendations.record_state(other, age) != before
    assert recommendations.record_state(History("1", sex="female", items=(replace(DIABETES, date=None),)), 50) == before
