"""What is said of a code beside its system: display and version, of concepts with several codings as well.

https://hl7.org/fhir/R4/terminology-service.html#validation
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import Fhir
from tests.terminologies import (
    COLOURS,
    SHADES,
    SYSTEM,
    body,
    code_system,
    coding,
    listed,
    told,
    value_set,
)

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
ELSEWHERE = coding("1", "http://loinc.org", version="2.7")
OF_SYSTEM = {"name": "url", "valueUri": COLOURS}
OF_SET = {"name": "url", "valueUri": SHADES}


def concept(*codings: dict[str, str]) -> dict[str, Any]:
    return {"name": "codeableConcept", "valueCodeableConcept": {"coding": list(codings)}}


def one(coding_: dict[str, str]) -> dict[str, Any]:
    return {"name": "coding", "valueCoding": coding_}


def text(name: str, said: str) -> dict[str, Any]:
    return {"name": name, "valueString": said}


@pytest.fixture
def versions(shades: Fhir) -> Fhir:
    """Beside version 1 there is a version 2 of the code system, in which blue is another one and navy is gone."""
    two = code_system(COLOURS, {"code": "blue", "display": "Azure"}, "red", version="2", id="two")
    fixed = value_set({"system": COLOURS, "version": "1"}, url="http://example.org/of-one", id="of-one")
    both = value_set({**listed(COLOURS, "blue"), "version": "2"}, {**listed(COLOURS, "blue", "navy"), "version": "1"},
                     url="http://example.org/of-both", id="of-both")
    for resource in (two, fixed, both):
        assert shades.put(f"{resource['resourceType']}/{resource['id']}", resource).status == 201
    return shades


def test_a_display_is_that_of_a_coding_which_has_none(shades: Fhir) -> None:
    for address in ("ValueSet/mine/$validate-code", "CodeSystem/mine/$validate-code"):
        answer = told(shades.post(address, body(one(coding("pink")), text("display", "Green"))))
        assert answer["result"] is False
        assert "display 'Green'" in answer["message"]
        assert told(shades.post(address, body(one(coding("pink")), text("display", "pink"))))["result"] is True
        shades.post(address, body(one(coding("pink", display="Pink")), text("display", "Green"))).refused(
            400, "invalid", "display", "leave one out")
        shades.post(address, body(concept(coding("pink")), text("display", "Pink"))).refused(
            400, "invalid", "display", "codeableConcept")


@pytest.mark.parametrize(("address", "row"), [
    ("ValueSet/mine/$validate-code", {"name": "system", "valueUri": COLOURS}),
    ("ValueSet/mine/$validate-code", text("systemVersion", "1")),
    ("ConceptMap/mine/$translate", {"name": "system", "valueUri": COLOURS}),
    ("ConceptMap/mine/$translate", text("version", "1")),
], ids=lambda row: row["name"] if isinstance(row, dict) else None)  # fmt: skip
def test_which_coding_of_a_concept_is_meant_is_not_guessed(shades: Fhir, address: str, row: dict[str, Any]) -> None:
    shades.post(address, body(concept(coding("pink")), row)).refused(400, "invalid", row["name"], "codeableConcept")


def test_codings_of_other_systems_do_not_say_the_version_of_this_one(shades: Fhir) -> None:
    assert told(shades.post("CodeSystem/$validate-code", body(
        OF_SYSTEM, concept(ELSEWHERE, coding("blue")))))["result"] is True


def test_each_coding_of_a_concept_is_judged_in_its_own_version(versions: Fhir) -> None:
    def judged(*rows: dict[str, Any], address: str = "CodeSystem/$validate-code") -> dict[str, Any]:
        return told(versions.post(address, body(*rows)))

    azure, navy, neither = coding("blue", version="2"), coding("navy", version="1"), coding("navy", version="2")
    assert judged(OF_SYSTEM, concept(neither, azure))["display"] == "Azure"
    assert judged(OF_SYSTEM, concept(neither, navy))["display"] == "Navy blue"
    assert judged(OF_SYSTEM, concept(coding("red", version="9"), navy))["result"] is True
    assert judged(OF_SYSTEM, concept(neither))["result"] is False
    assert judged(OF_SYSTEM, text("version", "2"), concept(navy, coding("navy")))["result"] is False
    assert judged(concept(azure), address="CodeSystem/mine/$validate-code")["message"].count("version 2")
    assert judged(concept(azure, navy), address="CodeSystem/mine/$validate-code")["result"] is True
    pink, gone = coding("pink", version="1"), coding("pink", version="2")
    assert judged(OF_SET, concept(pink, gone), address="ValueSet/$validate-code")["display"] == "Pink"
    assert judged(OF_SET, concept(gone, pink), address="ValueSet/$validate-code")["display"] == "Pink"
    versions.post("CodeSystem/$validate-code", body(OF_SYSTEM, concept(coding("red", version="9")))).refused(
        404, "not-found", text="in version 9")
    many = [coding("navy", version=str(number)) for number in range(3, 9)]
    versions.post("ValueSet/$validate-code", body(OF_SET, concept(*many))).refused(422, "too-costly")


def test_a_value_set_of_one_version_has_no_codes_of_another(versions: Fhir) -> None:
    def judged(id_: str, code: str, version: str) -> dict[str, Any]:
        by_code = told(versions.get(
            f"ValueSet/{id_}/$validate-code?system={COLOURS}&code={code}&systemVersion={version}"))
        by_coding = told(versions.post(f"ValueSet/{id_}/$validate-code", body(one(coding(code, version=version)))))
        assert by_code == by_coding
        return by_code

    assert judged("of-one", "blue", "1") == {"result": True, "display": "Blue"}
    for version in ("2", "9"):
        answer = judged("of-one", "blue", version)
        assert answer["result"] is False
        assert f"in version 1, not in version {version}" in answer["message"]
    assert judged("of-both", "blue", "1")["result"] is judged("of-both", "blue", "2")["result"] is True
    assert judged("of-both", "navy", "2")["result"] is False


def test_an_expansion_says_the_version_that_its_codes_are_of(versions: Fhir) -> None:
    answer = versions.get(f"ValueSet/of-one/$expand?force-system-version={COLOURS}|2").json["expansion"]
    assert {(row["version"], row.get("display")) for row in answer["contains"]} == {("2", "Azure"), ("2", None)}


def test_find_matches_takes_one_version(shades: Fhir) -> None:
    shades.put("CodeSystem/two", SYSTEM | {"id": "two", "version": "2"})
    exact = {"name": "exact", "valueBoolean": True}
    shades.post("CodeSystem/$find-matches", body(
        {"name": "system", "valueUri": f"{COLOURS}|1"}, text("version", "2"), exact)).refused(
        400, "invalid", "version", "Two versions")


def test_lookup_tells_the_url_where_it_is_asked_for(shades: Fhir) -> None:
    asked = f"CodeSystem/$lookup?system={COLOURS}&code=red"
    rows = shades.get(f"{asked}&property=url&property=display").json["parameter"]
    assert [row["part"] for row in rows if row["name"] == "property"] == [
        [{"name": "code", "valueCode": "url"}, {"name": "value", "valueUri": COLOURS}]]


def test_the_direction_of_a_context_needs_one(shades: Fhir) -> None:
    shades.get(f"ValueSet/$expand?url={SHADES}&contextDirection=incoming").refused(
        400, "invalid", "contextDirection", "context")


def test_a_code_of_a_code_system_may_come_with_its_system(shades: Fhir) -> None:
    """R4 speaks of "code+system", though it has no such parameter: codesystem-operation-validate-code.html"""
    for address in (f"CodeSystem/$validate-code?system={COLOURS}", f"CodeSystem/$validate-code?url={COLOURS}&system="
                    f"{COLOURS}|1", f"CodeSystem/mine/$validate-code?system={COLOURS}"):
        assert told(shades.get(f"{address}&code=blue")) == {"result": True, "display": "Blue"}
    for address in (f"CodeSystem/$validate-code?url={COLOURS}", "CodeSystem/mine/$validate-code?abstract=true"):
        shades.get(f"{address}&system=http://loinc.org&code=blue").refused(400, "invalid", "system", COLOURS)
    shades.get(f"CodeSystem/mine/$validate-code?system={COLOURS}|2&code=blue").refused(400, "invalid", "version")
    shades.get(f"CodeSystem/$validate-code?url={COLOURS}&version=1&system={COLOURS}|2&code=blue").refused(
        400, "invalid", "version", "Two versions")
    beside = body({"name": "system", "valueUri": COLOURS}, one(coding("blue")))
    shades.post("CodeSystem/$validate-code", beside).refused(400, "invalid", "system", "code")


def test_a_dependency_has_each_part_once(shades: Fhir) -> None:
    element = {"name": "element", "valueUri": "http://example.org/use"}
    value = {"name": "concept", "valueCodeableConcept": {"coding": [{"system": "urn:u", "code": "print"}]}}
    other = {"name": "x", "valueCode": "y"}
    for parts, named in (([element, element, value], "element"), ([element, value, other], "x")):
        shades.post("ConceptMap/mine/$translate", body(
            {"name": "system", "valueUri": COLOURS}, {"name": "code", "valueCode": "pink"},
            {"name": "dependency", "part": parts})).refused(400, "invalid", "dependency", f"{named!r}")
