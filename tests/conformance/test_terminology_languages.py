"""In which language codes are shown: https://hl7.org/fhir/R4/valueset-operation-expand.html, displayLanguage"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import Fhir
from tests.terminologies import body, code_system, coding, told, value_set

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
TREES = "http://example.org/CodeSystem/trees"
SYSTEM = code_system(
    TREES,
    {"code": "oak", "display": "Oak", "designation": [
        {"language": "de", "value": "Eiche"}, {"language": "fr-CA", "value": "Chêne"}, {"value": "Quercus"}]},
    {"code": "elm", "display": "Elm", "designation": [{"language": "nl", "value": "Iep"}]},
    id="trees", language="en",
)  # fmt: skip
#: Calls the oak by a name of its own, in the language that it is of, if any.
OWN: dict[str, Any] = {"system": TREES, "concept": [{"code": "oak", "display": "Eichenbaum"}, {"code": "elm"}]}


@pytest.fixture
def trees(fhir: Fhir) -> Fhir:
    assert fhir.put("CodeSystem/trees", SYSTEM).status == 201
    return fhir


def displays(fhir: Fhir, language: str | None, definition: dict[str, Any] | None = None) -> list[str | None]:
    query = "" if language is None else f"?displayLanguage={language}"
    answer = fhir.post(f"ValueSet/$expand{query}", definition or value_set(TREES, url=None))
    assert answer.status == 200, answer.content
    return [one.get("display") for one in answer.json["expansion"]["contains"]]


LANGUAGES: list[Any] = [
    ("de", ["Eiche", "Elm"]),
    ("DE-ch", ["Eiche", "Elm"]),
    ("fr", ["Chêne", "Elm"]),
    ("de,nl", ["Eiche", "Iep"]),
    ("nl;q=0.5,de", ["Eiche", "Iep"]),
    ("fr;q=0.2,de;q=0.8", ["Eiche", "Elm"]),
    ("en,de", ["Oak", "Elm"]),
    ("de;q=0,nl", ["Oak", "Iep"]),
    ("es, *", ["Oak", "Elm"]),
    ("de,*;q=0", ["Eiche", None]),
    ("en-GB,*; q=0.0", ["Oak", "Elm"]),
]  # fmt: skip


@pytest.mark.parametrize(("language", "expected"), LANGUAGES)
def test_displays_are_in_the_language_that_is_wanted_most(
    trees: Fhir, language: str, expected: list[str | None]
) -> None:
    """RFC 9110 §12.5.4"""
    assert displays(trees, language) == expected


@pytest.mark.parametrize("language", ["de_CH", "--", "de,_", "de;q=2", "de;q=x", ",", "de;x=1", "*-CH",
                                      ",".join(f"a{one}" for one in "abcdefghijk"), "de," * 400])
def test_a_language_that_is_none_is_refused(trees: Fhir, language: str) -> None:
    one = f"system={TREES}&code=oak&displayLanguage={language}"
    for url in (f"CodeSystem/$lookup?{one}", f"CodeSystem/$validate-code?{one}&url={TREES}"):
        trees.get(url).refused(400, "invalid", "displayLanguage")
    trees.post(f"ValueSet/$expand?displayLanguage={language}", value_set(TREES)).refused(
        400, "invalid", "displayLanguage")


def test_a_display_of_a_value_set_is_of_its_language(trees: Fhir) -> None:
    german, silent = value_set(OWN, url=None, language="de"), value_set(OWN, url=None)
    assert displays(trees, None, german) == ["Eichenbaum", "Elm"]
    assert displays(trees, "de", german) == ["Eichenbaum", "Elm"]
    assert displays(trees, "en", german) == ["Oak", "Elm"]
    assert displays(trees, "en", silent) == ["Eichenbaum", "Elm"], "taken as of the code system's language"
    assert displays(trees, "de", silent) == ["Eiche", "Elm"]
    row = {"code": "oak", "display": "Eichenbaum", "designation": [{"language": "en", "value": "Oak"}]}
    unknown = value_set({"system": "urn:elsewhere", "concept": [row]}, url=None, language="de")
    assert displays(trees, "de,en", unknown) == ["Eichenbaum"]
    assert displays(trees, "en,de", unknown) == ["Oak"]


def test_the_name_in_the_code_system_is_a_designation_in_its_language(trees: Fhir) -> None:
    answer = trees.post("ValueSet/$expand?includeDesignations=true", value_set(OWN, url=None, language="de"))
    first = answer.json["expansion"]["contains"][0]
    assert first["designation"][0] == {"language": "en", "value": "Oak"}


def test_other_operations_show_codes_in_these_languages(trees: Fhir) -> None:
    asked = f"system={TREES}&code=elm&displayLanguage="
    assert told(trees.get(f"CodeSystem/$lookup?{asked}fr,nl"))["display"] == "Iep"
    assert told(trees.get(f"CodeSystem/$lookup?{asked}fr,*;q=0"))["display"] == "elm", "R4 wants a display"
    url = f"CodeSystem/$validate-code?url={TREES}&{asked}"
    assert told(trees.get(f"{url}fr,nl"))["display"] == "Iep"
    assert "display" not in told(trees.get(f"{url}fr,*;q=0"))
    wrong = told(trees.post("CodeSystem/$validate-code?displayLanguage=fr,*;q=0", body(
        {"name": "coding", "valueCoding": coding("elm", TREES, display="Ulm")})))
    assert wrong["result"] is False
    assert "it is 'Elm'" in wrong["message"]


def test_an_expansion_that_is_carried_is_in_the_language_of_its_value_set(trees: Fhir) -> None:
    carried = {"resourceType": "ValueSet", "status": "active", "language": "de", "expansion": {
        "timestamp": "2020-01-01", "contains": [{"system": "urn:elsewhere", "code": "oak", "display": "Eichenbaum",
                                                 "designation": [{"language": "en", "value": "Oak"}]}]}}
    assert displays(trees, "de,en", carried) == ["Eichenbaum"]
    assert displays(trees, "en,de", carried) == ["Oak"]


def test_the_name_that_gives_way_to_a_translation_is_a_designation(trees: Fhir) -> None:
    def beside(query: str) -> list[Any]:
        first = trees.post(f"ValueSet/$expand?{query}", value_set(TREES, url=None)).json["expansion"]["contains"][0]
        rows = trees.get(f"CodeSystem/$lookup?system={TREES}&code=oak&{query.split('&')[0]}").json["parameter"]
        parts = [{one["name"]: one[f"value{'Code' if one['name'] == 'language' else 'String'}"] for one in row["part"]}
                 for row in rows if row["name"] == "designation"]
        if "designation=" not in query:
            assert parts == first["designation"]
        return list(first.get("designation", []))

    others = SYSTEM["concept"][0]["designation"]
    assert beside("displayLanguage=de&includeDesignations=true") == [{"language": "en", "value": "Oak"}, *others]
    assert beside("displayLanguage=en&includeDesignations=true") == others
    assert beside("displayLanguage=es&includeDesignations=true") == others
    assert beside("displayLanguage=de&designation=urn:ietf:bcp:47|en") == [{"language": "en", "value": "Oak"}]
    assert beside("displayLanguage=en&designation=urn:ietf:bcp:47|en") == []
