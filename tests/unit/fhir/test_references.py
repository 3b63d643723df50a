"""References: https://hl7.org/fhir/R4/references.html, https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hie.fhir import references
from hie.fhir.references import ParsedReference

UUID = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("Patient/1", ParsedReference("relative", "Patient", "1")),
        ("Patient/1/_history/2", ParsedReference("relative", "Patient", "1", "2")),
        (
            "http://a.org/fhir/Patient/1",
            ParsedReference("absolute", "Patient", "1", None, "http://a.org/fhir/Patient/1"),
        ),
        (
            "https://a.org/r4/Observation/A-b.9/_history/3",
            ParsedReference("absolute", "Observation", "A-b.9", "3", "https://a.org/r4/Observation/A-b.9"),
        ),
        (UUID, ParsedReference("urn", url=UUID)),
        ("urn:oid:1.2.840.113619", ParsedReference("urn", url="urn:oid:1.2.840.113619")),
        ("#p1", ParsedReference("fragment", id="p1")),
        ("#", ParsedReference("fragment", id="")),
        ("Patient?identifier=s|1", ParsedReference("conditional", "Patient", url="Patient?identifier=s|1")),
        ("http://a.org/other", ParsedReference("url", url="http://a.org/other")),
        ("http://a.org/fhir/Nothing/1", ParsedReference("url", url="http://a.org/fhir/Nothing/1")),
        ("urn:ietf:rfc:3986", ParsedReference("url", url="urn:ietf:rfc:3986")),
        ("Nothing/1", ParsedReference("invalid")),
        ("Patient", ParsedReference("invalid")),
        ("Patient/", ParsedReference("invalid")),
        ("Patient/a b", ParsedReference("invalid")),
        ("Patient/" + "a" * 65, ParsedReference("invalid")),
        ("/Patient/1", ParsedReference("invalid")),
        ("Patient/1/name", ParsedReference("invalid")),
        ("", ParsedReference("invalid")),
    ],
)
def test_a_literal_reference_is_taken_apart(text: str, parsed: ParsedReference) -> None:
    assert references.parse(text) == parsed


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://a.org/vs", ("http://a.org/vs", None, None)),
        ("http://a.org/vs|1.0", ("http://a.org/vs", "1.0", None)),
        ("http://a.org/vs|1.0#x", ("http://a.org/vs", "1.0", "x")),
        ("http://a.org/vs#x", ("http://a.org/vs", None, "x")),
        ("#x", ("", None, "x")),
    ],
)
def test_a_canonical_is_taken_apart(text: str, parts: tuple[str, str | None, str | None]) -> None:
    assert references.parse_canonical(text) == parts


@pytest.mark.parametrize(
    ("reference", "type_name"),
    [
        ({"reference": "Patient/1"}, "Patient"),
        ({"reference": "http://a.org/Group/1", "type": "Patient"}, "Group"),
        ({"reference": UUID, "type": "Patient"}, "Patient"),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Patient", "identifier": {"value": "1"}}, "Patient"),
        ({"type": "Nothing"}, None),
        ({"reference": UUID}, None),
        ({"display": "Peter"}, None),
        ({"reference": 5, "type": []}, None),
    ],
)
def test_the_type_of_a_target_is_read_from_the_reference(reference: dict[str, Any], type_name: str | None) -> None:
    assert references.target_type(reference) == type_name


RESOURCE: dict[str, Any] = {
    "resourceType": "Observation",
    "text": {
        "status": "generated",
        "div": f"<div><a class='x' href='{UUID}'>1</a><img src=\"{UUID}\"/><b title='{UUID}'>{UUID}</b></div>",
    },
    "contained": [{"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": UUID}}],
    "extension": [{"url": "http://x", "valueReference": {"reference": UUID}}, {"url": "http://y", "valueUri": UUID}],
    "identifier": [{"system": "urn:ietf:rfc:3986", "value": UUID, "assigner": {"reference": UUID}}],
    "_status": {"extension": [{"url": "http://z", "valueUrl": UUID}, {"url": "http://c", "valueCanonical": UUID}]},
    "code": {"text": UUID},
    "subject": {"reference": UUID, "display": UUID},
    "performer": [{"reference": "Practitioner/1"}, {"reference": UUID}],
    "component": [
        {"code": {"text": "x"}, "valueString": UUID, "extension": [{"url": "q", "valueReference": {"display": "x"}}]}
    ],
}


def test_every_reference_is_found_with_its_path() -> None:
    found = dict(references.iterate(RESOURCE))
    assert list(found) == [
        "Observation.contained[0].managingOrganization",
        "Observation.extension[0].valueReference",
        "Observation.identifier[0].assigner",
        "Observation.subject",
        "Observation.performer[0]",
        "Observation.performer[1]",
        "Observation.component[0].extension[0].valueReference",
    ]
    assert found["Observation.subject"] is RESOURCE["subject"]


def test_rewriting_reaches_what_the_transaction_rules_name_and_nothing_else() -> None:
    resource = copy.deepcopy(RESOURCE)
    assert references.rewrite(resource, {UUID: "Patient/9"}) == 9
    assert resource["text"]["div"] == (
        f"<div><a class='x' href='Patient/9'>1</a><img src=\"Patient/9\"/><b title='{UUID}'>{UUID}</b></div>"
    )
    assert resource["contained"][0]["managingOrganization"] == {"reference": "Patient/9"}
    assert [one.get("valueUri") or one["valueReference"] for one in resource["extension"]] == [
        {"reference": "Patient/9"},
        "Patient/9",
    ]
    assert resource["identifier"] == [
        {"system": "urn:ietf:rfc:3986", "value": UUID, "assigner": {"reference": "Patient/9"}}
    ]
    assert resource["_status"]["extension"][0]["valueUrl"] == "Patient/9"
    assert resource["_status"]["extension"][1]["valueCanonical"] == UUID
    assert resource["subject"] == {"reference": "Patient/9", "display": UUID}
    assert resource["performer"] == [{"reference": "Practitioner/1"}, {"reference": "Patient/9"}]
    assert resource["code"] == {"text": UUID}
    assert resource["component"][0]["valueString"] == UUID


def test_uris_in_a_list_are_rewritten() -> None:
    plan = {"resourceType": "CarePlan", "instantiatesUri": ["http://a", UUID], "instantiatesCanonical": [UUID]}
    assert references.rewrite(plan, {UUID: "PlanDefinition/1"}) == 1
    assert plan["instantiatesUri"] == ["http://a", "PlanDefinition/1"]
    assert plan["instantiatesCanonical"] == [UUID]


def test_conditional_references_are_rewritten_like_others() -> None:
    resource = {
        "resourceType": "Encounter",
        "participant": [{"individual": {"reference": "Practitioner?identifier=a|1"}}],
    }
    assert references.rewrite(resource, {"Practitioner?identifier=a|1": "Practitioner/7"}) == 1
    assert resource["participant"] == [{"individual": {"reference": "Practitioner/7"}}]


def test_an_escaped_link_in_a_narrative_is_rewritten() -> None:
    observation = {"resourceType": "Observation", "text": {"div": '<div><a href="Patient?a=1&amp;b=2">x</a></div>'}}
    assert references.rewrite(observation, {"Patient?a=1&b=2": "Patient/1"}) == 1
    assert observation["text"] == {"div": '<div><a href="Patient/1">x</a></div>'}


def test_the_full_urls_of_a_bundle_stay() -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"fullUrl": UUID, "resource": {"resourceType": "Flag", "subject": {"reference": UUID}}}],
    }
    assert references.rewrite(bundle, {UUID: "Patient/1"}) == 1
    assert bundle["entry"][0]["fullUrl"] == UUID  # type: ignore[index]


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": "Nothing"},
        {"resourceType": 5},
        {"resourceType": "Observation", "subject": "x", "performer": [1]},
    ],
)
def test_what_is_no_resource_has_no_references(resource: dict[str, Any]) -> None:
    assert list(references.iterate(resource)) == []
    assert references.rewrite(resource, {"x": "y"}) == 0
