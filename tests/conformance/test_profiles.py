"""Installed profiles: $validate, declared profiles on write, what is told of them, under the grant."""

import pytest

from hie.fhir.profiles import read
from hie.store import packages
from hie.store.packages import REMEMBERED_MICROSECONDS
from tests.builders import bundle, entry, observation, parameters, patient
from tests.packages import BASE, element, profile, slicing, tarball

NAMED = BASE + "named"
DEFINITIONS = (
    profile("named", "Patient", element("Patient.telecom", min=1, mustSupport=True),
            element("Patient.identifier", slicing=slicing(("value", "system"))),
            element("Patient.identifier:mrn", sliceName="mrn", max="1"),
            element("Patient.identifier:mrn.system", min=1, fixedUri="urn:mrn")),
    profile("coloured", "Patient", element("Patient.maritalStatus", binding={
        "strength": "required", "valueSet": "http://example.org/colours/vs"})),
)  # fmt: skip
GOOD = patient(meta={"profile": [NAMED]}, telecom=[{"system": "phone", "value": "1"}])
BAD = patient(meta={"profile": [NAMED]})


@pytest.fixture
def installed(app):
    store = app.extensions["hie"].store
    store.database.write(lambda connection: packages.add(connection, read(tarball(*DEFINITIONS)), 0))


def issues(answer, severity="error"):
    assert answer.status == 200, answer.content
    return [(one["code"], one["expression"][0]) for one in answer.json["issue"] if one["severity"] == severity]


@pytest.mark.proves("resource:supportedProfile", "operation:any/$validate")
def test_a_resource_is_validated_against_the_profile_named_and_those_declared(fhir, installed):
    named = f"Patient/$validate?profile={NAMED}"
    assert issues(fhir.post(named, patient())) == [("required", "Patient.telecom")]
    assert issues(fhir.post(named + "|1.0.0", GOOD)) == []
    assert issues(fhir.post("Patient/$validate", BAD)) == [("required", "Patient.telecom")]
    body = parameters(profile=("Uri", NAMED), resource=BAD)
    assert issues(fhir.post("Patient/$validate", body)) == [("required", "Patient.telecom")]
    told = fhir.post("Patient/$validate", BAD).json["issue"]
    assert any("wants supported there is no Patient.telecom" in one["diagnostics"] for one in told)
    twice = GOOD | {"identifier": [{"system": "urn:mrn", "value": "1"}, {"system": "urn:mrn", "value": "2"}]}
    assert issues(fhir.post("Patient/$validate", twice)) == [("structure", "Patient.identifier")]


def test_what_is_stored_is_validated_in_place_by_mode_profile(fhir, client, installed):
    id_ = fhir.create(patient())["id"]
    place = f"Patient/{id_}/$validate?mode=profile&profile={NAMED}"
    assert issues(fhir.get(place)) == [("required", "Patient.telecom")]
    fhir.get(f"Patient/{id_}/$validate?mode=profile").refused(400, "invalid", "mode")
    fhir.post(place, patient(id=id_)).refused(400, "invalid", "mode")
    fhir.post(f"Patient/$validate?mode=profile&profile={NAMED}", patient()).refused(400, "invalid", "mode")
    fhir.get(f"Patient/nobody/$validate?mode=profile&profile={NAMED}").refused(404, "not-found")
    blind = client("system/Observation.crus").get(place)
    assert blind.status in (403, 404)


def test_a_profile_that_is_not_installed_cannot_be_asked_for(fhir, installed):
    fhir.post("Patient/$validate?profile=http://nobody/p", patient()).refused(400, "not-supported", "profile")
    fhir.post(f"Patient/$validate?profile={NAMED}|2.0", patient()).refused(400, "not-supported", "profile")
    declared = fhir.post("Patient/$validate", patient(meta={"profile": ["http://nobody/p"]}))
    assert ("not-found", "Patient") in issues(declared, "warning")
    assert issues(fhir.post(f"Observation/$validate?profile={NAMED}", observation(code="1-1"))) == [
        ("structure", "Observation")]


def test_a_type_of_r4_is_a_profile_too(fhir):
    base = "http://hl7.org/fhir/StructureDefinition/"
    assert issues(fhir.post(f"Patient/$validate?profile={base}Patient", patient())) == []
    assert issues(fhir.post(f"Patient/$validate?profile={base}Group", patient())) == [("structure", "Patient")]


def test_an_invalid_resource_is_told_so_before_its_profiles_are_asked(fhir, installed):
    assert issues(fhir.post("Patient/$validate", BAD | {"gender": "x"})) == [("code-invalid", "Patient.gender")]


def test_bindings_ask_stored_value_sets_under_the_grant(fhir, client, installed):
    fhir.create({"resourceType": "ValueSet", "url": "http://example.org/colours/vs", "status": "active", "compose": {
        "include": [{"system": "urn:c", "concept": [{"code": "red"}]}]}})
    blue = patient(maritalStatus={"coding": [{"system": "urn:c", "code": "blue"}]})
    place = f"Patient/$validate?profile={BASE}coloured"
    assert issues(fhir.post(place, blue)) == [("code-invalid", "Patient.maritalStatus")]
    narrow = client("system/Patient.cruds")
    assert issues(narrow.post(place, blue)) == []
    assert ("informational", "Patient.maritalStatus") in issues(narrow.post(place, blue), "information")


def test_declared_profiles_are_not_looked_at_on_write_unless_that_is_switched_on(fhir, installed):
    assert fhir.post("Patient", BAD).status == 201


def test_warn_stores_and_tells_in_the_outcome(fhir, installed, treat):
    treat("warn")
    answer = fhir.post("Patient", BAD, Prefer="return=OperationOutcome")
    assert answer.status == 201
    told = [(one["severity"], one["code"], one["expression"][0]) for one in answer.json["issue"]]
    assert ("warning", "required", "Patient.telecom") in told
    assert fhir.post("Patient", BAD).json["resourceType"] == "Patient"


def test_reject_refuses_every_way_of_writing(fhir, installed, treat):
    id_ = fhir.create(GOOD)["id"]
    treat("reject")
    fhir.post("Patient", BAD).refused(422, "required", "Patient.telecom")
    fhir.put(f"Patient/{id_}", BAD | {"id": id_}).refused(422, "required", "Patient.telecom")
    patched = fhir("PATCH", f"Patient/{id_}", [{"op": "remove", "path": "/telecom"}],
                   Content_Type="application/json-patch+json")
    patched.refused(422, "required", "Patient.telecom")
    plain = fhir.create(patient())["id"]
    meta = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"profile": [NAMED]}}]}
    fhir.post(f"Patient/{plain}/$meta-add", meta).refused(422, "required", "Patient.telecom")
    fhir.delete(f"Patient/{plain}")
    together = bundle(entry("POST", "Patient", GOOD), entry("POST", "Patient", BAD))
    fhir.post("", together).refused(422, "required", "Bundle.entry[1].resource.telecom")
    assert fhir.total("Patient") == 1
    for fine in (GOOD, patient(), patient(meta={"profile": ["http://nobody/p"]})):
        assert fhir.post("Patient", fine).status == 201
    treat("off")
    assert fhir.post("Patient", BAD).status == 201


@pytest.mark.proves("resource:supportedProfile")
def test_the_capability_statement_names_installed_profiles_and_forgets_removed_ones(app, fhir, installed, clock):
    def supported():
        rows = fhir.get("metadata").json["rest"][0]["resource"]
        return {row["type"]: row["supportedProfile"] for row in rows if "supportedProfile" in row}

    assert supported() == {"Patient": [BASE + "coloured", NAMED]}
    store = app.extensions["hie"].store
    store.database.write(lambda connection: packages.remove(connection, "example.profiles", None))
    clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)
    assert supported() == {}
    fhir.post(f"Patient/$validate?profile={NAMED}", patient()).refused(400, "not-supported", "profile")


CODES = {"resourceType": "CodeSystem", "url": "urn:c", "version": "2", "status": "active", "content": "complete",
         "hierarchyMeaning": "is-a", "valueSet": "urn:c/all", "concept": [
             {"code": "red", "display": "Red", "concept": [{"code": "pink", "display": "Pink"}]},
             {"code": "blue", "display": "Blue"}]}  # fmt: skip
WARM = {"resourceType": "ValueSet", "url": "urn:warm", "version": "2", "status": "active", "compose": {
    "include": [{"system": "urn:c", "filter": [{"property": "concept", "op": "is-a", "value": "red"}]}]}}
NAMES = {"resourceType": "CodeSystem", "url": "urn:c-de", "status": "active", "content": "supplement",
         "supplements": "urn:c", "concept": [
             {"code": "red", "designation": [{"language": "de", "value": "Rot"}]}]}  # fmt: skip


@pytest.mark.proves("operation:ValueSet/$expand")
def test_the_terminology_of_packages_is_asked_like_what_is_stored(app, fhir, client, clock):
    store = app.extensions["hie"].store
    content = tarball(CODES, WARM, NAMES)
    store.database.write(lambda connection: packages.add(connection, read(content), 0))
    clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)
    narrow = client("system/Observation.cruds")
    pink, _ = (narrow.create(observation() | {"code": {"coding": [{"system": "urn:c", "code": code}]}})["id"]
               for code in ("pink", "blue"))

    def told(url):
        answer = fhir.get(url)
        assert answer.status == 200, answer.content
        return answer.json

    def codes(url):
        return [one["code"] for one in told(url)["expansion"]["contains"]]

    assert codes("ValueSet/$expand?url=urn:warm") == codes("ValueSet/$expand?url=urn:warm|2") == ["red", "pink"]
    assert codes("ValueSet/$expand?url=urn:c/all") == ["red", "pink", "blue"]
    listed = [one for one in told("metadata?mode=terminology")["codeSystem"] if one["uri"].startswith("urn:c")]
    assert listed == [{"uri": "urn:c", "version": [{"code": "2", "isDefault": True}], "subsumption": True}]
    fhir.get("ValueSet/$expand?url=urn:warm|3").refused(404, "not-found", "url")
    valid = "ValueSet/$validate-code?url=urn:warm&system=urn:c&code="
    assert [told(valid + code)["parameter"][0]["valueBoolean"] for code in ("pink", "blue")] == [True, False]
    assert told("CodeSystem/$subsumes?system=urn:c&codeA=red&codeB=pink")["parameter"][0]["valueCode"] == "subsumes"
    looked = told("CodeSystem/$lookup?system=urn:c&code=red&property=designation")["parameter"]
    assert any({"name": "value", "valueString": "Rot"} in one.get("part", ()) for one in looked)
    for criterion in ("code:in=urn:warm", "code:below=urn:c|red"):
        found = narrow.get(f"Observation?{criterion}").json["entry"]
        assert [one["resource"]["id"] for one in found] == [pink], criterion

    fhir.create(WARM | {"compose": {"include": [{"system": "urn:c", "concept": [{"code": "blue"}]}]}})
    assert codes("ValueSet/$expand?url=urn:warm") == ["blue"]  # what is stored goes first
    store.database.write(lambda connection: packages.remove(connection, "example.profiles", None))
    clock.forward(REMEMBERED_MICROSECONDS / 1e6 + 1)
    fhir.get("CodeSystem/$lookup?system=urn:c&code=red").refused(404, "not-found", "system")
