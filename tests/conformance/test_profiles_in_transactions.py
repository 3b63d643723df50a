"""What a transaction brings is judged by the definitions that it brings: https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

import gc
import json
from base64 import b64encode
from typing import Any

import pytest

from hie.fhir import bundle_stream
from hie.interactions import transaction
from tests.builders import bundle, entry, patient, post, put
from tests.conformance.test_profiles_stored import BAD, GOOD, PHONED, URL, stored
from tests.one_database import ONE_DATABASE
from tests.packages import BASE, element, profile
from tests.unit.fhir.test_snapshots import of
from tests.unit.fhir.test_snapshots import profile as differential


def judged(fhir: Any, *entries: Any) -> Any:
    return fhir.post("", bundle(*entries))


@pytest.mark.proves("system:transaction")
@pytest.mark.parametrize("order", [1, -1])
def test_a_profile_that_comes_along_is_known_wherever_it_stands(fhir: Any, treat: Any, order: int) -> None:
    treat("reject")
    wrong = [post(PHONED), post(BAD)][::order]
    judged(fhir, *wrong).refused(422, "required", f"Bundle.entry[{wrong.index(post(BAD))}].resource.telecom")
    assert (fhir.total("StructureDefinition"), fhir.total("Patient")) == (0, 0), "all or nothing"
    answer = judged(fhir, *[post(PHONED), post(GOOD), put({**GOOD, "id": "p"})][::order])
    assert answer.status == 200, answer.content
    places = [one["response"]["location"].partition("/_history")[0].rpartition("/fhir/")[2].partition("/")[0]
              for one in answer.json["entry"]]
    assert places == ["StructureDefinition", "Patient", "Patient"][::order], "each answer in the place of its entry"


def test_a_profile_by_put_goes_before_what_is_posted(fhir: Any, treat: Any) -> None:
    treat("reject")
    definition = {**PHONED, "id": "phoned"}
    judged(fhir, post(BAD), put(definition)).refused(422, "required", "Bundle.entry[0].resource.telecom")
    assert judged(fhir, post(GOOD), put(definition)).status == 200
    relaxed = stored(profile("phoned", "Patient", element("Patient.telecom", min=0)), id="phoned")
    assert judged(fhir, post(BAD), put(relaxed)).status == 200, "by what the transaction makes of it"
    judged(fhir, post(GOOD), put({**BAD, "id": "q"}), put(definition)).refused(
        422, "required", "Bundle.entry[1].resource.telecom")


def test_one_that_is_deleted_is_no_profile_any_more(fhir: Any, treat: Any) -> None:
    fhir.put("StructureDefinition/phoned", {**PHONED, "id": "phoned"})
    treat("reject")
    judged(fhir, post(BAD)).refused(422, "required")
    assert judged(fhir, post(BAD), entry("DELETE", "StructureDefinition/phoned")).status == 200


def test_warnings_are_told_of_it_too(fhir: Any, treat: Any) -> None:
    treat("warn")
    answer = fhir.post("", bundle(post(BAD), post(PHONED)), Prefer="return=OperationOutcome")
    assert answer.status == 200
    told = answer.json["entry"][0]["response"]["outcome"]["issue"]
    assert ("warning", "required") in [(one["severity"], one["code"]) for one in told]


def test_value_sets_and_code_systems_that_come_along_are_known(fhir: Any, treat: Any) -> None:
    treat("reject")
    system = {"resourceType": "CodeSystem", "url": "urn:shades", "status": "active", "content": "complete",
              "concept": [{"code": "red"}]}
    shades = {"resourceType": "ValueSet", "url": "urn:all-shades", "status": "active",
              "compose": {"include": [{"system": "urn:shades"}]}}
    bound = stored(profile("shaded", "Patient", element(
        "Patient.maritalStatus", binding={"strength": "required", "valueSet": "urn:all-shades"})))

    def shaded(code: str) -> Any:
        coded = {"coding": [{"system": "urn:shades", "code": code}]}
        return patient(meta={"profile": [bound["url"]]}, maritalStatus=coded)

    judged(fhir, post(shaded("blue")), post(bound), post(shades), post(system)).refused(
        422, "code-invalid", "Bundle.entry[0].resource.maritalStatus")
    assert judged(fhir, post(shaded("red")), post(bound), post(shades), post(system)).status == 200


def test_a_questionnaire_that_comes_along_judges_its_answers(fhir: Any, treat: Any) -> None:
    treat("reject")
    form = {"resourceType": "Questionnaire", "url": "urn:form", "status": "active",
            "item": [{"linkId": "1", "type": "boolean", "text": "x"}]}
    answered = {"resourceType": "QuestionnaireResponse", "questionnaire": "urn:form", "status": "completed",
                "item": [{"linkId": "2"}]}
    judged(fhir, post(answered), post(form)).refused(422, "not-found")
    assert judged(fhir, post({**answered, "item": [{"linkId": "1", "answer": [{"valueBoolean": True}]}]}),
                  post(form)).status == 200


def test_a_token_that_may_not_search_definitions_is_not_told_of_them(fhir: Any, client: Any, treat: Any) -> None:
    treat("reject")
    writer = client("system/Patient.cu", "system/StructureDefinition.c")
    assert judged(writer, post(PHONED), post(BAD)).status == 200, "as where it is stored already"
    assert writer.post("Patient", BAD).status == 201
    judged(fhir, post(BAD)).refused(422, "required")


def test_what_was_refused_leaves_nothing_that_others_are_judged_by(fhir: Any, treat: Any) -> None:
    treat("reject")
    judged(fhir, post(PHONED), post(BAD)).refused(422, "required")
    assert fhir.post("Patient", BAD).status == 201, "of a profile that is not here"
    fhir.post(f"Patient/$validate?profile={URL}", BAD).refused(400, "not-supported", "profile")


def test_many_are_judged_by_it(fhir: Any, treat: Any) -> None:
    """More than are made at once, and than one look-up of stored definitions serves."""
    treat("reject")
    assert judged(fhir, *[post(GOOD)] * 300, post(PHONED)).status == 200
    judged(fhir, *[post(GOOD)] * 300, post(BAD), post(PHONED)).refused(
        422, "required", "Bundle.entry[300].resource.telecom")


def test_so_it_is_in_a_bundle_that_is_read_entry_by_entry(
    fhir: Any, treat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    treat("reject")
    monkeypatch.setattr(bundle_stream, "LARGE", 1_000)
    assert judged(fhir, *[post(GOOD)] * 5, post(PHONED)).status == 200
    judged(fhir, *[post(GOOD)] * 5, post(BAD), post(PHONED)).refused(
        422, "required", "Bundle.entry[5].resource.telecom")


def titled(name: str, **more: Any) -> Any:
    """A profile of profiles: what declares it has to have a title."""
    return stored(profile(name, "StructureDefinition", element("StructureDefinition.title", min=1)), **more)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("put_first", [False, True])
def test_definitions_are_judged_by_one_another_in_any_order(
    fhir: Any, treat: Any, order: int, put_first: bool
) -> None:
    """What was put was judged by what was posted, and of several that were posted a later one by those before it."""
    treat("reject")
    declares = {**PHONED, "meta": {"profile": [BASE + "titled"]}}
    definition = titled("titled", id="titled")
    entries = [put(definition) if put_first else post(definition), post(declares)][::order]
    judged(fhir, *entries).refused(422, "required", f"Bundle.entry[{entries.index(post(declares))}].resource.title")
    assert fhir.total("StructureDefinition") == 0
    right = [put(definition) if put_first else post(definition), post({**declares, "title": "x"}), post(GOOD)]
    assert judged(fhir, *right[::order]).status == 200


@pytest.mark.parametrize("order", [1, -1])
def test_a_derived_profile_knows_its_base_and_its_value_set_in_any_order(fhir: Any, treat: Any, order: int) -> None:
    treat("reject")
    shades = {"resourceType": "ValueSet", "url": "urn:kinds", "status": "active", "compose": {"include": [
        {"system": "urn:kind", "concept": [{"code": "a"}]}]}}
    whole = differential("StructureDefinition", of("StructureDefinition.title", min=1), url=BASE + "whole")
    derived = differential("StructureDefinition", of("StructureDefinition.keyword", binding={
        "strength": "required", "valueSet": "urn:kinds"}), url=BASE + "derived", base=whole["url"])
    declares = {**PHONED, "meta": {"profile": [derived["url"]]}, "keyword": [{"system": "urn:kind", "code": "b"}]}
    entries = [post(one) for one in (declares, derived, whole, shades)][::order]
    refused = judged(fhir, *entries)
    place = f"Bundle.entry[{entries.index(post(declares))}].resource"
    refused.refused(422, "required", f"{place}.title")
    refused.refused(422, "code-invalid", f"{place}.keyword[0]")
    right = post({**declares, "title": "x", "keyword": [{"system": "urn:kind", "code": "a"}]})
    assert judged(fhir, *[right if one == post(declares) else one for one in entries]).status == 200


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_definition_that_a_patch_makes_is_judged_as_it_becomes(fhir: Any, treat: Any) -> None:
    fhir.put("StructureDefinition/phoned", {**PHONED, "id": "phoned"})
    treat("reject")
    document = b64encode(json.dumps({"meta": {"profile": [BASE + "titled"]}}).encode()).decode()
    patch = {"resourceType": "Binary", "contentType": "application/merge-patch+json", "data": document}
    entries = [entry("PATCH", "StructureDefinition/phoned", patch), post(titled("titled"))]
    judged(fhir, *entries).refused(422, "required", "Bundle.entry[0]", "At least 1")
    assert judged(fhir, entries[0]).status == 200, "the profile is not there"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_warnings_of_definitions_are_told_where_they_stand(fhir: Any, treat: Any) -> None:
    treat("warn")
    declares = {**PHONED, "meta": {"profile": [BASE + "titled"]}}
    bare = {**PHONED, "url": BASE + "bare"}
    entries = [post(bare), post(declares), post(titled("titled"))]
    for preference in ("OperationOutcome", "representation", "minimal"):
        answer = fhir.post("", bundle(*entries), Prefer=f"return={preference}")
        assert answer.status == 200
        told = [[(one["severity"], one["code"]) for one in row["response"]["outcome"]["issue"]]
                for row in answer.json["entry"] if "outcome" in row["response"]]
        assert [("warning", "required") in one for one in told] == (
            [False, True, False] if preference == "OperationOutcome" else [])
        assert all("resource" in row for row in answer.json["entry"]) == (preference == "representation")


@ONE_DATABASE
def test_definitions_that_wait_to_be_judged_wait_as_text(fhir: Any, treat: Any, monkeypatch: Any) -> None:
    """Of a Bundle that is read entry by entry: as they were read, those of 28 MB took 145 MB."""
    treat("warn")
    monkeypatch.setattr(bundle_stream, "LARGE", 1_000)
    body = json.dumps(bundle(*(put(stored(profile(f"d{one}", "Patient", element("Patient.name")), id=f"waiting{one}")
                                   | {"meta": {"profile": ["urn:x"]}}) for one in range(40))))  # fmt: skip
    real, alive = transaction.judged, []

    def judged(resource: Any, *more: Any) -> Any:
        alive.append(sum(isinstance(one, dict) and str(one.get("id")).startswith("waiting") and "url" in one
                         for one in gc.get_objects()))
        return real(resource, *more)

    monkeypatch.setattr(transaction, "judged", judged)
    assert fhir.post("", body).status == 200
    assert len(alive) == 40
    assert max(alive) < 10
