"""Patients who may be one: https://hl7.org/fhir/R4/patient-operation-match.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hie.fhir.validation import validate
from hie.operations import match
from tests.builders import bundle, entry, observation, parameters
from tests.conformance.conftest import Answer, Fhir

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
SSN = "http://hl7.org/fhir/sid/us-ssn"
GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"


def person(id_: str | None = None, family: str = "Dakin", given: str = "Joselyn", born: str = "1926-12-05",
           ssn: str | None = None, **more: Any) -> dict[str, Any]:
    found = {"resourceType": "Patient", "name": [{"family": family, "given": [given]}], "birthDate": born, **more}
    if ssn is not None:
        found["identifier"] = [{"system": SSN, "value": ssn}]
    return found | ({} if id_ is None else {"id": id_})


@pytest.fixture
def people(fhir: Fhir) -> Fhir:
    for one in (
        person("same", ssn="123", gender="female"), person("slip", born="1926-05-12"),
        person("heard", given="Jocelyn", gender="female"), person("twin", given="Roberta", gender="female"),
        person("number", "Elsewhere", "Other", "1980-01-01", ssn="123"),
        person("called", "Married", "Josie", telecom=[{"system": "phone", "value": "+61 3 5550 6473"}]),
        person("stranger", "Smith", "John", "1926-12-05"),
    ):
        assert fhir.put(f"Patient/{one['id']}", one).status == 201
    return fhir


def told(answer: Answer) -> list[tuple[str, str]]:
    """Return id and grade of each match, having seen that the Bundle is one, in the order of its scores."""
    assert answer.status == 200, answer.content
    found = answer.json
    assert [one for one in validate(found, "Bundle") if one.severity == "error"] == []
    assert found["type"] == "searchset"
    rows = [row for row in found.get("entry", []) if row["search"]["mode"] == "match"]
    scores = [row["search"]["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    return [(row["resource"]["id"], {one["url"]: one["valueCode"] for one in row["search"]["extension"]}[GRADE])
            for row in rows]


def outcomes(answer: Answer) -> list[Any]:
    return [row["resource"]["issue"][0] for row in answer.json.get("entry", []) if row["search"]["mode"] == "outcome"]


@pytest.mark.proves("operation:Patient/$match")
def test_the_most_likely_come_first_with_their_grades(people: Fhir) -> None:
    asked = person(ssn="123", gender="female", telecom=[{"system": "phone", "value": "+61 3 5550 6473"}])
    answer = people.post("Patient/$match", asked)
    assert dict(told(answer)) == {"same": "certain", "heard": "probable", "slip": "probable", "called": "possible",
                                  "twin": "possible"}
    assert told(answer)[0][0] == "same"
    assert answer.json["total"] == 5
    assert told(people.post("Patient/$match", parameters(resource=asked))) == told(answer)
    assert told(people.post("Patient/$match?count=2", asked)) == told(answer)[:2]
    in_xml = people.post("Patient/$match", asked, Accept="application/fhir+xml")
    assert b'<valueCode value="certain"/>' in in_xml.content


def test_only_certain_matches_are_one_alone(people: Fhir) -> None:
    asked = person(ssn="123", gender="female")
    answer = people.post("Patient/$match", parameters(resource=asked, onlyCertainMatches=("Boolean", True)))
    assert told(answer) == []
    assert "4 patients may be meant" in outcomes(answer)[0]["diagnostics"]
    for id_ in ("slip", "heard", "twin"):
        people.delete(f"Patient/{id_}")
    answer = people.post("Patient/$match?onlyCertainMatches=true", asked)
    assert told(answer) == [("same", "certain")]
    assert told(people.post("Patient/$match?onlyCertainMatches=true", person(given="Jos"))) == []


def test_nobody_is_no_error(people: Fhir) -> None:
    answer = people.post("Patient/$match", person(family="Nobody", given="None", born="2001-01-01"))
    assert told(answer) == []
    assert answer.json["total"] == 0


def test_what_is_asked_need_not_be_whole_but_right(people: Fhir) -> None:
    lacking = person(link=[{"type": "seealso"}], contact=[{"gender": "female"}])
    assert told(people.post("Patient/$match", lacking))[0][0] in ("same", "heard")
    people.post("Patient/$match", person(born="yesterday")).refused(400, "value", "Patient.birthDate")
    people.post("Patient/$match", person(favourite="x")).refused(400, "structure", "Patient.favourite")
    people.post("Patient/$match", observation()).refused(400, "invalid", "resource", "a Patient")
    people.post("Patient/$match", person(modifierExtension=[{"url": "urn:x", "valueCode": "x"}])).refused(
        400, "extension", "Patient.modifierExtension")
    for little in ({"gender": "female"}, {"birthDate": "1926-12-05"}, {"name": [{"family": "Dakin"}]},
                   {"identifier": [{"value": "123"}]}, {"telecom": [{"system": "url", "value": "http://x"}]}):
        people.post("Patient/$match", {"resourceType": "Patient", **little}).refused(
            400, "invalid", "resource", "an identifier with its system")
    people.get("Patient/$match").refused(400, "invalid", "resource")
    people.post("Patient/$match?count=0", person()).refused(400, "invalid", "count")
    people.post("Patient/$match?count=-1", person()).refused(400, "invalid", "count")
    people.post("Patient/$match?onlyCertainMatches=yes", person()).refused(400, "invalid", "onlyCertainMatches")


def test_separators_in_what_is_asked_are_no_syntax(people: Fhir) -> None:
    people.create(person(family="O|Neil, $on", ssn="1,2|3"))
    assert len(told(people.post("Patient/$match", person(family="O|Neil, $on", ssn="1,2|3", born="1900")))) == 1


def test_only_what_the_token_may_search_is_compared(people: Fhir, client: Callable[..., Fhir]) -> None:
    asked = person(ssn="123", gender="female")
    women = client("system/Patient.rs?gender=female")
    assert [id_ for id_, _ in told(women.post("Patient/$match", asked))] == ["same", "heard", "twin"]
    client("system/Patient.r").post("Patient/$match", asked).refused(403, "forbidden")


def test_a_record_that_means_more_than_is_known_is_no_certain_match(fhir: Fhir) -> None:
    """https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    fhir.create(person(modifierExtension=[{"url": "urn:x", "valueCode": "y"}]))
    assert [grade for _, grade in told(fhir.post("Patient/$match", person()))] == ["possible"]


def test_who_was_merged_is_found_as_who_is_in_use(fhir: Fhir, client: Callable[..., Fhir]) -> None:
    """What replaced-by says of a record: it must no longer be used. https://hl7.org/fhir/R4/valueset-link-type.html"""
    def replaced(by: str) -> dict[str, Any]:
        return {"link": [{"type": "replaced-by", "other": {"reference": f"Patient/{by}"}}]}

    fhir.put("Patient/new", person("new", "Married", "Other", "1980-01-01", gender="male"))
    fhir.put("Patient/old", person("old", ssn="123", **replaced("new")))
    fhir.put("Patient/older", person("older", **replaced("old")))
    asked = person(ssn="123")
    assert told(fhir.post("Patient/$match?onlyCertainMatches=true", asked)) == [("new", "certain")]
    some = client("system/Patient.rs?gender:missing=true")
    assert told(some.post("Patient/$match", asked)) == [("old", "possible")]
    fhir.put("Patient/new", person("new", **replaced("older")))  # a circle, which nobody can use
    assert [grade for _, grade in told(fhir.post("Patient/$match", asked))] == ["possible"]


def test_a_match_in_a_batch(people: Fhir) -> None:
    asked = bundle(entry("POST", "Patient/$match", person(ssn="123")), type_="batch")
    assert people.post("", asked).json["entry"][0]["resource"]["total"] == 4


def test_namesakes_of_another_age_do_not_hide_who_is_certain(fhir: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be more of them than are compared; one who is certain has the birth date, or an identifier, as well."""
    for year in range(1990, 1994):
        fhir.create(person(born=f"{year}-03-01"))
    fhir.put("Patient/same", person("same"))
    monkeypatch.setattr(match, "MOST_COMPARED", 2)
    answer = fhir.post("Patient/$match?onlyCertainMatches=true", person())
    assert told(answer) == [("same", "certain")]
    assert outcomes(answer)[0]["code"] == "incomplete"


def test_what_was_left_out_is_told_and_nobody_is_certain(people: Fhir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "MOST_COMPARED", 1)
    answer = people.post("Patient/$match", person(ssn="123", gender="female"))
    assert outcomes(answer)[0]["code"] == "incomplete"
    assert told(people.post("Patient/$match?onlyCertainMatches=true", person(ssn="123", gender="female"))) == []


def test_records_that_take_long_to_compare_are_refused(fhir: Fhir) -> None:
    """Names and lines of many characters, in as many records as are compared, kept a process busy for ten seconds."""
    def long(number: int) -> dict[str, Any]:
        words = [f"{number}{at}".ljust(40, "abcdefgh"[at % 8]) for at in range(10)]
        names = [{"family": one, "given": words[:5]} for one in words]
        addresses = [{"postalCode": one, "line": words[:5]} for one in words]
        return person(ssn="1", address=addresses) | {"name": names}

    stored = bundle(*(entry("POST", "Patient", long(number)) for number in range(match.MOST_COMPARED)))
    assert fhir.post("", stored).status == 200
    fhir.post("Patient/$match", long(999)).refused(422, "too-costly", "resource", "fewer of them")
    assert fhir.post("Patient/$match", person(ssn="1")).status == 200
