"""What the comparisons of a filter find, type by type: https://hl7.org/fhir/R4/search_filter.html"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.builders import bundle, patient, put
from tests.conformance.conftest import Fhir
from tests.conformance.eyes import ids


def stay(id_: str, **period: str) -> dict[str, Any]:
    return {"resourceType": "Encounter", "id": id_, "status": "finished", "class": {"code": "IMP"}, "period": period}


def value_set(id_: str, url: str) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "id": id_, "status": "active", "url": url}


def risk(id_: str, *probabilities: str) -> str:
    chances = ", ".join(f'{{"probabilityDecimal": {one}}}' for one in probabilities)
    return f"""{{"resourceType": "RiskAssessment", "id": "{id_}", "status": "final",
        "subject": {{"reference": "Patient/berg"}}, "prediction": [{chances}]}}"""


RECORDS = [
    patient("Berg", id="berg", birthDate="1955-01"), patient("Öz", id="oz", birthDate="1955-01-20"),
    patient("Stein", id="stein"),
    {**patient(id="two"), "name": [{"family": "Adler"}, {"family": "Zander"}]},
    {"resourceType": "Patient", "id": "nameless"},
    stay("june", start="2020-06-01", end="2020-06-30"), stay("since", start="2020-05-26T12:00:00Z"),
    stay("day", start="2020-06-10", end="2020-06-10"), {**stay("never"), "period": {"extension": [
        {"url": "http://x", "valueCode": "unknown"}]}},
    value_set("bar", "http://acme.org/foo/bar"), value_set("baz", "http://acme.org/foo/baz"),
]  # fmt: skip
FOUND = {
    "Patient?_filter=family gt berg": ["oz", "stein", "two"],
    "Patient?_filter=family ge BERG": ["berg", "oz", "stein", "two"],
    "Patient?_filter=family lt berg": ["two"],
    "Patient?_filter=family le berg": ["berg", "two"],
    "Patient?_filter=family gt Ozz": ["stein", "two"],
    "Patient?_filter=not (family gt berg)": ["berg", "nameless"],
    "Patient?_filter=family gt s and family lt t or birthdate eq 1955-01-20": ["oz", "stein", "two"],
    "Patient?_filter=name lt anna": ["two"],
    "RiskAssessment?_filter=subject:Patient.family gt b and probability gt 0.9": ["r2"],
    "ValueSet?_filter=url co baz": ["baz"],
    "ValueSet?_filter=url co acme.org/foo": ["bar", "baz"],
    "ValueSet?_filter=url co FOO": [],
    "ValueSet?_filter=url sw http://acme.org/": ["bar", "baz"],
    "ValueSet?_filter=url sw acme.org": [],
    "ValueSet?_filter=url ew /bar": ["bar"],
    "ValueSet?_filter=url gt http://acme.org/foo/bar": ["baz"],
    "ValueSet?_filter=url ge http://acme.org/foo/bar": ["bar", "baz"],
    "ValueSet?_filter=url lt http://acme.org/foo/baz": ["bar"],
    "ValueSet?_filter=url le http://acme.org/foo/bar and url pr true": ["bar"],
    "Encounter?_filter=date co 2020-06-10": ["day", "june", "since"],
    "Encounter?_filter=date co 2020-06": ["june", "since"],
    "Encounter?_filter=date co 2020-06-10T08:00:00Z": ["day", "june", "since"],
    "Encounter?_filter=date co 2020-05-26": [],
    "Encounter?_filter=date co 2020": [],
    "Encounter?_filter=not (date co 2020-06)": ["day", "never"],
    "Patient?_filter=birthdate co 1955-01-20": ["berg", "oz"],
    "Patient?_filter=birthdate co 1955-01": ["berg"],
    "Patient?_filter=birthdate co 1955": [],
    "RiskAssessment?_filter=probability co 0.52": ["r1"],
    "RiskAssessment?_filter=probability co 0.55": [],
    "RiskAssessment?_filter=probability co 0.5": ["r1"],
    "RiskAssessment?_filter=probability co 0.254": ["r2"],
    "RiskAssessment?_filter=probability co 1e400": [],
}


@pytest.mark.proves("parameter:_filter")
def test_each_comparison_finds_what_stands_so_to_the_value(fhir: Fhir) -> None:
    fhir.post("", bundle(*map(put, RECORDS))).json["type"]
    for id_, chances in (("r1", ("0.5",)), ("r2", ("0.25", "0.95"))):
        assert fhir.put(f"RiskAssessment/{id_}", risk(id_, *chances)).status == 201
    for search, expected in FOUND.items():
        answer = fhir.get(quote(search + "&_total=accurate", safe="?&=:|/$,-"))
        assert sorted(ids(answer)) == expected, search
        assert answer.json["total"] == len(expected), search


def test_what_is_hidden_is_compared_with_nothing(fhir: Fhir, client: Any) -> None:
    fhir.post("", bundle(*map(put, RECORDS)))
    few = client("system/Patient.rs?_id=berg,oz")
    assert ids(few.get(quote("Patient?_filter=family gt a", safe="?=:"))) == {"berg", "oz"}
    assert few.total(quote("Patient?_filter=family gt r", safe="?=:")) == 0
