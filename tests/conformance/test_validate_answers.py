"""Answers are judged beside the questionnaire that is stored or contained: where validation and writes ask for it."""

from __future__ import annotations

from typing import Any

import pytest

from hie.interactions import answering
from tests.builders import bundle, post

URL = "http://example.org/fhir/Questionnaire/ice"
ICE = {
    "resourceType": "Questionnaire", "url": URL, "version": "1", "status": "active",
    "item": [{"linkId": "scoops", "type": "integer", "required": True}],
}  # fmt: skip


def response(*answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    item = [{"linkId": "scoops", "answer": list(answers)}] if answers else []
    return {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": URL,
            **({"item": item} if item else {}), **more}  # fmt: skip


GOOD, BAD = response({"valueInteger": 2}), response({"valueString": "two"})
WHERE = "QuestionnaireResponse.item[0].answer[0].value"


def errors(answer: Any) -> list[tuple[str, str]]:
    assert answer.status == 200, answer.content
    return [(one["code"], one["expression"][0]) for one in answer.json["issue"] if one["severity"] == "error"]


@pytest.mark.proves("operation:any/$validate")
def test_validate_tells_answers_that_the_questionnaire_does_not_ask_for(fhir: Any) -> None:
    unknown = fhir.post("QuestionnaireResponse/$validate", BAD)
    assert errors(unknown) == []
    assert any(URL in one["diagnostics"] and one["severity"] == "information" for one in unknown.json["issue"])
    made = fhir.create(ICE)
    assert errors(fhir.post("QuestionnaireResponse/$validate", BAD)) == [("structure", WHERE)]
    assert errors(fhir.post("QuestionnaireResponse/$validate", GOOD)) == []
    assert errors(fhir.post("QuestionnaireResponse/$validate", response())) == [("required", "QuestionnaireResponse")]
    fhir.create({**ICE, "version": "2", "item": [{"linkId": "scoops", "type": "string"}]})
    assert errors(fhir.post("QuestionnaireResponse/$validate", BAD)) == []
    assert errors(fhir.post("QuestionnaireResponse/$validate", {**BAD, "questionnaire": f"{URL}|1"})) == [
        ("structure", WHERE)]
    fhir.delete(f"Questionnaire/{made['id']}")
    assert errors(fhir.post("QuestionnaireResponse/$validate", {**BAD, "questionnaire": f"{URL}|1"})) == []


def test_a_questionnaire_and_its_value_set_may_be_named_by_where_they_stand(fhir: Any, treat: Any) -> None:
    """As R4's own examples write it: https://hl7.org/fhir/R4/questionnaireresponse-example.json.html"""
    colours = {"system": "http://x/colours", "concept": [{"code": "red"}]}
    fhir.put("ValueSet/colours", {"resourceType": "ValueSet", "id": "colours", "status": "active",
                                  "compose": {"include": [colours]}})
    asked = {"linkId": "scoops", "type": "choice", "answerValueSet": "ValueSet/colours"}
    fhir.put("Questionnaire/ice", {"resourceType": "Questionnaire", "id": "ice", "version": "1", "status": "active",
                                   "item": [asked]})
    red, blue = ({"valueCoding": {"system": "http://x/colours", "code": one}} for one in ("red", "blue"))
    for named in ("Questionnaire/ice", "Questionnaire/ice|1"):
        assert errors(fhir.post("QuestionnaireResponse/$validate", response(red, questionnaire=named))) == []
        assert errors(fhir.post("QuestionnaireResponse/$validate", response(blue, questionnaire=named))) == [
            ("code-invalid", WHERE)]
    for named in ("Questionnaire/ice|2", "Questionnaire/none", "ValueSet/colours"):
        answer = fhir.post("QuestionnaireResponse/$validate", response(blue, questionnaire=named))
        assert errors(answer) == []
        assert any("not stored here" in one["diagnostics"] for one in answer.json["issue"]), named
    treat("reject")
    fhir.post("QuestionnaireResponse", response(blue, questionnaire="Questionnaire/ice")).refused(
        422, "code-invalid", WHERE)
    fhir.get("ValueSet/$expand?url=ValueSet/colours")
    fhir.delete("Questionnaire/ice")
    assert errors(fhir.post("QuestionnaireResponse/$validate", response(blue, questionnaire="Questionnaire/ice"))) == []


def test_a_contained_questionnaire_is_asked_and_answers_inside_of_a_bundle(fhir: Any) -> None:
    inside = {name: value for name, value in ICE.items() if name not in ("url", "version")} | {"id": "ice"}
    held = {**BAD, "questionnaire": "#ice", "contained": [inside]}
    assert errors(fhir.post("QuestionnaireResponse/$validate", held)) == [("structure", WHERE)]
    whole = bundle(type_="collection") | {"entry": [{"fullUrl": "urn:uuid:0d5a1b3e-7f44-4a6e-9e0f-7d4b1a3c5e6f",
                                                     "resource": held}]}  # fmt: skip
    assert errors(fhir.post("Bundle/$validate", whole)) == [
        ("structure", WHERE.replace("QuestionnaireResponse", "Bundle.entry[0].resource"))]


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("place", ["questionnaire", "item", "option", "rules"])
def test_what_a_modifier_makes_of_a_questionnaire_is_not_known(fhir: Any, treat: Any, place: str) -> None:
    """https://hl7.org/fhir/R4/extensibility.html#modifierExtension"""
    unknown = {"implicitRules": "urn:x"} if place == "rules" else {"modifierExtension": [
        {"url": "urn:x:not", "valueBoolean": True}]}  # fmt: skip
    option = {"valueInteger": 1} | (unknown if place == "option" else {})
    scoops = {"linkId": "scoops", "type": "integer", "answerOption": [option]} | (unknown if place == "item" else {})
    fhir.create(ICE | {"item": [scoops]} | (unknown if place in ("questionnaire", "rules") else {}))
    found = fhir.post("QuestionnaireResponse/$validate", BAD)
    assert errors(found) == []
    assert any("modifier extensions or implicitRules" in one["diagnostics"] for one in found.json["issue"])
    treat("reject")
    assert fhir.post("QuestionnaireResponse", BAD).status == 201


def test_answers_are_judged_on_write_as_declared_profiles_are(fhir: Any, treat: Any) -> None:
    fhir.create(ICE)
    assert fhir.post("QuestionnaireResponse", BAD).status == 201
    treat("warn")
    told = fhir.post("QuestionnaireResponse", BAD, Prefer="return=OperationOutcome")
    assert [(one["severity"], one["expression"]) for one in told.json["issue"] if one["code"] == "structure"] == [
        ("warning", [WHERE])]
    treat("reject")
    fhir.post("QuestionnaireResponse", BAD).refused(422, "structure", WHERE)
    fhir.post("", bundle(post(GOOD), post(BAD))).refused(
        422, "structure", WHERE.replace("QuestionnaireResponse", "Bundle.entry[1].resource"))
    assert fhir.post("QuestionnaireResponse", GOOD).status == 201
    assert fhir.post("QuestionnaireResponse", {**BAD, "questionnaire": URL + "/other"}).status == 201


def test_a_questionnaire_that_the_token_may_not_see_is_none_for_it(fhir: Any, client: Any, treat: Any) -> None:
    fhir.create(ICE)
    treat("reject")
    for scopes in (("system/QuestionnaireResponse.cruds",),
                   ("system/QuestionnaireResponse.cruds", "system/Questionnaire.rs?status=draft")):
        blind = client(*scopes, name=" ".join(scopes))
        assert blind.post("QuestionnaireResponse", BAD).status == 201
        told = blind.post("QuestionnaireResponse/$validate", BAD)
        other = blind.post("QuestionnaireResponse/$validate", {**BAD, "questionnaire": URL.replace("ice", "tea")})
        assert told.content == other.content.replace(b"Questionnaire/tea", b"Questionnaire/ice")
    seeing = client("system/QuestionnaireResponse.cruds", "system/Questionnaire.rs?status=active")
    seeing.post("QuestionnaireResponse", BAD).refused(422, "structure", WHERE)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("bound", "number", "text"), [
    ("MOST_LOOKED_UP", 1, "1 others are named"), ("MOST_BYTES", 1, "more than 1 bytes")])
def test_of_many_or_large_questionnaires_some_are_not_looked_up_and_that_is_told(
    fhir: Any, monkeypatch: pytest.MonkeyPatch, bound: str, number: int, text: str
) -> None:
    """A hundred were kept whatever their size, and of one beyond it was said that it is not stored."""
    for name in (URL, URL + "/tea"):
        fhir.create({**ICE, "url": name})
    monkeypatch.setattr(answering, bound, number)
    rows = [{"resource": {**BAD, "questionnaire": name}} for name in (URL, URL + "/tea", URL)]
    answer = fhir.post("Bundle/$validate", {"resourceType": "Bundle", "type": "collection", "entry": rows})
    assert [one for one in errors(answer) if one[0] == "structure"] == [
        ("structure", WHERE.replace("QuestionnaireResponse", f"Bundle.entry[{index}].resource")) for index in (0, 2)]
    skipped = [one for one in answer.json["issue"] if (one["severity"], one["code"]) == ("error", "too-costly")]
    assert [one["expression"] for one in skipped] == [["Bundle.entry[1].resource.questionnaire"]]
    assert text in skipped[0]["diagnostics"]
