"""What an operator may do without: references that always lead somewhere, https://hl7.org/fhir/R4/http.html#integrity"""

from dataclasses import replace

import pytest

from hie.app import create_app
from hie.settings import Settings, SettingsError
from hie.store.check import check
from tests.builders import SYSTEM, bundle, entry, observation, patient
from tests.conformance.conftest import Fhir


@pytest.fixture
def settings(settings, request):
    return replace(settings, referential_integrity=request.param)


def to_nothing(fhir: Fhir) -> list[int]:
    """Write what refers to nothing in every way there is; return the statuses."""
    id_ = fhir.create(observation())["id"]
    lost, version = observation("Patient/nobody"), observation("Patient/nobody/_history/3")
    patch = [{"op": "add", "path": "/subject", "value": {"reference": "Patient/nobody"}}]
    return [
        fhir.post("Observation", lost).status, fhir.post("Observation", version).status,
        fhir.put(f"Observation/{id_}", lost | {"id": id_}).status,
        fhir("PATCH", f"Observation/{id_}", patch, Content_Type="application/json-patch+json").status,
        fhir.post("", bundle(entry("POST", "Observation", lost), entry("POST", "Patient", patient()))).status,
    ]


@pytest.mark.parametrize(("settings", "write", "delete"), [
    ("both", False, False), ("write", False, True), ("delete", True, False), ("none", True, True),
], indirect=["settings"])  # fmt: skip
def test_each_mode_takes_what_it_says(fhir, app, write, delete):
    assert to_nothing(fhir) == ([201, 201, 200, 200, 200] if write else [400] * 5)
    (said,) = {len(one["referencePolicy"]) for one in fhir.get("metadata").json["rest"][0]["resource"]}
    assert said == (3 if not write and not delete else 2)
    id_ = fhir.create(patient())["id"]
    referring = fhir.create(observation(f"Patient/{id_}"))["id"]
    allowed = [one["severity"] for one in fhir.get(f"Patient/{id_}/$validate?mode=delete").json["issue"]]
    assert allowed == (["information"] if delete else ["error"])
    assert fhir.delete(f"Patient/{id_}").status == (200 if delete else 409)
    for _ in range(2):
        fhir.create(observation(f"Patient/{fhir.create(patient(identifier='pair'))['id']}"))
    assert fhir.delete(f"Patient?identifier={SYSTEM}|pair&_count=2").status == (200 if delete else 409)
    assert fhir.get(f"Observation?_id={referring}&_include=Observation:subject&_elements=id").status == 200
    assert fhir.total(f"Observation?subject=Patient/{id_}") == 1
    assert fhir.total(f"Observation?subject:Patient._id={id_}") == (0 if delete else 1)
    assert fhir.delete(f"Observation/{referring}?_cascade=delete").status == 200
    assert check(app.extensions["hie"].store).problems == []


@pytest.mark.parametrize("settings", ["none"], indirect=True)
def test_what_needs_a_target_still_does(fhir):
    """Conditional references and those to entries of the Bundle are to be resolved; they mean nothing as they stand."""
    lost = [observation("Patient?identifier=urn:x|none"), observation("urn:uuid:00000000-0000-4000-8000-000000000001")]
    assert [fhir.post("", bundle(entry("POST", "Observation", one))).status for one in lost] == [412, 400]
    fhir.post("Observation", lost[0]).refused(412, "conflict", "Observation.subject.reference")


@pytest.mark.parametrize("settings", ["none"], indirect=True)
def test_of_a_version_that_was_yet_to_come_the_one_of_then_is_included(fhir):
    """As of an instant, and on further pages of what was asked then."""
    def included(answer):
        return [one["resource"]["meta"]["versionId"] for one in answer.entries() if one["search"]["mode"] == "include"]

    at = fhir.create(patient("One", id="p"))["meta"]["lastUpdated"]
    fhir.put("Patient/p", patient("One", id="p"))
    for id_ in "ab":
        at = fhir.put(f"Observation/{id_}", observation("Patient/p/_history/2", id=id_)).json["meta"]["lastUpdated"]
    asked = "Observation?_include=Observation:subject&_count=1"
    first = fhir.get(asked)
    fhir.put("Patient/p", patient("Two", id="p"))
    assert (included(first), included(fhir.get(first.link("next")))) == (["1"], ["1"])
    assert included(fhir.get(f"{asked}&_asOf={at}")) == ["1"]
    assert included(fhir.get(asked)) == ["2"]


@pytest.mark.parametrize("settings", ["none"], indirect=True)
def test_a_token_with_conditions_still_writes_into_no_record_that_they_hide(fhir, client):
    hidden, narrow = fhir.create(patient())["id"], client("system/Observation.cruds", "system/Patient.rs?_tag=mine")
    mine = fhir.create(patient(meta={"tag": [{"code": "mine"}]}))["id"]
    answers = [narrow.post("Observation", observation(f"Patient/{one}")) for one in (hidden, "nobody")]
    for answer in answers:  # alike, so that neither tells what is there
        answer.refused(400, "not-found", "Observation.subject.reference", "which does not exist here (or was deleted)")
    assert narrow.post("Observation", observation(f"Patient/{mine}")).status == 201
    assert narrow.post("Observation", observation() | {"performer": [{"reference": "Organization/none"}]}).status == 201
    both = [entry("POST", "Observation", observation(one)) for one in (f"Patient/{hidden}", f"Patient/{mine}")]
    assert narrow.post("", bundle(*both)).status == 400
    assert client("system/Observation.cruds").post("Observation", observation("Patient/nobody")).status == 201


def test_another_mode_is_refused():
    with pytest.raises(SettingsError, match="both, write, delete, none"):
        Settings(referential_integrity="maybe")


@pytest.mark.parametrize("settings", ["none"], indirect=True)
def test_what_leads_nowhere_is_told_once_it_is_enforced_again(fhir, settings):
    id_ = fhir.create(observation("Patient/nobody"))["id"]
    app = create_app(replace(settings, referential_integrity="both"))
    try:
        assert check(app.extensions["hie"].store).problems == [
            f"Observation/{id_} refers to Patient/nobody, which does not exist."]
    finally:
        app.extensions["hie"].close()
