"""How much is done to judge all that one Bundle brings by what is stored: https://hl7.org/fhir/R4/profiling.html"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hie.fhir.profiles import checking
from hie.fhir.questionnaires import Form
from hie.fhir.terminology import terminology
from hie.fhir.terminology.value_set import ValueSet
from hie.interactions import judging
from hie.interactions.accepting import profile_issues
from hie.store.terminology import StoredTerminology
from tests.builders import bundle, entry, post
from tests.conformance.test_profiles_stored import BAD, GOOD, PHONED, stored
from tests.conformance.test_validate_answers import ICE, errors, response
from tests.packages import element, profile
from tests.unit.fhir import test_snapshots
from tests.unit.fhir.test_vital_signs import vital

ANSWERED = response({"valueInteger": 2})
BOUND = stored(profile("bound", "Patient", element(
    "Patient.maritalStatus", binding={"strength": "required", "valueSet": "urn:shades"})))  # fmt: skip
SHADES = {"resourceType": "ValueSet", "url": "urn:shades", "status": "active", "compose": {"include": [
    {"system": "urn:s", "concept": [{"code": "red"}]}]}}  # fmt: skip
RED = {"resourceType": "Patient", "meta": {"profile": [BOUND["url"]]},
       "maritalStatus": {"coding": [{"system": "urn:s", "code": "red"}]}}  # fmt: skip


@pytest.fixture
def used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give no time to any judging by what is stored."""
    monkeypatch.setattr(judging, "OF_ONE", 0.0)
    monkeypatch.setattr(judging, "OF_A_BUNDLE", 0.0)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("resource", [GOOD, ANSWERED], ids=["profile", "questionnaire"])
@pytest.mark.usefixtures("used_up")
def test_what_a_bundle_has_no_time_to_judge_is_refused_or_told(
    fhir: Any, treat: Any, kind: str, resource: dict[str, Any]
) -> None:
    """Each entry could take seconds: 200 answers beside 20,000 questions took 20 s, while other writers waited."""
    fhir.create(PHONED)
    fhir.create(ICE)
    treat("reject")
    answer = fhir.post("", bundle(post(resource), type_=kind))
    if kind == "batch":
        (row,) = answer.json["entry"]
        assert row["response"]["status"].startswith("422"), row
        (issue,) = [one for one in row["response"]["outcome"]["issue"] if one["severity"] == "error"]
        assert issue["code"] == "too-costly"
    else:
        answer.refused(422, "too-costly")
    treat("warn")
    answer = fhir.post("", bundle(post(resource), type_=kind), Prefer="return=OperationOutcome")
    (row,) = answer.json["entry"]
    assert row["response"]["status"].startswith("201")
    assert "in this request, the most that it may" in str(row["response"]["outcome"])


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(("resource", "what"), [
    (GOOD, f"the definition {PHONED['url']}"), (ANSWERED, f"the questionnaire {ICE['url']}"),
    (RED, f"the definition {BOUND['url']}")], ids=["profile", "questionnaire", "value set"])  # fmt: skip
@pytest.mark.usefixtures("used_up")
def test_what_one_write_has_no_time_to_judge_is_refused_or_told(
    fhir: Any, treat: Any, resource: dict[str, Any], what: str
) -> None:
    """It was stored with a warning, where the tenant refuses what is not as its profiles say."""
    for one in (PHONED, ICE, BOUND, SHADES):
        fhir.create(one)
    name = resource["resourceType"]
    treat("reject")
    for answer in (fhir.post(name, resource), fhir.put(f"{name}/1", resource | {"id": "1"})):
        answer.refused(422, "too-costly", name, f"Not judged by {what}: Judging by stored profiles, value sets and "
                       "questionnaires has taken 0 s in this request, the most that it may. Send a smaller resource")
    assert fhir.get(f"{name}?_summary=count").json["total"] == 0
    treat("warn")
    told = fhir.post(name, resource, Prefer="return=OperationOutcome")
    assert told.status == 201
    (issue,) = [one for one in told.json["issue"] if one["code"] == "too-costly"]
    assert issue["severity"] == "warning"
    assert what in issue["diagnostics"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.usefixtures("used_up")
def test_a_vital_sign_that_declares_nothing_is_stored_without_time_as_well(fhir: Any, treat: Any) -> None:
    fhir.create(PHONED)
    treat("reject")
    patient = {"resourceType": "Patient", "id": "1"}
    assert fhir.post("", bundle(post(vital()), entry("PUT", "Patient/1", patient))).status == 200
    assert fhir.post("Observation", vital()).status == 201
    assert errors(fhir.post("Observation/$validate", vital()))[0] == ("too-costly", "Observation")


@pytest.mark.usefixtures("used_up")
def test_what_there_is_no_time_for_in_validate_is_not_said_to_be_valid(fhir: Any) -> None:
    for one in (PHONED, ICE):
        fhir.create(one)
    for one in (BAD, response({"valueString": "two"})):
        answer = fhir.post(f"{one['resourceType']}/$validate", one)
        assert "in this request, the most that it may" in str(answer.json)
        assert errors(answer) == [("too-costly", one["resourceType"])]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_expressions_that_are_used_up_leave_a_stored_profile_unasked(
    fhir: Any, treat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large resource used them up before the invariant that it breaks."""
    monkeypatch.setattr(checking, "MAX_LOOKED_AT", 100)
    rules = [{"key": "x-1", "severity": "error", "human": "x", "expression": "name.given.where(length() > 0).exists()"},
             {"key": "x-2", "severity": "error", "human": "x", "expression": "active"}]
    definition = profile("phoned", "Patient")
    definition["snapshot"]["element"][0]["constraint"] = rules
    fhir.create(stored(definition))
    treat("reject")
    large = {"resourceType": "Patient", "meta": {"profile": [PHONED["url"]]}, "active": False,
             "name": [{"given": ["a"] * 200}]}
    fhir.post("Patient", large).refused(422, "incomplete", "Patient", "too large")


@pytest.mark.usefixtures("used_up")
def test_what_there_is_no_time_for_of_code_systems_and_snapshots_is_told(fhir: Any) -> None:
    coded = {"resourceType": "Patient", "maritalStatus": {"coding": [{"system": "urn:s", "code": "red"}]}}
    made = test_snapshots.profile("Patient", test_snapshots.of("Patient.name", min=1))
    for one, told in ((coded, ("information", "incomplete")), (made, ("error", "too-costly"))):
        answer = fhir.post(f"{one['resourceType']}/$validate", one)
        assert answer.status == 200
        (issue,) = [issue for issue in answer.json["issue"] if "most that it may" in issue["diagnostics"]]
        assert (issue["severity"], issue["code"]) == told


@pytest.mark.usefixtures("used_up")
def test_what_is_judged_by_nothing_stored_needs_no_time(fhir: Any, treat: Any) -> None:
    treat("reject")
    assert fhir.post("", bundle(post({"resourceType": "Patient"}), post(GOOD))).status == 200
    fhir.create(PHONED)
    assert fhir.post("", bundle(*[post({"resourceType": "Patient"})] * 2)).status == 200


@pytest.mark.parametrize(("definitions", "resource", "found"), [
    ([PHONED], GOOD, ("StructureDefinition", PHONED["url"])), ([ICE], ANSWERED, ("Questionnaire", ICE["url"])),
    ([BOUND, SHADES], RED, ("ValueSet", "urn:shades"))],
    ids=["profile", "questionnaire", "value set"])  # fmt: skip
def test_the_entries_of_a_transaction_look_definitions_up_once(
    fhir: Any, treat: Any, monkeypatch: pytest.MonkeyPatch, definitions: list[Any], resource: Any, found: Any
) -> None:
    treat("reject")
    asked, forms = [], []
    find, make = StoredTerminology.find, Form.__init__

    def heard(self: Any, type_name: str, url: str, version: str | None) -> Any:
        asked.append((type_name, url))
        return find(self, type_name, url, version)

    def made(self: Any, questionnaire: Any, *container: Any) -> None:
        forms.append(questionnaire)
        make(self, questionnaire, *container)

    monkeypatch.setattr(StoredTerminology, "find", heard)
    monkeypatch.setattr(Form, "__init__", made)
    answer = fhir.post("", bundle(*[post(resource)] * 20, *map(post, definitions)))
    assert answer.status == 200, answer.content
    assert asked.count(found) == 1
    assert len(forms) == (found[0] == "Questionnaire")


def test_a_value_set_is_read_once_for_all_entries_of_a_transaction(
    fhir: Any, treat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read it anew: 10 s were over after 400 Patients beside a value set of 20,000 codes."""
    treat("reject")
    made: list[str] = []
    make = ValueSet.__init__

    def heard(self: Any, resource: Any, *more: Any) -> None:
        made.append(resource.get("url"))
        make(self, resource, *more)

    monkeypatch.setattr(ValueSet, "__init__", heard)
    answers = [response({"valueCoding": {"system": "urn:s", "code": "red"}})] * 10
    form = {**ICE, "item": [{"linkId": "scoops", "type": "choice", "answerValueSet": "urn:shades"}]}
    assert fhir.post("", bundle(*map(post, [*[RED] * 10, *answers, BOUND, SHADES, form]))).status == 200
    assert made.count("urn:shades") == 2, "for profiles, and for answers"


def test_a_questionnaire_that_many_contained_answers_share_is_read_once(
    fhir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms, make = [], Form.__init__

    def made(self: Any, questionnaire: Any, *container: Any) -> None:
        forms.append(questionnaire)
        make(self, questionnaire, *container)

    monkeypatch.setattr(Form, "__init__", made)
    form = {name: value for name, value in ICE.items() if name not in ("url", "version")} | {"id": "ice"}
    answers = [{**response({"valueString": "two"}), "id": f"a{n}", "questionnaire": "#ice"} for n in range(20)]
    pointing = [{"url": "http://example.org/a", "valueReference": {"reference": f"#a{n}"}} for n in range(20)]
    held = {"resourceType": "Basic", "code": {"text": "x"}, "contained": [form, *answers], "extension": pointing}
    told = [one for one in fhir.post("Basic/$validate", held).json["issue"] if one["code"] == "structure"]
    assert (len(told), len(forms)) == (20, 1)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_an_entry_before_left_out_is_not_told_of_the_next(app: Any, fhir: Any) -> None:
    """The judging of the entry before was broken off, by what its value sets cost."""
    fhir.create(PHONED)
    shared = judging.of_bundle()
    shared.time.leave_out("the definition x", "More are named.")
    ctx = replace(app.extensions["hie"].context(), judging=shared)
    found = profile_issues(GOOD, (), ctx, with_support=True, of_vital_signs="error")
    assert "too-costly" not in {one.code for one in found}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_value_sets_that_look_at_too_much_leave_a_resource_unjudged(
    fhir: Any, treat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was 422 where the tenant wants to be warned alone, and by $validate."""
    form = {**ICE, "item": [{"linkId": "scoops", "type": "choice", "answerValueSet": "urn:shades"}]}
    for one in (BOUND, SHADES, form):
        fhir.create(one)
    coded = response({"valueCoding": {"system": "urn:s", "code": "red"}})
    treat("reject")
    for one in (RED, coded):
        assert fhir.post(one["resourceType"], one).status == 201
    monkeypatch.setattr(terminology, "OF_ALL_QUESTIONS", 0)
    for one in (RED, coded):
        name = one["resourceType"]
        treat("reject")
        fhir.post(name, one).refused(422, "too-costly", name, "Not judged by the value set urn:shades: ")
        assert ("too-costly", name) in errors(fhir.post(f"{name}/$validate", one))
        treat("warn")
        assert fhir.post(name, one).status == 201
