"""Answers beside their questionnaire: https://hl7.org/fhir/R4/questionnaireresponse.html"""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from hie.fhir.questionnaires import Form, answers, enabling, problems, regular
from hie.fhir.questionnaires import response as response_
from hie.fhir.terminology import in_value_set
from hie.fhir.terminology.terminology import Terminology
from hie.fhir.validation import validate
from tests.growth import Work, growth

Json = dict[str, Any]
R4 = "http://hl7.org/fhir/StructureDefinition/"
UCUM = "http://unitsofmeasure.org"
ICE = {"system": "http://example.org/ice", "code": "vanilla"}


def question(link: str, kind: str, *items: Json, **more: Any) -> Json:
    return {"linkId": link, "type": kind, **({"item": list(items)} if items else {}), **more}


def extended(name: str, **value: Any) -> Json:
    return {"url": R4 + name, **value}


def answered(link: str, *answers: Json, items: list[Json] | None = None) -> Json:
    return {"linkId": link, **({"answer": list(answers)} if answers else {}), **({"item": items} if items else {})}


def beside(questions: list[Json], items: list[Json], status: str = "completed") -> tuple[Json, Json]:
    """Return a questionnaire and a response."""
    response = {"resourceType": "QuestionnaireResponse", "status": status} | ({"item": items} if items else {})
    return {"resourceType": "Questionnaire", "status": "active", "item": questions}, response


def told(questions: list[Json], items: list[Json], status: str = "completed") -> list[tuple[str, str, str]]:
    """Judge answers; give severity, code and place, without the response's name."""
    questionnaire, response = pair = beside(questions, items, status)
    for one in pair:
        assert [issue for issue in validate(one) if issue.severity == "error"] == []
    found = problems(response, Form(questionnaire), in_value_set, "R")
    return [(one.severity, one.code, one.expression.removeprefix("R").removeprefix(".")) for one in found]


RIGHT: dict[str, Json] = {
    "boolean": {"valueBoolean": False}, "decimal": {"valueDecimal": Decimal("1.5")}, "integer": {"valueInteger": 1},
    "date": {"valueDate": "2024"}, "dateTime": {"valueDateTime": "2024"}, "time": {"valueTime": "10:00:00"},
    "string": {"valueString": "a"}, "text": {"valueString": "a"}, "url": {"valueUri": "http://a"},
    "attachment": {"valueAttachment": {"title": "a"}}, "reference": {"valueReference": {"display": "a"}},
    "quantity": {"valueQuantity": {"value": 1}}, "choice": {"valueCoding": ICE}, "open-choice": {"valueCoding": ICE},
}  # fmt: skip


@pytest.mark.parametrize("kind", RIGHT)
def test_a_question_takes_answers_of_its_own_type_alone(kind: str) -> None:
    for answer in RIGHT.values():
        (name,) = answer
        is_right = name in RIGHT[kind] or (kind == "open-choice" and name == "valueString")
        assert told([question("q", kind)], [answered("q", answer)]) == (
            [] if is_right else [("error", "structure", "item[0].answer[0].value")])


@pytest.mark.parametrize("kind", ["group", "display", "question"])
def test_what_is_no_question_has_no_answers(kind: str) -> None:
    inside = [question("a", "string")] if kind == "group" else []
    assert told([question("q", kind, *inside)], [answered("q", {"valueString": "a"})]) == [
        ("error", "structure", "item[0].answer")]


GROUP = question("g", "group", question("a", "string", required=True),
                 question("b", "string", question("c", "integer")))


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([answered("g", items=[answered("a", {"valueString": "x"})])], []),
        ([answered("g", items=[answered("a", {"valueString": "x"}),
                               answered("b", {"valueString": "y", "item": [answered("c", {"valueInteger": 1})]})])],
         []),
        ([answered("g", items=[answered("b", {"valueString": "y"})])], [("error", "required", "item[0]")]),
        ([], []),
        ([answered("z")], [("error", "not-found", "item[0].linkId")]),
        ([answered("a", {"valueString": "x"})], [("error", "structure", "item[0]")]),
        ([answered("g", items=[answered("a", {"valueString": "x"}), answered("c", {"valueInteger": 1})])],
         [("error", "structure", "item[0].item[1]")]),
        ([answered("g", items=[answered("a", {"valueString": "x"}, {"valueString": "y"})])],
         [("error", "structure", "item[0].item[0]")]),
        ([answered("g", items=[answered("a", {"valueString": "x"}), answered("a", {"valueString": "y"})])],
         [("error", "structure", "item[0].item[1]"), ("error", "structure", "item[0].item[0]")]),
        ([answered("g", items=[answered("a", {"valueString": "x"})])] * 2, [("error", "structure", "item[1]")]),
    ],
)  # fmt: skip
def test_items_stand_where_the_questionnaire_has_them(items: list[Json], expected: list[tuple[str, str, str]]) -> None:
    assert told([GROUP], items) == expected


@pytest.mark.parametrize(("status", "is_done"), [("completed", True), ("amended", True), ("in-progress", False),
                                                 ("stopped", False), ("entered-in-error", False)])
def test_what_is_required_has_to_be_there_when_all_is_done(status: str, is_done: bool) -> None:
    needed = [("error", "required", "")] if is_done else []
    assert told([question("q", "string", required=True)], [], status) == needed
    assert told([question("g", "group", question("q", "string"), required=True)], [], status) == needed
    hidden = question("q", "string", required=True, extension=[extended("questionnaire-hidden", valueBoolean=True)])
    assert told([hidden], [], status) == []


def condition(operator: str, **answer: Any) -> Json:
    return {"question": "q", "operator": operator, **answer}


def grams(number: int) -> Json:
    return {"valueQuantity": {"value": number, "system": UCUM, "code": "g"}}


ENABLED: list[tuple[Json, Json, bool | None]] = [
    ({"valueInteger": 5}, condition(">", answerInteger=4), True),
    ({"valueInteger": 5}, condition("<=", answerInteger=4), False),
    ({"valueInteger": 5}, condition("=", answerDecimal=Decimal("5.0")), True),
    ({"valueInteger": 5}, condition("!=", answerInteger=5), False),
    ({"valueString": "a"}, condition("=", answerString="a"), True),
    ({"valueString": "a"}, condition("=", answerString="b"), False),
    ({"valueBoolean": True}, condition("=", answerBoolean=True), True),
    ({"valueBoolean": True}, condition("exists", answerBoolean=True), True),
    ({"valueBoolean": True}, condition("exists", answerBoolean=False), False),
    ({"valueDate": "2024-05"}, condition(">=", answerDate="2023"), True),
    ({"valueDate": "2024-05"}, condition(">", answerDate="2024"), None),
    ({"valueTime": "10:00:00"}, condition("<", answerTime="09:00:00"), False),
    ({"valueTime": "10:00:00"}, condition("<", answerTime="10:00:00.5"), True),
    ({"valueDateTime": "2024-05-01T10:00:00Z"}, condition(">", answerDateTime="2024-05-01T10:00:00.5Z"), False),
    ({"valueDateTime": "2024-05-01T10:00:00.0Z"}, condition("=", answerDateTime="2024-05-01T10:00:00Z"), True),
    ({"valueDateTime": "2024-05-01T10:00:00Z"}, condition("=", answerDateTime="2024-05-01T12:00:00+02:00"), True),
    ({"valueDateTime": "2024-05-01T10:00:00Z"}, condition("<", answerDateTime="2024-05-01T10:00:00+02:00"), False),
    ({"valueDateTime": "2024-05-01T10:00:00Z"}, condition(">", answerDateTime="2024-05-01"), None),
    ({"valueCoding": ICE}, condition("=", answerCoding=ICE), True),
    ({"valueCoding": ICE}, condition("=", answerCoding={"code": "vanilla"}), None),
    ({"valueCoding": ICE}, condition("!=", answerCoding={**ICE, "code": "mint"}), True),
    ({"valueQuantity": {"value": 2, "unit": "kg"}}, condition(">", answerQuantity={"value": 1, "unit": "kg"}), True),
    ({"valueQuantity": {"value": 2, "unit": "kg"}}, condition(">", answerQuantity={"value": 1, "unit": "g"}), None),
    (grams(5), condition("<", answerQuantity={"value": 1, "system": UCUM, "code": "kg"}), True),
    (grams(1000), condition("=", answerQuantity={"value": 1, "system": UCUM, "code": "kg"}), True),
    (grams(5), condition("<", answerQuantity={"value": 1, "system": UCUM, "code": "m"}), None),
    ({"valueReference": {"reference": "Patient/1"}}, condition("=", answerReference={"reference": "Patient/2"}), False),
]  # fmt: skip
KIND = {
    "valueInteger": "integer", "valueString": "string", "valueBoolean": "boolean", "valueDate": "date",
    "valueDateTime": "dateTime", "valueTime": "time", "valueCoding": "choice", "valueQuantity": "quantity",
    "valueReference": "reference",
}  # fmt: skip


@pytest.mark.parametrize(("given", "row", "is_enabled"), ENABLED)
def test_an_item_is_enabled_by_answers(given: Json, row: Json, is_enabled: bool | None) -> None:
    (name,) = given
    questions = [question("q", KIND[name]), question("then", "string", required=True, enableWhen=[row])]
    with_it = told(questions, [answered("q", given), answered("then", {"valueString": "x"})])
    assert with_it == ([("error", "business-rule", "item[1]")] if is_enabled is False else [])
    assert told(questions, [answered("q", given)]) == ([("error", "required", "")] if is_enabled else [])
    early = told(questions, [answered("q", given), answered("then", {"valueString": "x"})], "in-progress")
    assert early == ([("warning", "business-rule", "item[1]")] if is_enabled is False else [])


@pytest.mark.parametrize(("behavior", "is_enabled"), [("all", False), ("any", True)])
def test_several_conditions_hold_together_or_one_of_them(behavior: str, is_enabled: bool) -> None:
    rows = [condition("=", answerInteger=1), condition("=", answerInteger=2)]
    questions = [question("q", "integer"),
                 question("then", "string", required=True, enableWhen=rows, enableBehavior=behavior)]
    assert bool(told(questions, [answered("q", {"valueInteger": 1})])) == is_enabled
    unanswered = told(questions, [answered("then", {"valueString": "x"})])
    assert unanswered == [("error", "business-rule", "item[0]")]


def test_in_a_group_that_repeats_the_answer_beside_it_counts() -> None:
    inside = question("g", "group", question("q", "boolean"), question("then", "string", enableWhen=[
        condition("=", answerBoolean=True)]), repeats=True)  # fmt: skip
    rows = [answered("g", items=[answered("q", {"valueBoolean": one}), answered("then", {"valueString": "x"})])
            for one in (True, False)]
    assert told([inside], rows) == [("error", "business-rule", "item[1].item[1]")]


OPTIONS = [{"valueCoding": ICE}, {"valueCoding": {**ICE, "code": "mint"}, "extension": [
    extended("questionnaire-optionExclusive", valueBoolean=True)]}]
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
GENDER = "http://hl7.org/fhir/administrative-gender"
UCUM, SEX = "http://unitsofmeasure.org", "http://hl7.org/fhir/administrative-gender"
KILOGRAMS = extended("questionnaire-unitOption", valueCoding={"system": UCUM, "code": "kg"})
OF_A_SET = extended("questionnaire-unitValueSet", valueCanonical="http://hl7.org/fhir/ValueSet/administrative-gender")


def of_unit(code: str, system: str = UCUM) -> Json:
    return {"value": 1, "system": system, "code": code}


BOUND: list[tuple[Json, list[Json], str | None]] = [
    ({"type": "choice", "answerOption": OPTIONS}, [{"valueCoding": ICE}], None),
    ({"type": "choice", "answerOption": OPTIONS}, [{"valueCoding": {**ICE, "code": "lemon"}}], "code-invalid"),
    ({"type": "choice", "answerOption": OPTIONS}, [{"valueCoding": {"code": "mint"}}], None),
    ({"type": "choice", "answerOption": OPTIONS}, [{"valueString": "lemon"}], "structure"),
    ({"type": "open-choice", "answerOption": OPTIONS}, [{"valueString": "lemon"}], None),
    ({"type": "choice", "answerOption": [{"valueInteger": 1}, {"valueInteger": 2}]}, [{"valueInteger": 3}],
     "code-invalid"),
    ({"type": "choice", "repeats": True, "answerOption": OPTIONS},
     [{"valueCoding": ICE}, {"valueCoding": {**ICE, "code": "mint"}}], "business-rule"),
    ({"type": "choice", "answerValueSet": GENDERS}, [{"valueCoding": {"system": GENDER, "code": "male"}}], None),
    ({"type": "choice", "answerValueSet": GENDERS}, [{"valueCoding": {"system": GENDER, "code": "m"}}], "code-invalid"),
    ({"type": "choice", "answerValueSet": "http://example.org/none"}, [{"valueCoding": ICE}], None),
    ({"type": "string", "maxLength": 3}, [{"valueString": "abcd"}], "too-long"),
    ({"type": "string", "extension": [extended("minLength", valueInteger=3)]}, [{"valueString": "ab"}], "value"),
    ({"type": "integer", "extension": [extended("minValue", valueInteger=3)]}, [{"valueInteger": 2}], "value"),
    ({"type": "integer", "extension": [extended("maxValue", valueInteger=3)]}, [{"valueInteger": 3}], None),
    ({"type": "date", "extension": [extended("maxValue", valueDate="2024")]}, [{"valueDate": "2025-01-01"}], "value"),
    ({"type": "decimal", "extension": [extended("maxDecimalPlaces", valueInteger=1)]},
     [{"valueDecimal": Decimal("1.25")}], "value"),
    ({"type": "attachment", "extension": [extended("mimeType", valueCode="image/png")]},
     [{"valueAttachment": {"contentType": "image/gif", "title": "a"}}], "value"),
    ({"type": "attachment", "extension": [extended("maxSize", valueDecimal=Decimal("0.000001"))]},
     [{"valueAttachment": {"contentType": "image/gif", "data": "aGVsbG8="}}], "too-long"),
    ({"type": "reference", "extension": [extended("questionnaire-referenceResource", valueCode="Patient")]},
     [{"valueReference": {"reference": "Group/1"}}], "value"),
    ({"type": "quantity", "extension": [extended(
        "questionnaire-unitOption", valueCoding={"system": "http://unitsofmeasure.org", "code": "kg"})]},
     [{"valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "g"}}], "value"),
    ({"type": "quantity", "extension": [KILOGRAMS, OF_A_SET]}, [{"valueQuantity": of_unit("g")}], "value"),
    ({"type": "quantity", "extension": [KILOGRAMS, OF_A_SET]}, [{"valueQuantity": of_unit("kg")}], None),
    ({"type": "quantity", "extension": [KILOGRAMS, OF_A_SET]}, [{"valueQuantity": of_unit("male", SEX)}], None),
    ({"type": "quantity", "extension": [OF_A_SET]}, [{"valueQuantity": of_unit("g")}], "value"),
    ({"type": "quantity", "extension": [OF_A_SET]}, [{"valueQuantity": {"value": 1, "unit": "g"}}], None),
    ({"type": "quantity", "extension": [extended("questionnaire-unitValueSet", valueCanonical="http://x/none")]},
     [{"valueQuantity": of_unit("g")}], None),
    ({"type": "string", "repeats": True, "extension": [extended("questionnaire-maxOccurs", valueInteger=1)]},
     [{"valueString": "a"}, {"valueString": "b"}], "structure"),
    ({"type": "string", "repeats": True, "extension": [extended("questionnaire-minOccurs", valueInteger=2)]},
     [{"valueString": "a"}], "required"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "given", "code"), BOUND)
def test_an_answer_is_one_that_the_question_allows(asked: Json, given: list[Json], code: str | None) -> None:
    found = told([{"linkId": "q", **asked}], [answered("q", *given)])
    assert [one for _, one, _ in found] == ([] if code is None else [code])


def formed(expression: str, *answers: str) -> list[tuple[str, str]]:
    asked = {"linkId": "q", "type": "string", "repeats": True, "extension": [extended("regex", valueString=expression)]}
    questionnaire, response = beside([asked], [answered("q", *({"valueString": one} for one in answers))])
    found = problems(response, Form(questionnaire), in_value_set, "R")
    return [(one.severity, one.code) for one in found]


@pytest.mark.parametrize(("expression", "answer", "fits"), [
    (r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "a@example.org", True),
    (r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "a@@example.org", False),
    (r"[0-9]{5}", "12345", True),
    (r"[0-9]{5}", "123456", False),
    ("[", "x", True),
    ("a" * 2_000, "x", True),
    ("(?:abc){e<=1}", "xyz", True),
    ("a", "a" * 2_000, True),
])
def test_an_answer_is_of_the_form_that_a_regular_expression_says(expression: str, answer: str, fits: bool) -> None:
    assert formed(expression, answer) == ([] if fits else [("error", "value")])


def test_a_regular_expression_that_runs_away_is_stopped_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular, "SECONDS", 0.05)
    expression = "((((a{1,1000}){1,1000}){1,1000}){1,1000})b"
    assert formed(expression, *["a" * 200] * 500) == [("error", "incomplete")]


COLOURS = {"resourceType": "ValueSet", "id": "colours", "status": "active", "compose": {"include": [
    {"system": "http://example.org/colours", "concept": [{"code": "red"}]}, {"valueSet": ["#shades"]}]}}
SHADES = {"resourceType": "ValueSet", "id": "shades", "status": "active", "compose": {"include": [
    {"system": "http://example.org/shades", "concept": [{"code": "dark"}]}]}}


@pytest.mark.parametrize(("coding", "code"), [
    ({"system": "http://example.org/colours", "code": "red"}, None),
    ({"system": "http://example.org/shades", "code": "dark"}, None),
    ({"system": "http://example.org/colours", "code": "blue"}, "code-invalid"),
    ({"display": "blue"}, None),
])
def test_a_value_set_that_the_questionnaire_contains_is_asked(coding: Json, code: str | None) -> None:
    asked = {"resourceType": "Questionnaire", "status": "active", "contained": [COLOURS, SHADES], "item": [
        {"linkId": "q", "type": "choice", "answerValueSet": "#colours"}]}
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [
        answered("q", {"valueCoding": coding})]}
    service = Terminology()
    found = problems(response, Form(asked), service.in_value_set, "R", service.in_contained)
    assert [one.code for one in found] == ([] if code is None else [code])
    held = {**response, "contained": [{**asked, "id": "q", "contained": []}, COLOURS, SHADES]}
    inside = problems(held, Form(held["contained"][0], held), service.in_value_set, "R", service.in_contained)
    assert [one.code for one in inside] == ([] if code is None else [code])


@pytest.mark.parametrize(
    "contained", [[], [{**COLOURS, "compose": {"include": [{"valueSet": ["#colours"]}]}}], [SHADES]])
def test_a_contained_value_set_that_cannot_be_read_decides_nothing(contained: list[Json]) -> None:
    asked = {"resourceType": "Questionnaire", "status": "active", "contained": contained, "item": [
        {"linkId": "q", "type": "choice", "answerValueSet": "#colours"}]}
    service = Terminology()
    response = {"status": "completed", "item": [answered("q", {"valueCoding": {"system": "urn:x", "code": "x"}})]}
    assert problems(response, Form(asked), service.in_value_set, "R", service.in_contained) == []


def test_many_repetitions_that_ask_for_one_another_are_not_looked_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enabling, "MOST_LOOKED_AT", 2_000)
    inside = question("g", "group", question("q", "boolean"), question("then", "string", enableWhen=[
        condition("=", answerBoolean=True)]), repeats=True)  # fmt: skip
    row = answered("g", items=[answered("q", {"valueBoolean": True}), answered("then", {"valueString": "x"})])

    def judged(number: int) -> Work:
        questionnaire, response = beside([inside], [deepcopy(row) for _ in range(number)])

        def work() -> None:
            assert problems(response, Form(questionnaire), in_value_set, "R") == []

        return work

    assert told([inside], [row]) == []
    assert growth(judged, 200) < 5
    assert len(told([inside], [answered("z")] * 3_000)) == 501


def test_elements_that_extensions_stand_for_are_no_harm() -> None:
    unknown = {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}
    asked = {"_linkId": unknown, "_type": unknown, "enableWhen": [
        {"_question": unknown, "_operator": unknown, "answerBoolean": True}]}
    given = {"_linkId": unknown, "answer": [{"_valueString": unknown}]}
    questionnaire = {"resourceType": "Questionnaire", "status": "active", "item": [asked]}
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [given]}
    assert [one for one in validate(questionnaire) + validate(response) if one.severity == "error"] == []
    assert isinstance(problems(response, Form(questionnaire), in_value_set, "R"), list)


def test_of_a_large_questionnaire_that_only_is_read_which_the_answers_need() -> None:
    """All of its items were looked at for each response: 100 answers beside 20,000 items took ten seconds."""

    def judged(status: str, form: Form) -> list[str]:
        response = {"status": status, "item": [answered("q3", {"valueString": "a"})]}
        return [one.diagnostics for one in problems(response, form, in_value_set, "R")]

    def again(number: int) -> Work:
        form = Form({"resourceType": "Questionnaire", "status": "active", "item": [
            question(f"q{n}", "string", required=n == 7) for n in range(number)]})  # fmt: skip
        assert judged("in-progress", form) == []
        assert judged("completed", form) == ["At least 1 answers of 'q7' must be there; found 0."]
        return lambda: judged("completed", form)

    assert growth(again, 500) < 1.1


def test_the_size_of_an_attachment_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, size = [], answers._size
    monkeypatch.setattr(answers, "_size", lambda value: sizes.append(size(value)) or sizes[-1])
    bounds = [extended("maxSize", valueDecimal=Decimal(1))] * 50
    assert told([question("q", "attachment", extension=bounds)],
                [answered("q", {"valueAttachment": {"contentType": "text/plain", "data": "YWJj"}})]) == []
    assert sizes == [3]


MANY = 2_000


@pytest.mark.parametrize(("asked", "given", "is_all"), [
    # Each of many groups lacks each of many questions, which would have to be answered were they enabled.
    ([question("g", "group", question("q0", "string"), *[question(f"q{n}", "string", required=True, enableWhen=[
        {**condition("=", answerString="b"), "question": "other"}]) for n in range(1, MANY)], repeats=True)],
     [answered("g", items=[answered("q0", {"valueString": "a"})])] * MANY, False),
    # A number is compared with all options, and a code is found at once among them.
    ([question("q", "choice", repeats=True, answerOption=[{"valueInteger": n} for n in range(MANY)])],
     [answered("q", *[{"valueInteger": n} for n in range(MANY)])], False),
    ([question("q", "choice", repeats=True,
               answerOption=[{"valueCoding": {"system": "urn:s", "code": f"c{n}"}} for n in range(MANY)])],
     [answered("q", *[{"valueCoding": {"system": "urn:s", "code": f"c{n}"}} for n in reversed(range(MANY))])], True),
])  # fmt: skip
def test_what_is_compared_is_bounded(asked: list[Json], given: list[Json], is_all: bool) -> None:
    """1,000 answers to a question of 1,000 options took six seconds."""
    assert told(asked, given) == ([] if is_all else [("error", "incomplete", "")])


def test_answers_whose_codes_are_no_longer_looked_for_are_not_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_, "MOST_ASKED", 2)
    asked = [question("q", "choice", repeats=True, answerValueSet=GENDERS)]
    right = {"valueCoding": {"system": GENDER, "code": "male"}}
    assert told(asked, [answered("q", *[right] * 2)]) == []
    assert told(asked, [answered("q", *[right] * 2, {"valueCoding": ICE})]) == [("error", "incomplete", "")]
