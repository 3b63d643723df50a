"""ValueSet/$validate-code with inferSystem: https://hl7.org/fhir/R5/valueset-operation-validate-code.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.conftest import Fhir
from tests.terminologies import (
    COLOURS,
    SET,
    SHADES,
    SYSTEM,
    body,
    code_system,
    coding,
    filtered,
    listed,
    told,
    value_set,
)

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])  # the same questions on any database
FRUITS, ALL = "http://example.org/CodeSystem/fruits", "http://example.org/ValueSet/all"
FRUIT = code_system(FRUITS, {"code": "pink", "display": "Pink Lady"}, {"code": "fig", "display": "Fig"}, id="fruits",
                    version="2")  # fmt: skip
BOTH = value_set({"valueSet": [SHADES]}, FRUITS, id="both", url=ALL)


@pytest.fixture
def stored(fhir: Fhir) -> Fhir:
    for resource in (SYSTEM | {"id": "mine"}, SET | {"id": "mine"}, FRUIT, BOTH):
        assert fhir.put(f"{resource['resourceType']}/{resource['id']}", resource).status == 201
    return fhir


def asked(fhir: Fhir, code: str, place: str = "both", more: str = "") -> dict[str, Any]:
    return told(fhir.get(f"ValueSet/{place}/$validate-code?code={code}&inferSystem=true{more}"))


@pytest.mark.proves("operation:ValueSet/$validate-code")
@pytest.mark.parametrize(("code", "system", "display"), [("fig", FRUITS, "Fig"), ("navy", COLOURS, "Navy blue")])
def test_the_system_that_has_the_code_is_told(stored: Fhir, code: str, system: str, display: str) -> None:
    assert asked(stored, code) == {"result": True, "system": system, "display": display}
    sent = body({"name": "code", "valueCode": code}, {"name": "inferSystem", "valueBoolean": True},
                {"name": "url", "valueUri": ALL})
    assert told(stored.post("ValueSet/$validate-code", sent))["system"] == system


def test_a_code_of_two_systems_is_not_valid_without_one(stored: Fhir) -> None:
    answer = asked(stored, "pink")
    assert answer["result"] is False
    assert "system" not in answer
    assert f"{COLOURS} and {FRUITS}" in answer["message"]
    assert asked(stored, "pink", "mine") == {"result": True, "system": COLOURS, "display": "Pink"}


def test_a_code_of_no_system_is_not_valid(stored: Fhir) -> None:
    told_of = f"The code ochre is not in the value set {ALL}: none of its code systems has it there."
    answer = asked(stored, "ochre")
    assert (answer.keys(), answer["result"], answer["message"]) == ({"result", "message", "issues"}, False, told_of)
    assert "none of its code systems" in asked(stored, "blue")["message"], "of the system, not of the value set"


def test_what_is_said_of_the_code_is_judged_as_with_a_system(stored: Fhir) -> None:
    wrong = asked(stored, "fig", more="&display=Date")
    assert (wrong["result"], wrong["system"], wrong["display"]) == (False, FRUITS, "Fig")
    abstract = asked(stored, "all", more="&abstract=false")
    assert (abstract["result"], abstract["system"]) == (False, COLOURS)
    assert asked(stored, "red", more="&displayLanguage=de")["display"] == "Rot"


def test_excluded_and_expanded_codes_count(stored: Fhir) -> None:
    stored.put("ValueSet/w", value_set(COLOURS, FRUITS, id="w", url="urn:w", exclude=[listed(FRUITS, "pink")]))
    assert asked(stored, "pink", "w")["system"] == COLOURS
    contains = [{"system": "urn:e", "code": "x", "display": "X", "contains": [{"system": "urn:f", "code": "y"}]},
                {"system": "urn:f", "code": "x"}]
    carried = {"resourceType": "ValueSet", "id": "e", "url": "urn:set:e", "status": "active",
               "expansion": {"timestamp": "2024-01-01", "contains": contains}}
    assert stored.put("ValueSet/e", carried).status == 201
    assert asked(stored, "y", "e") == {"result": True, "system": "urn:f"}
    assert "urn:e and urn:f" in asked(stored, "x", "e")["message"]


def test_a_system_whose_codes_are_not_here_leaves_it_open(stored: Fhir) -> None:
    stored.put("ValueSet/s", value_set(COLOURS, "http://snomed.info/sct", id="s", url="urn:s"))
    for code in ("pink", "ochre"):
        stored.get(f"ValueSet/s/$validate-code?code={code}&inferSystem=true").refused(
            422, "not-supported", "system", "http://snomed.info/sct is known here without its content")
    stored.put("ValueSet/t", value_set(COLOURS, listed("http://snomed.info/sct", "22298006"), id="t", url="urn:t"))
    assert asked(stored, "22298006", "t") == {"result": True, "system": "http://snomed.info/sct"}
    assert asked(stored, "pink", "t")["system"] == COLOURS


def test_what_contradicts_it_is_refused(stored: Fhir) -> None:
    url = "ValueSet/both/$validate-code"
    stored.post(url, body({"name": "coding", "valueCoding": coding("pink")},
                          {"name": "inferSystem", "valueBoolean": True})).refused(
        400, "invalid", "inferSystem", "for a code")
    stored.get(f"{url}?code=fig&inferSystem=true&systemVersion=2").refused(400, "invalid", "systemVersion", "system")
    stored.get(f"{url}?code=fig&inferSystem=maybe").refused(400, "invalid", "inferSystem", "true or false")
    stored.get("CodeSystem/mine/$validate-code?code=red&inferSystem=true").refused(400, "invalid", "inferSystem")
    assert told(stored.get(f"{url}?code=pink&system={FRUITS}&inferSystem=true"))["display"] == "Pink Lady"
    assert "system" not in told(stored.get(f"{url}?code=fig&inferSystem=false"))


def test_a_system_that_the_token_may_not_see_is_not_named(stored: Fhir, client: Callable[..., Fhir]) -> None:
    stored.put("CodeSystem/mine", SYSTEM | {"id": "mine", "meta": {"tag": [{"system": "urn:x", "code": "closed"}]}})
    restricted = client("system/ValueSet.rs", "system/CodeSystem.rs?_id=fruits")
    answer = restricted.get("ValueSet/both/$validate-code?code=fig&inferSystem=true")
    unknown = stored.delete("CodeSystem/mine") and stored.get("ValueSet/both/$validate-code?code=fig&inferSystem=true")
    assert (answer.status, answer.json["issue"]) == (unknown.status, unknown.json["issue"])
    assert answer.status == 422


def test_many_systems_are_not_asked_one_by_one_for_ever(stored: Fhir) -> None:
    """Each of n systems is asked of n filters: the steps of a question bound it."""
    wide = value_set(*(filtered(f"urn:system:{number}", "concept", "is-a", "x") for number in range(3_000)),
                     url="urn:wide")  # fmt: skip
    sent = body({"name": "code", "valueCode": "x"}, {"name": "inferSystem", "valueBoolean": True},
                {"name": "valueSet", "resource": wide})
    stored.post("ValueSet/$validate-code", sent).refused(422, "too-costly")
